// May a standby take over from a peer that it does not hear? Two proofs are needed, and each kind of
// arbiter gives them in its own way: that the peer cannot write any more, and that no commit was
// acknowledged which is missing here.
//
//   arbiter   it cannot write                         nothing is missing
//   etcd      record unchanged for a lease            the record does not say "alone"
//   gateway   silence while the gateway answered      the gateway answered since the peer heard us, but for lulls
//   none      fenced, or it said goodbye              fenced before it can have gone on alone, or goodbye
import { addressAnswer, gatewayStableSinceMs } from './gateway.ts';
import { isAhead, isGone, isCurrent, isSelf, type MachineState } from './state.ts';
import { seconds } from './draft.ts';
import { DRIFT, gatewayWaitMs, leaseWaitMs } from './timings.ts';

export type Verdict =
  | { readonly ok: true; readonly why: string }
  | {
      readonly ok: false;
      readonly code: string;
      readonly why: string;
      /** When time alone can change the answer. */
      readonly retryAtMs: number;
      /** Nothing but a person can change it while the peer stays silent. */
      readonly needsPerson: boolean;
    };

const LATER = Number.POSITIVE_INFINITY;

function no(code: string, why: string, retryAtMs = LATER, needsPerson = false): Verdict {
  return { ok: false, code, why, retryAtMs, needsPerson };
}

const yes = (why: string): Verdict => ({ ok: true, why });

/** Whether the data and the health of this node allow it to be primary at all. */
export function isAble(s: MachineState): Verdict {
  const { self, group } = s.config;
  if (s.copy !== 'up-to-date') {
    const why = `the copy of ${group} on ${self.name} is ${s.copy}, which is never promoted without an operator`;
    return no('COPY_NOT_PROMOTABLE', why, LATER, true);
  }
  if (s.health.disk === 'failed') {
    return no('DISK_FAILED', `the disk of ${self.name} has failed: ${s.health.why}`, LATER, true);
  }
  if (s.health.network === 'failed') {
    return no('NETWORK_FAILED', `the network of ${self.name} has failed: ${s.health.why}`);
  }
  return yes('');
}

/** May this standby take over from a silent peer now? */
export function mayTakeOver(s: MachineState, now: number): Verdict {
  const { config, peer } = s;
  const { timings } = config;
  const gone = isGone(peer);
  const deadAt = peer.heardMs + timings.deadAfterMs;
  if (!gone && now < deadAt) return no('PEER_HEARD', `${config.peer.name} is there`, deadAt);
  // What was sent meanwhile may be waiting to be read.
  const listenedAt = s.awakeSinceMs + timings.heartbeatIntervalMs * 4;
  if (!gone && now < listenedAt) {
    return no('JUST_AWAKE', `${config.self.name} has not listened long enough`, listenedAt);
  }
  if (!config.automatic) {
    return no('NOT_AUTOMATIC', 'automatic failover is switched off for this group', LATER, true);
  }
  if (s.memo.paused.on) return no('PAUSED', 'the group is paused', LATER, true);
  const able = isAble(s);
  if (!able.ok) return able;
  if (now < s.holdOffUntilMs) return no('HOLD_OFF', 'it pauses after a failure', s.holdOffUntilMs);
  const promised = s.granted?.untilMs ?? 0;
  if (!gone && now < promised) return no('PROMISED', 'its promise to the peer runs', promised);
  const harmless = cannotWrite(s, now);
  if (!harmless.ok) return harmless;
  const complete = nothingMissing(s, now);
  if (!complete.ok) return complete;
  return yes(`${silence(s, now)}; ${harmless.why}; ${complete.why}`);
}

function silence(s: MachineState, now: number): string {
  const { peer } = s;
  const name = s.config.peer.name;
  if (peer.offSinceMs !== null)
    return `${name} was switched off ${seconds(now - peer.offSinceMs)} ago`;
  if (peer.left) return `${name} said goodbye`;
  return `${name} has been silent for ${seconds(now - peer.heardMs)}`;
}

/** The first proof. */
export function cannotWrite(s: MachineState, now: number): Verdict {
  switch (s.config.arbiter) {
    case 'etcd':
      return recordAllows(s, now);
    case 'gateway':
      return gatewayAllows(s, now);
    default:
      return aloneAllows(s);
  }
}

function recordAllows(s: MachineState, now: number): Verdict {
  const { vote, config, peer } = s;
  if (!vote.known) return no('ARBITER_SILENT', 'etcd has not answered yet');
  const { record } = vote;
  if (!isCurrent(s, record)) {
    if (peer.beat !== null && !peer.beat.asks) return yes('etcd: nobody ever held the group');
    const lacks = vote.record === null ? 'no record' : 'only an earlier record';
    return no('ARBITER_EMPTY', `etcd has ${lacks} of the group`, LATER, true);
  }
  if (record.released || isSelf(s, record.holder)) return yes('etcd: nobody holds the group');
  if (peer.offSinceMs !== null && peer.offSinceMs > vote.observedMs) return yes('it was fenced');
  const ceased = peer.beat !== null && !peer.beat.asks && record.epoch <= peer.beat.epoch;
  if (ceased) return yes(`${config.peer.name} said that it has ceased`);
  const endsAt = vote.observedMs + leaseWaitMs(config.timings);
  if (now < endsAt)
    return no('LEASE_RUNS', `the lease of ${config.peer.name} may still run`, endsAt);
  return yes(`etcd: its lease was not renewed for ${seconds(now - vote.observedMs)}`);
}

