// The arbiter `etcd`: keeps the record read and renewed, one question at a time.
//
// A write whose answer does not come may have happened, or may still happen. Every write names the token
// that it expects, so a late one does no harm, and one that happened shows in the next answer.
import { noteArbiterAnswer, noteArbiterSilence } from './arbiter-silence.ts';
import type { ArbiterRequest } from './effect-types.ts';
import type { MachineEvent } from './event-types.ts';
import type { Draft } from './draft.ts';
import { cannotWrite } from './evidence.ts';
import { keepsRecord, ownEpoch } from './lease.ts';
import { type ArbiterAsk, isCurrent, isSelf, type MachineState, type VoteState } from './state.ts';
import { leaseEndMs, suspectAfterMs } from './timings.ts';
import type { ArbiterRecord } from './types.ts';

function setVote(d: Draft, change: Partial<VoteState>): void {
  d.s.vote = { ...d.s.vote, ...change };
}

function ask(d: Draft, request: ArbiterRequest): void {
  const op = d.op();
  const { kind } = request;
  const alone = kind !== 'read' && request.alone;
  setVote(d, { ask: { op, kind, alone, sentAtMs: d.now }, askedMs: d.now, retry: false });
  d.do({ kind: 'askArbiter', op, request, timeoutMs: d.s.config.timings.arbiterTimeoutMs });
}

/** Reads or renews when it is due. */
export function keepVote(d: Draft): void {
  const { s, now } = d;
  if (s.config.arbiter !== 'etcd') return;
  if (s.vote.ask !== null) {
    if (now - s.vote.ask.sentAtMs < s.config.timings.arbiterTimeoutMs * 2) return;
    giveUp(d, s.vote.ask, 'no answer in time');
  }
  if (s.role === 'promoting' && s.promotion?.stage === 'vote') askForVote(d);
  else if (keepsRecord(s)) renew(d);
  else readOrRelease(d);
}

function askForVote(d: Draft): void {
  const { s } = d;
  const { vote, promotion } = s;
  if (promotion === null) return;
  if (promotion.right === 'forced') {
    ask(d, { kind: 'seize', epoch: promotion.epoch, alone: false });
    return;
  }
  if (!vote.known) {
    if (isDue(d)) ask(d, { kind: 'read' });
    return;
  }
  // What the record says now may be newer than what the other node said last.
  if (!cannotWrite(s, d.now).ok) {
    if (isDue(d)) ask(d, { kind: 'read' });
    return;
  }
  const { record } = vote;
  // An attempt before this one has arrived after all: confirm it, since a lease counts from an answer.
  if (record !== null && holdsRecord(s, record)) {
    const { token, alone } = record;
    ask(d, { kind: 'renew', epoch: promotion.epoch, token, alone });
    return;
  }
  // What this node acknowledged alone before stays unknown to the other until the mirror says otherwise.
  const alone = record !== null && isSelf(s, record.holder) && record.alone;
  ask(d, { kind: 'acquire', epoch: promotion.epoch, token: record?.token ?? null, alone });
}

function renew(d: Draft): void {
  const { s } = d;
  const { known, record, retry, aloneMs } = s.vote;
  if (!known) {
    if (isDue(d)) ask(d, { kind: 'read' });
    return;
  }
  const isHeld = record !== null && holdsRecord(s, record);
  const alone = s.alone.state !== 'together';
  const isUnwritten = s.alone.state === 'recording' && aloneMs < s.alone.sinceMs;
  const changes = s.role === 'primary' && isHeld && (isUnwritten || record.alone !== alone);
  if (!changes && !retry && !isDue(d)) return;
  const epoch = ownEpoch(s);
  if (isHeld) {
    const flag = s.role === 'primary' ? alone : record.alone;
    ask(d, { kind: 'renew', epoch, token: record.token, alone: flag });
  } else if (s.role === 'primary' && !isCurrent(s, record)) {
    // Whoever would take over later could not know what it may.
    ask(d, { kind: 'acquire', epoch, token: s.vote.record?.token ?? null, alone });
  } else {
    ask(d, { kind: 'read' });
  }
}

function readOrRelease(d: Draft): void {
  const { s } = d;
  const { record, known } = s.vote;
  const isOurs = known && record !== null && isSelf(s, record.holder) && !record.released;
  if (isOurs && s.role === 'standby' && !s.booting) {
    const { epoch, token } = record;
    // What was drained and offered is on the other side too.
    const alone = record.alone && s.offer === null;
    ask(d, { kind: 'release', epoch, token, alone });
  } else if (isDue(d)) {
    ask(d, { kind: 'read' });
  }
}

function isDue({ s, now }: Draft): boolean {
  const { timings } = s.config;
  const interval = isUrgent(s, now)
    ? timings.arbiterUrgentIntervalMs
    : timings.arbiterCalmIntervalMs;
  return now >= s.vote.askedMs + interval;
}

