// When a primary steps down or moves without anybody asking, and when a standby begins to lead.
import type { Draft } from './draft.ts';
import { seconds } from './draft.ts';
import { nextEpoch } from './attempts.ts';
import { startDemotion, startHandover } from './demotion.ts';
import { leader } from './election.ts';
import { networkHealth } from './gateway.ts';
import { considerTakeover, startPromotion } from './promotion.ts';
import { isGone, isSamePosition, type MachineState, ONLY_UP_TO_DATE } from './state.ts';
import { isVotedOut } from './vote.ts';

const FAILBACK_MS_MAX = 86_400_000;

/** What time alone has ended: a lease that ran out is over before anything else is looked at. */
export function enforceLease(d: Draft): void {
  const { s, now } = d;
  if (s.lease.untilMs === 0 || now < s.lease.untilMs) return;
  const { self, peer, arbiter } = s.config;
  const silent = seconds(now - s.peer.heardMs);
  const why =
    `${self.name} lost the right to serve: ${peer.name} last heard ${silent} ago, and ` +
    (arbiter === 'etcd' ? 'etcd did not renew the lease' : 'the gateway did not answer');
  startDemotion(d, s.role === 'promoting' ? 'aborted' : 'lease', why);
}

/** The primary's decisions. */
export function decidePrimary(d: Draft): void {
  const { s } = d;
  const { beat } = s.peer;
  if (isVotedOut(s)) {
    startDemotion(d, 'superseded', `etcd gave the group to ${s.config.peer.name}`);
    return;
  }
  if (beat !== null && isOverruled(s)) {
    const { peer, self } = s.config;
    const why = `${peer.name} knows epoch ${beat.epoch}, ${self.name} has ${s.epoch}: it steps down`;
    startDemotion(d, 'superseded', why);
    return;
  }
  if (beat !== null && beat.demand !== null && beat.demand > s.epoch) {
    startDemotion(d, 'yield', `an operator wants ${s.config.peer.name} to be primary`);
    return;
  }
  if (s.demotion !== null) return;
  if (s.leaving) {
    const why = `${s.config.self.name} is about to be shut down`;
    startHandover(d, { cause: 'leave', why, users: 'told' });
  } else considerHandover(d);
}

/**
 * Somebody served after this node: the newer epoch leads. With equal ones, which no arbiter allows,
 * the lower id stays.
 */
function isOverruled({ peer, epoch, config }: MachineState): boolean {
  const { beat } = peer;
  if (beat === null || beat.role === 'promoting') return false;
  if (beat.epoch !== epoch) return beat.epoch > epoch;
  return beat.role === 'primary' && config.peer.id < config.self.id;
}

/** Whether the peer could be primary at once, without losing anything. */
export function peerCanTake(s: MachineState, now: number): string | null {
  const { peer, config } = s;
  const { beat } = peer;
  const { name } = config.peer;
  if (beat === null || now - peer.heardMs >= config.timings.deadAfterMs)
    return `${name} is not heard`;
  if (beat.role !== 'standby') return `${name} is ${beat.role}`;
  if (beat.leaving) return `${name} is about to be shut down`;
  if (beat.copy !== 'up-to-date') return `the copy on ${name} is ${beat.copy}`;
  if (s.alone.state !== 'together') return `${name} does not have everything yet`;
  if (beat.disk === 'failed') return `the disk of ${name} has failed`;
  return null;
}

function considerHandover(d: Draft): void {
  const { s, now } = d;
  if (s.memo.paused.on || !s.config.automatic) return;
  const trouble = troubleHere(s, now);
  const why = trouble ?? failbackDue(d);
  if (why === null || !peerIsBetter(s, now)) return;
  startHandover(d, { cause: 'handover', why, users: trouble === null ? 'told' : 'ended' });
}

function peerIsBetter(s: MachineState, now: number): boolean {
  const { beat } = s.peer;
  if (beat === null || peerCanTake(s, now) !== null || now < s.holdOffUntilMs) return false;
  return beat.network === 'ok' && beat.application === 'ok';
}

function troubleHere(s: MachineState, now: number): string | null {
  const { name } = s.config.self;
  if (s.health.disk === 'failed') return `the disk of ${name} has failed (${s.health.why})`;
  if (networkLost(s, now)) return `clients cannot reach ${name} any more`;
  if (s.service.application === 'failed') return `the application fails on ${name}`;
  return null;
}

