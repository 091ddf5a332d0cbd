// The way from standby to primary.
//
//   offer, election ─▶ consent ──the other grants──▶ mount ──promoted──▶ primary
//         └─(etcd)───────────────────▶ vote ──acquired──▶ ┘ ▲
//   takeover ─▶ (fence ──off──▶) (etcd: vote) ──────────────┤
//   forced   ─▶ consent ──ceased or silent──▶ (etcd: vote ──seized──▶ wait) ┘
//
//   any stage before mount ──doubt──▶ standby        mount ──failed, lease over──▶ demoting
import type { Draft } from './draft.ts';
import { seconds } from './draft.ts';
import { beginAlone } from './alone.ts';
import { startService, takeAddress } from './application.ts';
import { holdOff, nextEpoch } from './attempts.ts';
import { startDemotion } from './demotion.ts';
import { leader } from './election.ts';
import { cannotWrite, mayTakeOver, nothingMissing } from './evidence.ts';
import type { MachineEvent } from './event-types.ts';
import { gatewayStableSinceMs } from './gateway.ts';
import { updateLease } from './lease.ts';
import { isGone, isStale, type MachineState, ONLY_UP_TO_DATE, type Promotion } from './state.ts';
import { gatewayWaitMs, leaseWaitMs } from './timings.ts';
import { isVotedIn, isVotedOut } from './vote.ts';

/** Heartbeats that may pass before an attempt to get the other's consent is given up. */
const CONSENT_BEATS = 15;
/** A forced takeover waits for the old primary to stop everything. */
const DEMAND_PATIENCE_MS = 150_000;
/** A peer that was not heard yet may just be starting, as when a group is created: nobody is called before that. */
const FIRST_WORD_MS = 8000;

export function startPromotion(
  d: Draft,
  begin: Pick<Promotion, 'right' | 'epoch' | 'base' | 'accepts' | 'why'>,
): void {
  const { s, now } = d;
  s.role = 'promoting';
  s.triedEpoch = Math.max(s.triedEpoch, begin.epoch);
  s.declined = null;
  s.offer = null;
  s.waiting = '';
  d.lease({ untilMs: 0, byPeerMs: 0, byVoteMs: 0, askingSinceMs: now });
  const stage = firstStage(s, begin.right);
  s.promotion = { ...begin, stage, sinceMs: now, stageSinceMs: now, op: 0 };
  const { self, group } = s.config;
  const sentence = `${self.name} is about to be primary of ${group}: ${begin.why}`;
  d.emit(levelOf(begin.right), 'TAKING_OVER', sentence);
  if (stage === 'mount') mount(d);
  if (stage === 'fence') fence(d);
}

/** Where nobody served, or it was wanted, a new primary is nothing to warn of. */
function levelOf(right: Promotion['right']): 'info' | 'warning' {
  return right === 'offer' || right === 'election' ? 'info' : 'warning';
}

function firstStage(s: MachineState, right: Promotion['right']): Promotion['stage'] {
  const { arbiter, fencing } = s.config;
  if (right === 'forced') return 'consent';
  const gone = isGone(s.peer);
  if (right === 'takeover' && fencing !== 'off' && !gone) return 'fence';
  if (arbiter === 'etcd') return 'vote';
  // Its goodbye was its consent.
  if (gone) return 'mount';
  return right === 'takeover' ? 'mount' : 'consent';
}

function enter(d: Draft, stage: Promotion['stage']): void {
  const { promotion } = d.s;
  if (promotion === null) return;
  d.s.promotion = { ...promotion, stage, stageSinceMs: d.now };
  if (stage === 'mount') mount(d);
}

function fence(d: Draft): void {
  const { promotion, config } = d.s;
  if (promotion === null) return;
  const op = d.op();
  d.s.promotion = { ...promotion, op };
  d.do({ kind: 'fence', op, timeoutMs: config.timings.fenceTimeoutMs });
}