function isUrgent(s: MachineState, now: number): boolean {
  const { timings } = s.config;
  if (!s.vote.known || s.booting || s.role === 'promoting') return true;
  if (keepsRecord(s)) return s.lease.byPeerMs - now < timings.leaseMs * 0.7;
  if (now - s.peer.heardMs > suspectAfterMs(timings)) return true;
  return s.peer.beat?.role !== 'primary';
}

function holdsRecord(s: MachineState, record: ArbiterRecord): boolean {
  return isSelf(s, record.holder) && record.epoch === ownEpoch(s) && !record.released;
}

/** Makes the next look at the record due now. */
export function lookAtRecord(d: Draft): void {
  if (d.s.role === 'standby') setVote(d, { askedMs: Number.NEGATIVE_INFINITY });
}

/** Takes an answer of the arbiter in. What it allows or forbids is decided elsewhere. */
export function onArbiter(d: Draft, event: Extract<MachineEvent, { kind: 'arbiter' }>): void {
  const { s } = d;
  const asked = s.vote.ask;
  if (asked === null || asked.op !== event.op) return;
  if (event.result === 'unreachable') {
    giveUp(d, asked, event.why);
    return;
  }
  noteArbiterAnswer(d);
  const { record } = event;
  const isSame = s.vote.record?.token === record?.token;
  setVote(d, {
    ask: null,
    record,
    known: true,
    retry: isToBeWritten(s, event),
    observedMs: isSame ? s.vote.observedMs : d.now,
  });
  if (record !== null) learnEpoch(d, record);
  if (event.result === 'done') {
    countLease(d, asked);
    if (asked.kind === 'acquire' && s.role === 'primary') tellWrittenAgain(d);
  }
  if (!isSame) countUnanswered(d);
}

/** A write of its own that was given up has happened after all, and confirms nothing yet; or the record is lost. */
function isToBeWritten(
  s: MachineState,
  { result, record }: Pick<Extract<MachineEvent, { kind: 'arbiter' }>, 'result' | 'record'>,
): boolean {
  if (record !== null && holdsRecord(s, record)) return result === 'conflict';
  return s.role === 'primary' && !isCurrent(s, record);
}

function tellWrittenAgain(d: Draft): void {
  const { group, self } = d.s.config;
  const what = `etcd had no record of ${group}, or one of before`;
  d.emit('warning', 'ARBITER_RECORD_LOST', `${what}: ${self.name} has written it again`);
}

function giveUp(d: Draft, asked: ArbiterAsk, why: string): void {
  const { unansweredMs } = d.s.vote;
  const isWrite = asked.kind !== 'read' && asked.kind !== 'release';
  const oldest = isWrite && unansweredMs === null ? asked.sentAtMs : unansweredMs;
  setVote(d, { ask: null, unansweredMs: oldest });
  noteArbiterSilence(d, asked.sentAtMs, why);
}

/**
 * The record is this node's own and another than before: a write that was given up has been done. It
 * was sent after the oldest that was, so the lease may count from there: slow is not lost.
 */
function countUnanswered(d: Draft): void {
  const { s } = d;
  const { unansweredMs, record } = s.vote;
  if (unansweredMs === null) return;
  setVote(d, { unansweredMs: null });
  if (!keepsRecord(s) || record === null || !holdsRecord(s, record)) return;
  const end = leaseEndMs(s.config.timings, unansweredMs);
  if (end > s.lease.byVoteMs) d.lease({ byVoteMs: end });
}

function learnEpoch(d: Draft, record: ArbiterRecord): void {
  const { s } = d;
  s.triedEpoch = Math.max(s.triedEpoch, record.epoch);
  if (s.role === 'standby') s.epoch = Math.max(s.epoch, record.epoch);
}

function countLease(d: Draft, asked: ArbiterAsk): void {
  if (asked.kind === 'read' || asked.kind === 'release') return;
  const end = leaseEndMs(d.s.config.timings, asked.sentAtMs);
  if (end > d.s.lease.byVoteMs) d.lease({ byVoteMs: end });
  if (asked.alone) setVote(d, { aloneMs: asked.sentAtMs });
}

/** The record says that somebody else holds the group, or held it after this node. */
export function isVotedOut(s: MachineState): boolean {
  const { record } = s.vote;
  if (s.config.arbiter !== 'etcd' || record === null) return false;
  const epoch = ownEpoch(s);
  return record.epoch > epoch || (record.epoch === epoch && !isSelf(s, record.holder));
}

/** The record holds this node's claim for the epoch that it wants. */
export function isVotedIn(s: MachineState): boolean {
  return s.vote.known && s.vote.record !== null && holdsRecord(s, s.vote.record);
}