/** Long enough that the peer would have said by now that it has lost its network too. */
function networkLost(s: MachineState, now: number): boolean {
  const { timings } = s.config;
  if (networkHealth(s, now) === 'ok') return false;
  const { network, networkSinceMs } = s.health;
  if (network === 'failed') return now - networkSinceMs > timings.heartbeatIntervalMs * 5;
  return now - s.gateway.lastOkMs > timings.deadAfterMs * 1.5;
}

/** Goes back to the preferred node when all has been well for long enough. */
function failbackDue(d: Draft): string | null {
  const { s, now } = d;
  const { failback, preferred, peer, hasApplication } = s.config;
  const isWell =
    s.alone.state === 'together' && (!hasApplication || s.service.application === 'running');
  if (!isWell || !peerIsBetter(s, now)) s.wellSinceMs = now;
  if (!failback || preferred !== peer.id) return null;
  const afterMs = failbackAfterMs(s);
  if (now - s.wellSinceMs < afterMs) return null;
  return `${peer.name} is the preferred node and has been well for ${seconds(afterMs)}`;
}

/** Each one that comes to nothing (a shell stands in the directory) interrupts the application: they become rare. */
function failbackAfterMs({ config, handoversFailed }: MachineState): number {
  const { failbackAfterMs: usualMs } = config.timings;
  return Math.max(usualMs, Math.min(usualMs * 2 ** handoversFailed, FAILBACK_MS_MAX));
}

/** The standby's decisions. */
export function decideStandby(d: Draft): void {
  const { s, now } = d;
  if (s.leaving) return;
  const { peer, config } = s;
  forgetFailure(d);
  const hasGone = isGone(peer);
  const isSilent = now - peer.heardMs >= config.timings.deadAfterMs;
  if (isSilent && !peer.silenceTold && peer.beat !== null && !peer.left) {
    d.peer({ silenceTold: true });
    const silent = seconds(now - peer.heardMs);
    d.emit(
      'warning',
      'PEER_SILENT',
      `${config.peer.name} has not been heard for ${silent} on any network`,
    );
  }
  const offer = peer.beat?.offer ?? null;
  const isOffered = offer !== null && s.declined !== offer.epoch;
  if (isSilent || peer.beat === null || (hasGone && !isOffered)) {
    considerTakeover(d);
    return;
  }
  s.wakeAtMs = Math.min(s.wakeAtMs, peer.heardMs + config.timings.deadAfterMs);
  if (now < s.holdOffUntilMs) return;
  if (offer !== null) considerOffer(d);
  else considerElection(d);
}

/** A failure of long ago does not keep this node from being tried again. */
function forgetFailure(d: Draft): void {
  const { s, now } = d;
  const { application, applicationFailedMs } = s.health;
  if (application === 'ok' || now < applicationFailedMs + s.config.timings.failureMemoryMs) return;
  s.health = { ...s.health, application: 'ok', why: '' };
}

function considerOffer(d: Draft): void {
  const { s, now } = d;
  const offer = s.peer.beat?.offer ?? null;
  if (offer === null || s.declined === offer.epoch) return;
  const { peer } = s.config;
  const isOld = offer.epoch <= s.epoch || offer.epoch < s.triedEpoch;
  if (s.copy !== 'up-to-date' || s.health.disk === 'failed' || isOld) {
    s.declined = offer.epoch;
    return;
  }
  if (!isSamePosition(s.data, offer.position)) {
    // The mirror may still be about to say so.
    if (now - s.peer.presentSinceMs > 0 && s.data.sequence > offer.position.sequence) {
      s.declined = offer.epoch;
    }
    return;
  }
  const why = `${peer.name} has stopped and handed over`;
  const { epoch, position } = offer;
  startPromotion(d, { right: 'offer', epoch, base: position, accepts: ONLY_UP_TO_DATE, why });
}

function considerElection(d: Draft): void {
  const { s, now } = d;
  const { peer, config } = s;
  const { beat } = peer;
  if (beat === null || beat.role !== 'standby' || s.memo.paused.on || s.offer !== null) return;
  // Both must have had the time to hear each other's last word.
  if (now - peer.presentSinceMs < config.timings.heartbeatIntervalMs * 2) return;
  if (leader(s, beat, now) !== 'self') return;
  const why = `neither node was primary, and ${config.self.name} has the newest data`;
  startPromotion(d, {
    right: 'election',
    epoch: nextEpoch(s),
    base: null,
    accepts: ONLY_UP_TO_DATE,
    why,
  });
}