function gatewayAllows(s: MachineState, now: number): Verdict {
  const { config, peer } = s;
  if (peer.offSinceMs !== null) return yes('it was fenced');
  if (peer.left) return yes('it has ceased');
  const since = gatewayStableSinceMs(s, now);
  if (since === null) {
    return no(
      'GATEWAY_SILENT',
      `${config.self.name} does not reach the gateway: it may be the one cut off`,
    );
  }
  const at = Math.max(since, peer.heardMs) + gatewayWaitMs(config.timings);
  if (now < at) return no('LEASE_RUNS', `the lease of ${config.peer.name} may still run`, at);
  if (!config.hasAddress) return yes('the gateway answers here');
  const answer = addressAnswer(s, now);
  if (answer === 'answers') {
    const why = `somebody still serves behind the virtual address, although ${config.peer.name} is silent`;
    return no('ADDRESS_ANSWERS', why);
  }
  if (answer === 'unknown')
    return no('ADDRESS_UNKNOWN', 'the virtual address has not been asked yet');
  return yes('the gateway answers here, and nobody behind the virtual address');
}

function aloneAllows(s: MachineState): Verdict {
  const { config, peer } = s;
  if (peer.offSinceMs !== null) return yes('it was fenced');
  if (peer.left) return yes('it has ceased');
  if (config.fencing !== 'off') return yes('it will be fenced first');
  const why =
    `${config.peer.name} is silent and nothing proves that it is down (no arbiter, no fencing): ` +
    `if it is off, run "understudy takeover ${config.group} --force" on ${config.self.name}`;
  return no('NO_PROOF', why, LATER, true);
}

/** The second proof. */
export function nothingMissing(s: MachineState, now: number): Verdict {
  const { config, memo } = s;
  if (config.availabilityFirst) return yes('the group chose availability first');
  if (memo.stale) {
    const why =
      `${config.peer.name} has acknowledged commits alone, which the copy on ${config.self.name} lacks: ` +
      `bring ${config.peer.name} back, or give them up with "understudy takeover ${config.group} --force"`;
    return no('COPY_STALE', why, LATER, true);
  }
  if (config.arbiter === 'etcd') return recordSaysComplete(s);
  if (s.booting) {
    const why =
      `${config.self.name} has started and has not heard ${config.peer.name}, which may have newer data: ` +
      `start ${config.peer.name}, or run "understudy takeover ${config.group} --force"`;
    return no('BOOTED_ALONE', why, LATER, true);
  }
  return s.fresh && nobodyWentOnAlone(s, now) ? yes('its copy is complete') : unproven(s);
}

function recordSaysComplete(s: MachineState): Verdict {
  const { config, vote } = s;
  const { record } = vote;
  if (!isCurrent(s, record)) return unproven(s);
  if (isSelf(s, record.holder)) return yes('its own data is the newest');
  if (record.alone) {
    const why =
      `etcd: ${config.peer.name} has acknowledged commits alone, which the copy on ${config.self.name} lacks: ` +
      `bring ${config.peer.name} back, or give them up with "understudy takeover ${config.group} --force"`;
    return no('COPY_STALE', why, LATER, true);
  }
  // Commits confirmed from memory, or not at all, are gone after a restart of this node.
  if (config.mode !== 'sync' && !s.fresh) return unproven(s);
  return yes(`etcd: ${config.peer.name} acknowledged nothing alone`);
}

function nobodyWentOnAlone(s: MachineState, now: number): boolean {
  const { peer, config } = s;
  const last = peer.beat;
  if (peer.left && last !== null) return !isAhead(last.data, s.data);
  if (peer.offSinceMs !== null && fencedInTime(s, peer.offSinceMs)) return true;
  if (config.arbiter === 'none') return config.fencing !== 'off' && fencedInTime(s, now);
  return gatewayStableSinceMs(s, now) !== null && s.gateway.audibleSinceMs <= peer.heardBackMs;
}

/** A primary goes on alone only some time after it heard us last. */
function fencedInTime(s: MachineState, offMs: number): boolean {
  const { timings } = s.config;
  return offMs < s.peer.heardBackMs + timings.aloneAfterMs * (1 - DRIFT) - timings.marginMs;
}

function unproven(s: MachineState): Verdict {
  const { config } = s;
  const why =
    `${config.peer.name} may have acknowledged commits alone before it fell silent: ` +
    `bring it back, or run "understudy takeover ${config.group} --force" on ${config.self.name}`;
  return no('COPY_MAY_BE_STALE', why, LATER, true);
}