/** From here on everything is prepared and the service may write as soon as it is mounted. */
function mount(d: Draft): void {
  const { promotion } = d.s;
  if (promotion === null) return;
  updateLease(d);
  if (d.s.lease.untilMs <= d.now) {
    abandon(d, 'the right to serve ended before it could be used');
    return;
  }
  const op = d.op();
  d.s.promotion = { ...promotion, stage: 'mount', stageSinceMs: d.now, op };
  d.do({ kind: 'armWatchdog' });
  const { epoch, base } = promotion;
  d.do({ kind: 'promote', op, epoch, base, accepts: promotion.accepts });
  d.service({ forceAddress: promotion.right === 'takeover' || promotion.right === 'forced' });
  takeAddress(d);
}

/** Gives the attempt up; what was begun is undone. */
export function abandon(d: Draft, why: string): void {
  const { s } = d;
  const { promotion } = s;
  if (promotion === null) return;
  if (promotion.right === 'offer') s.declined = promotion.epoch;
  holdOff(d);
  const sentence = `${s.config.self.name} gives up becoming primary: ${why}`;
  if (promotion.stage === 'mount') {
    startDemotion(d, 'aborted', sentence);
    return;
  }
  s.promotion = null;
  s.role = 'standby';
  updateLease(d);
  d.emit('warning', 'TAKEOVER_GIVEN_UP', sentence);
}

/** Moves the attempt on as far as the facts allow. */
export function advancePromotion(d: Draft): void {
  const { s } = d;
  const { promotion } = s;
  if (promotion === null) return;
  const doubt = doubtOf(s, promotion, d.now);
  if (doubt !== null) {
    abandon(d, doubt);
    return;
  }
  switch (promotion.stage) {
    case 'consent':
      if (hasConsent(s, promotion, d.now)) afterConsent(d, promotion);
      return;
    case 'vote':
      if (!isVotedIn(s) || s.lease.byVoteMs <= d.now) return;
      enter(d, promotion.right === 'forced' ? 'wait' : 'mount');
      return;
    case 'wait':
      if (
        hasCeased(s, promotion.stageSinceMs) ||
        d.now >= promotion.stageSinceMs + leaseWaitMs(s.config.timings)
      ) {
        enter(d, 'mount');
      }
      return;
    default:
  }
}

function afterConsent(d: Draft, promotion: Promotion): void {
  const { s } = d;
  if (promotion.right !== 'forced') {
    enter(d, 'mount');
  } else if (s.config.arbiter === 'etcd') {
    enter(d, 'vote');
  } else if (s.config.arbiter === 'gateway' && gatewayStableSinceMs(s, d.now) === null) {
    abandon(d, 'it reaches neither the peer nor the gateway, and would have to stop at once');
  } else {
    enter(d, 'mount');
  }
}

/** The peer said, not too long ago, that it does not serve, or it is known to be gone. */
function hasCeased(s: MachineState, sinceMs: number): boolean {
  const { beat, heardMs } = s.peer;
  return isGone(s.peer) || (beat !== null && !beat.asks && heardMs > sinceMs);
}

function hasConsent(s: MachineState, promotion: Promotion, now: number): boolean {
  const { right, epoch } = promotion;
  if (right !== 'forced') return s.lease.byPeerMs > now;
  const { peer, config, granted } = s;
  const { timings, arbiter } = config;
  if (hasCeased(s, now - timings.deadAfterMs) && knowsDemand(s, promotion, now)) return true;
  const waitMs = arbiter === 'gateway' ? gatewayWaitMs(timings) : timings.deadAfterMs;
  const isSilent = now >= peer.heardMs + Math.max(timings.deadAfterMs, waitMs);
  return isSilent && now >= (granted?.untilMs ?? 0) && epoch > s.epoch;
}

/**
 * A peer that does not serve may have been told in this moment to take over as well: what it says counts once it has heard
 * of the demand, or has had the time to.
 */
