// Both nodes hear each other and neither is primary (after a black-out, a lost lease, a failed
// switchover): which one leads? Both sides work it out from the same facts and come to the same answer;
// where they do not yet, no harm is done, because the one that leads needs the consent of the other.
//
//   able        copy up-to-date, disk well
//   complete    was not told otherwise; and knows that no acknowledged commit is missing, or has the
//               newest data of the two while the other's is intact, or was the last of the two to serve,
//               or has what the other's is being made from
//   then        a network that clients can come in through; in `sync` the one whose application did not
//               fail, then newer data (otherwise newer data first); the preferred node; the lower id
import { networkHealth } from './gateway.ts';
import {
  applicationHealth,
  isAhead,
  isComplete,
  isIntact,
  isSamePosition,
  isStale,
  type MachineState,
} from './state.ts';
import type { GroupBeat, Health, Position } from './types.ts';

interface Candidate {
  readonly id: string;
  readonly able: boolean;
  /** Highest epoch it knows that somebody served with. */
  readonly epoch: number;
  readonly isIntact: boolean;
  /** Epoch that it served with last. */
  readonly served: number;
  readonly fresh: boolean;
  readonly stale: boolean;
  readonly network: Health;
  readonly application: Health;
  readonly data: Position;
}

function own(s: MachineState, now: number): Candidate {
  return {
    id: s.config.self.id,
    able: s.copy === 'up-to-date' && s.health.disk === 'ok' && !s.leaving,
    network: networkHealth(s, now),
    epoch: s.epoch,
    isIntact: isIntact(s.copy),
    served: s.memo.served,
    fresh: isComplete(s),
    stale: isStale(s),
    application: applicationHealth(s),
    data: s.data,
  };
}

function other(s: MachineState, beat: GroupBeat): Candidate {
  return {
    id: s.config.peer.id,
    able: beat.copy === 'up-to-date' && beat.disk === 'ok' && !beat.leaving,
    network: beat.network,
    epoch: beat.epoch,
    isIntact: isIntact(beat.copy),
    served: beat.served,
    fresh: beat.fresh,
    stale: beat.stale,
    application: beat.application,
    data: beat.data,
  };
}

function mayLead(a: Candidate, b: Candidate): boolean {
  if (!a.able || a.stale) return false;
  if (a.fresh && a.epoch >= b.epoch) return true;
  if (servedLast(a, b) || isSource(a, b)) return true;
  return b.isIntact && !isAhead(b.data, a.data);
}

/**
 * Commits are acknowledged by whoever serves: since `a` began to, nobody else has. An epoch above that
 * which somebody tried to serve with was not served. A node that lost its memory of having served, and
 * perhaps its data with it, says 0, which proves nothing.
 */
function servedLast(a: Candidate, b: Candidate): boolean {
  return b.served > 0 && a.served > b.served;
}

/**
 * `b` gave its data up for that of `a`, which had everything when it decided to serve with that epoch; and has not
 * served since. (The promotion of `a` took longer than its lease: it had served for its mirror, and for nobody else.)
 */
function isSource(a: Candidate, b: Candidate): boolean {
  const { epoch } = b.data;
  return !b.isIntact && b.served > 0 && epoch > b.served && epoch === a.data.epoch;
}

/** Who of the two leads; null when neither may without an operator. */
export function leader(s: MachineState, beat: GroupBeat, now: number): 'self' | 'peer' | null {
  const mine = own(s, now);
  const theirs = other(s, beat);
  const self = mayLead(mine, theirs);
  const peer = mayLead(theirs, mine);
  if (!self || !peer) return self ? 'self' : peer ? 'peer' : null;
  return isBetter(s, mine, theirs) ? 'self' : 'peer';
}

function isBetter(s: MachineState, a: Candidate, b: Candidate): boolean {
  const { mode, preferred } = s.config;
  if (a.network !== b.network) return a.network === 'ok';
  if (mode !== 'sync' && !isSamePosition(a.data, b.data)) return isAhead(a.data, b.data);
  if (a.application !== b.application) return a.application === 'ok';
  if (!isSamePosition(a.data, b.data)) return isAhead(a.data, b.data);
  if (preferred !== null) return preferred === a.id;
  return a.id < b.id;
}

/** Whether this standby promises the peer that sent `beat` not to take over. */
export function consentsTo(s: MachineState, beat: GroupBeat, now: number): boolean {
  if (s.role !== 'standby' || !beat.asks || beat.epoch < s.epoch) return false;
  if (beat.role === 'primary' || beat.demand !== null) return true;
  if (s.offer !== null) return s.offer.epoch === beat.epoch;
  return beat.epoch > s.epoch && leader(s, beat, now) === 'peer';
}
