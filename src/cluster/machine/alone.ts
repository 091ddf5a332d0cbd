// Going on alone is known to the other side (guarantee 2, over a failover): before a primary
// acknowledges commits that the standby does not have, that fact is where a takeover must find it.
//
//   together ──the standby does not answer──▶ recording ──recorded──▶ allowed
//       ▲                                                                │
//       └──────────── the standby has everything, commits wait again ────┘
//
// Where it is recorded: in the arbiter's record (etcd); else at the peer, which answers with the mark
// when it has noted it durably. When neither answers:
//   the peer was fenced or left    it will not take over before it has heard of it
//   gateway                        silence on a node that reaches the gateway means that the peer does not,
//                                  and a standby that lost the gateway after it heard us calls itself stale
//   none                           after aloneAfterMs, unrecorded: the standby does the same arithmetic
import type { Draft } from './draft.ts';
import { seconds } from './draft.ts';
import { gatewayStableSinceMs } from './gateway.ts';
import { type AloneState, isGone, type MachineState, NEVER } from './state.ts';

/** Begins to look for a place to record it. */
export function wantAlone(d: Draft): void {
  const { s } = d;
  if (s.alone.state === 'together') beginRecording(d);
}

function beginRecording(d: Draft): void {
  const { s } = d;
  s.alone = nextAlone(s, d.now);
  // What was written before says nothing about now, not even in the same millisecond.
  s.vote = { ...s.vote, aloneMs: NEVER };
}

/** The mirror wants to go on alone; it asks again when an answer was lost. */
export function onAloneWanted(d: Draft, request: number): void {
  const { s } = d;
  if (s.role !== 'primary') return;
  wantAlone(d);
  if (request < s.alone.request) return;
  s.alone = { ...s.alone, request, mirror: 'alone-wanted' };
  if (s.alone.state === 'allowed') d.do({ kind: 'allowAlone', request, recorded: true });
}

function nextAlone(s: MachineState, now: number): AloneState {
  const { mark } = s.alone;
  const count = mark.epoch === s.epoch ? mark.count + 1 : s.life * 1000 + 1;
  return { ...s.alone, state: 'recording', mark: { epoch: s.epoch, count }, sinceMs: now };
}

/** A new primary has no standby yet. */
export function beginAlone(d: Draft): void {
  beginRecording(d);
  d.s.alone = { ...d.s.alone, request: 1, mirror: 'alone-wanted' };
}

export function onTogether(d: Draft, request: number, why: string): void {
  const { s } = d;
  if (s.role !== 'primary' || request < s.alone.request) return;
  s.alone = { ...s.alone, request, mirror: 'together' };
  if (considerTogether(d)) d.say(why);
}

/** A peer that is gone cannot be in step: when it went, its mirror had not been missed yet. True when this is new. */
function considerTogether(d: Draft): boolean {
  const { alone, peer } = d.s;
  if (alone.state === 'together' || alone.mirror !== 'together') return false;
  if (isGone(peer)) return false;
  d.s.alone = { ...alone, state: 'together', sinceMs: d.now };
  return true;
}

/** Lets commits go on as soon as it is recorded, or proven that it need not be. */
export function recordAlone(d: Draft): void {
  const { s } = d;
  if (s.role !== 'primary') return;
  if (isGone(s.peer)) wantAlone(d);
  else if (considerTogether(d)) d.say('the other node takes part again');
  if (s.alone.state !== 'recording') return;
  const peer = s.config.peer.name;
  const where = recordedWhere(s);
  if (where !== null) {
    s.alone = { ...s.alone, state: 'allowed' };
    d.do({ kind: 'allowAlone', request: s.alone.request, recorded: true });
    d.emit(
      'warning',
      'GOES_ON_ALONE_RECORDED',
      `commits do not wait for ${peer}: recorded ${where}`,
    );
  } else if (nobodyToTell(s, d.now)) {
    s.alone = { ...s.alone, state: 'allowed' };
    d.do({ kind: 'allowAlone', request: s.alone.request, recorded: false });
    const silent = seconds(d.now - s.peer.heardMs);
    const sentence = `commits do not wait for ${peer}, which has been silent for ${silent} and could not be told: it has to hear from ${s.config.self.name} before its copy counts again`;
    d.emit('error', 'GOES_ON_ALONE_UNRECORDED', sentence);
  }
}

function recordedWhere(s: MachineState): string | null {
  const { alone, vote, peer, config } = s;
  // Only a write of its own since then counts: an earlier one that says otherwise and was given up
  // may still arrive, unless a later one has changed the token.
  if (config.arbiter === 'etcd' && vote.aloneMs >= alone.sinceMs) return 'in etcd';
  const seen = peer.beat?.aloneSeen;
  if (seen?.epoch === alone.mark.epoch && seen.count === alone.mark.count) {
    return `at ${config.peer.name}`;
  }
  if (config.arbiter !== 'etcd' && isGone(peer)) {
    return `by its absence: ${config.peer.name} has to hear from ${config.self.name} first`;
  }
  return null;
}

function nobodyToTell(s: MachineState, now: number): boolean {
  const { timings, arbiter } = s.config;
  const silentMs = now - s.peer.heardMs;
  if (arbiter === 'etcd') return false;
  if (arbiter === 'none') return silentMs >= timings.aloneAfterMs;
  if (silentMs < timings.deadAfterMs) return false;
  const since = gatewayStableSinceMs(s, now);
  return since !== null && since <= now - timings.deadAfterMs;
}