function knowsDemand({ peer, config }: MachineState, { sinceMs }: Promotion, now: number): boolean {
  if (isGone(peer) || peer.heardBackMs >= sinceMs) return true;
  return now >= sinceMs + config.timings.deadAfterMs;
}

/** Why the attempt must not go on; null when nothing speaks against it. */
function doubtOf(s: MachineState, promotion: Promotion, now: number): string | null {
  const { peer, config } = s;
  const { beat } = peer;
  if (promotion.stage !== 'mount' && !promotion.accepts.includes(s.copy)) {
    return `the copy is ${s.copy} now`;
  }
  const isHeard = beat !== null && peer.heardMs > promotion.sinceMs;
  if (isHeard && beat.role === 'primary' && beat.epoch >= promotion.epoch) {
    return `${config.peer.name} is primary with epoch ${beat.epoch}`;
  }
  if (promotion.stage !== 'vote' && isVotedOut(s) && promotion.stage !== 'consent') {
    return `etcd gave the group to ${config.peer.name}`;
  }
  const isTakeover = isHeard && promotion.right === 'takeover';
  // A shot that was fired cannot be called back: until it is known how it ended, nothing else begins.
  if (isTakeover && promotion.stage === 'vote') return `${config.peer.name} is heard again`;
  if (isTakeover && config.arbiter === 'gateway' && beat.role === 'primary') {
    if (promotion.stage === 'mount') return `${config.peer.name} is heard again and is primary`;
  }
  return overdue(s, promotion, now);
}

function overdue(s: MachineState, promotion: Promotion, now: number): string | null {
  const { timings, peer } = s.config;
  const ms = now - promotion.stageSinceMs;
  switch (promotion.stage) {
    case 'consent': {
      const isForced = promotion.right === 'forced';
      const limit = isForced ? DEMAND_PATIENCE_MS : timings.heartbeatIntervalMs * CONSENT_BEATS;
      if (ms > limit) return `${peer.name} did not agree within ${seconds(ms)}`;
      return isForced ? otherOrder(s, promotion) : rival(s, promotion, now);
    }
    case 'fence':
      return ms > timings.fenceTimeoutMs * 1.5 ? 'the fence agent does not answer' : null;
    case 'vote':
      if (ms > timings.arbiterTimeoutMs * 3) return 'etcd does not answer';
      return lostVote(s, promotion) ?? missingCommits(s, promotion, now);
    case 'mount':
      return ms > timings.promoteTimeoutMs * 1.2 ? 'the promotion does not come to an end' : null;
    default:
      return null;
  }
}

function lostVote(s: MachineState, promotion: Promotion): string | null {
  const { record, known } = s.vote;
  if (!known || record === null || record.epoch < promotion.epoch || isVotedIn(s)) return null;
  return 'etcd gave the group to somebody else';
}

/** What the record says may be newer than what the attempt began with. */
function missingCommits(s: MachineState, { right }: Promotion, now: number): string | null {
  if (right === 'offer' || right === 'forced') return null;
  if (right === 'election') {
    return isStale(s) ? 'etcd says that acknowledged commits are missing here' : null;
  }
  const complete = nothingMissing(s, now);
  return complete.ok ? null : complete.why;
}

/** Both want to lead: the one that does not gives way. */
function rival(s: MachineState, promotion: Promotion, now: number): string | null {
  const { beat } = s.peer;
  if (promotion.right !== 'election' || beat === null) return null;
  if (beat.role === 'promoting' && leader(s, beat, now) !== 'self') return 'the other one leads';
  if (beat.role === 'primary') return `${s.config.peer.name} is primary`;
  return null;
}

/** Ordered on both nodes: the lower id stays. */
function otherOrder({ peer, config }: MachineState, { sinceMs }: Promotion): string | null {
  const isOrdered = peer.heardMs > sinceMs && peer.beat !== null && peer.beat.demand !== null;
  return isOrdered && config.peer.id < config.self.id
    ? `${config.peer.name} was ordered to take over as well`
    : null;
}

