// The primary's lease, and the promises of a standby.
//
// A lease comes from the peer ("I shall not take over before…") or from the arbiter; either is
// enough, because whoever takes over needs both to have ended:
//
//   arbiter   lease of a primary ends                          the other may begin
//   etcd      max(sent of granted beat, sent of renewal) + L   promise over, record unchanged for L', compare-and-swap
//   gateway   max(sent of granted beat, sent of probe) + L     promise over, silence and gateway without gap for W
//   none      never                                            fenced, said goodbye, or a person says so
//
// A peer that left or was fenced will not take over before it has heard from this node: without an
// engine that it could ask behind our back, that is a lease without end (unless the group chose
// availability first, when a node that starts alone does take over). Such a primary counts as
// alone from that moment on, so that a peer that comes back knows its copy to be stale.
import type { Draft } from './draft.ts';
import { gatewayStableSinceMs } from './gateway.ts';
import { isGone, type MachineState } from './state.ts';
import { leaseEndMs, leaseWaitMs } from './timings.ts';
import type { Grant } from './types.ts';

/** Whether this node may hold a lease in its present role and stage. */
export function mayHoldLease(s: MachineState): boolean {
  return s.role === 'primary' || (s.role === 'promoting' && s.promotion?.stage === 'mount');
}

/** Whether the arbiter's record has to be kept renewed: also while a seized lease runs out. */
export function keepsRecord(s: MachineState): boolean {
  return mayHoldLease(s) || (s.role === 'promoting' && s.promotion?.stage === 'wait');
}

/** Whether this node asks the peer for grants. */
export function asksForLease(s: MachineState): boolean {
  return s.role === 'primary' || s.role === 'promoting';
}

/** The epoch this node serves, or wants to serve, with. */
export function ownEpoch(s: MachineState): number {
  return s.promotion?.epoch ?? s.epoch;
}

/** Counts a grant of the peer; older ones than the present attempt do not count. */
export function takeGrant(d: Draft, grant: Grant | null): void {
  const { s } = d;
  if (grant === null || !asksForLease(s)) return;
  if (grant.life !== s.life || grant.epoch !== ownEpoch(s)) return;
  if (grant.sentAtMs < s.lease.askingSinceMs || grant.sentAtMs > d.now) return;
  const end = leaseEndMs(s.config.timings, grant.sentAtMs);
  if (end > s.lease.byPeerMs) d.lease({ byPeerMs: end });
}

/** The promise that goes out with the next heartbeat; noted before it is sent. */
export function makeGrant(d: Draft, grants: boolean): Grant | null {
  const { peer, config } = d.s;
  if (!grants || peer.beat === null) return null;
  const untilMs = peer.heardMs + leaseWaitMs(config.timings);
  const before = d.s.granted?.untilMs ?? 0;
  if (untilMs > before || d.s.granted?.epoch !== peer.beat.epoch) {
    d.s.granted = { epoch: peer.beat.epoch, untilMs: Math.max(untilMs, before) };
  }
  return { epoch: peer.beat.epoch, life: peer.life, sentAtMs: peer.sentAtMs };
}

/** Works out the lease anew and tells the filter when it changed. */
export function updateLease(d: Draft): void {
  const { s } = d;
  const untilMs = mayHoldLease(s) ? leaseUntil(d) : 0;
  if (untilMs === s.lease.untilMs) return;
  d.lease({ untilMs });
  d.do({ kind: 'setLease', untilMs });
}

function leaseUntil(d: Draft): number {
  const { s } = d;
  const { arbiter, timings } = s.config;
  if (arbiter === 'none') return Number.POSITIVE_INFINITY;
  if (arbiter === 'gateway') {
    // Where availability comes first, such a peer takes over when it starts and hears nobody.
    const waitsForUs = !s.config.availabilityFirst;
    if (waitsForUs && isGone(s.peer)) return Number.POSITIVE_INFINITY;
    const stable = gatewayStableSinceMs(s, d.now);
    if (stable !== null && stable <= s.gateway.lastOkMs - timings.gatewayStableMs) {
      const end = leaseEndMs(timings, s.gateway.lastOkMs);
      if (end > s.lease.byVoteMs) d.lease({ byVoteMs: end });
    }
  }
  // A lease that has ended does not begin again: what was heard late is for the next attempt.
  const end = Math.max(s.lease.byPeerMs, s.lease.byVoteMs);
  return s.lease.untilMs > 0 ? Math.max(end, s.lease.untilMs) : end;
}

/** A peer that was gone for good is back: its promise has an end again. */
export function endUnlimitedLease(d: Draft): void {
  const { s } = d;
  if (!Number.isFinite(s.lease.untilMs) && s.config.arbiter === 'gateway') {
    const end = leaseEndMs(s.config.timings, d.now);
    d.lease({ untilMs: end, byPeerMs: end });
    d.do({ kind: 'setLease', untilMs: end });
  }
}