export function onFence(d: Draft, event: Extract<MachineEvent, { kind: 'fence' }>): void {
  const { s } = d;
  const { promotion, config } = s;
  if (promotion?.stage !== 'fence' || promotion.op !== event.op) return;
  if (event.off) {
    d.peer({ offSinceMs: d.now, left: false });
    d.emit('warning', 'PEER_FENCED', `${config.peer.name} was switched off: ${event.message}`);
  } else if (config.fencing === 'required') {
    const sentence = `${config.peer.name} could not be switched off (${event.message}), and the group requires it`;
    d.emit('error', 'FENCING_FAILED', sentence);
    abandon(d, 'fencing failed');
    return;
  } else {
    d.emit(
      'error',
      'FENCING_FAILED',
      `fencing failed (${event.message}): the arbiter's word counts`,
    );
  }
  if (!event.off && s.peer.heardMs > promotion.stageSinceMs) {
    abandon(d, `${config.peer.name} is heard again`);
    return;
  }
  const proofs = [cannotWrite(s, d.now), nothingMissing(s, d.now)];
  const missing = proofs.find((proof) => !proof.ok);
  if (missing !== undefined) abandon(d, missing.why);
  else enter(d, config.arbiter === 'etcd' ? 'vote' : 'mount');
}

export function onPromoted(d: Draft, event: Extract<MachineEvent, { kind: 'promoted' }>): void {
  const { s } = d;
  const { promotion } = s;
  if (promotion?.stage !== 'mount' || promotion.op !== event.op) return;
  s.role = 'primary';
  s.epoch = promotion.epoch;
  s.data = { epoch: promotion.epoch, sequence: event.position.sequence };
  s.copy = 'up-to-date';
  s.fresh = true;
  s.promotion = null;
  s.offer = null;
  s.wellSinceMs = d.now;
  s.handoversFailed = 0;
  // From now on the application itself tells.
  s.health = { ...s.health, readiness: 'ok' };
  beginAlone(d);
  const { epoch } = promotion;
  d.memo({ epoch, served: epoch, stale: false, aloneSeen: null });
  const took = seconds(d.now - promotion.sinceMs);
  const { self, group } = s.config;
  const sentence = `${self.name} is primary of ${group} with epoch ${s.epoch}, ${took} after it decided: ${promotion.why}`;
  d.emit(levelOf(promotion.right), 'BECAME_PRIMARY', sentence);
  startService(d);
}

export function onPromoteFailed(
  d: Draft,
  event: Extract<MachineEvent, { kind: 'promoteFailed' }>,
): void {
  const { s } = d;
  if (s.promotion?.stage !== 'mount' || s.promotion.op !== event.op) return;
  s.health = {
    ...s.health,
    application: 'failed',
    applicationFailedMs: d.now,
    why: event.message,
  };
  abandon(d, event.message);
}

/** A standby that hears nothing: takes over when it may, says why not when it changes. */
export function considerTakeover(d: Draft): void {
  const { s, now } = d;
  const verdict = mayTakeOver(s, now);
  if (verdict.ok) {
    const epoch = nextEpoch(s);
    startPromotion(d, {
      right: 'takeover',
      epoch,
      base: null,
      accepts: ONLY_UP_TO_DATE,
      why: verdict.why,
    });
    return;
  }
  s.wakeAtMs = Math.min(s.wakeAtMs, verdict.retryAtMs);
  const isDead = now - s.peer.heardMs >= s.config.timings.deadAfterMs;
  if (!isDead || verdict.code === s.waiting || verdict.code === 'LEASE_RUNS') return;
  const isUnheard = s.peer.beat === null && now - s.peer.heardMs < FIRST_WORD_MS;
  if (verdict.needsPerson && isUnheard) return;
  s.waiting = verdict.code;
  if (verdict.needsPerson) d.emit('error', 'WAITS_FOR_OPERATOR', verdict.why);
  else d.say(verdict.why);
}
