// What is being carried out that must not be done twice, so that a successor can tell how far it got.
//
// The capture thread notes a request before it changes names underneath. All records of a request become
// visible in the ring at once, then all its entries in the log, then it is answered. A successor finds
// the request asked for again and knows from the sequence in the note whether its records are there, and
// from the directory underneath whether it was carried out:
//
//   carried out │ recorded │ settled │ what the successor does
//   no          │ no       │ no      │ carries it out as if nothing had been
//   yes         │ no       │ no      │ what comes after: tables, records, answer
//   yes         │ yes      │ no      │ the same without records
//   yes         │ yes      │ yes     │ answers
//
// Calls that may be repeated (writes, attributes, reads) have no note: they are carried out again and
// recorded again, which leaves the standby with the times of the second time, too.
import { type Request, RESENT } from './channel.ts';
import { INTENT_BYTES, INTENTS_AT, type SharedState } from './shared-state.ts';

const at = {
  phase: 0,
  uniqueLow: 1,
  uniqueHigh: 2,
  sequenceLow: 3,
  sequenceHigh: 4,
  partial: 5,
  aLow: 6,
  aHigh: 7,
  bLow: 8,
  bHigh: 9,
  c: 10,
} as const;
const phase = {
  none: 0,
  /** Being carried out; recorded when there are records behind the sequence. */
  begun: 1,
  /** The process died; settled by its successor, which has not been asked again yet. */
  unrecorded: 2,
  recorded: 3,
} as const;
const HIGH = 0x1_0000_0000;

/** What an operation wants to know when it is asked for again; what the numbers mean is its business. */
export interface Noted {
  readonly a: number;
  readonly b: number;
  readonly c: number;
  /** Its records are in the ring. */
  readonly recorded: boolean;
  /** It died amid more records than fit the ring: some are there, others are not. */
  readonly partial: boolean;
}

/** Notes of one directory. */
export class Intent {
  readonly #words: Int32Array;
  #inherited: Noted | undefined;
  /** Only a part of what a request changed is recorded: a scan has to mend that. */
  needsScan = false;

  constructor(state: SharedState, index: number) {
    this.#words = new Int32Array(
      state.control,
      INTENTS_AT + index * INTENT_BYTES,
      INTENT_BYTES / 4,
    );
  }

  /** Takes over what another process noted; `sequence` is that of the last record in the ring. */
  inherit(sequence: number): void {
    const words = this.#words;
    let now = words[at.phase] ?? 0;
    if (now === phase.none) return;
    if (now === phase.begun) {
      now = sequence > this.#number(at.sequenceLow) ? phase.recorded : phase.unrecorded;
      Atomics.store(words, at.phase, now);
    }
    this.#inherited = {
      a: this.#number(at.aLow),
      b: this.#number(at.bLow),
      c: words[at.c] ?? 0,
      recorded: now === phase.recorded,
      partial: now === phase.recorded && words[at.partial] === 1,
    };
  }

  #number(field: number): number {
    return ((this.#words[field + 1] ?? 0) >>> 0) * HIGH + ((this.#words[field] ?? 0) >>> 0);
  }

  #put(field: number, value: number): void {
    this.#words[field] = value | 0;
    this.#words[field + 1] = Math.floor(value / HIGH);
  }

  /** Notes that `request` is about to be carried out, behind record `sequence`. */
  begin(request: Request, sequence: number, { a = 0, b = 0, c = 0 } = NOTHING): void {
    const words = this.#words;
    Atomics.store(words, at.phase, phase.none);
    words[at.uniqueLow] = request.uniqueLow | 0;
    words[at.uniqueHigh] = request.uniqueHigh & ~RESENT;
    words[at.partial] = 0;
    words[at.c] = c;
    this.#put(at.sequenceLow, sequence);
    this.#put(at.aLow, a);
    this.#put(at.bLow, b);
    Atomics.store(words, at.phase, phase.begun);
    this.#inherited = undefined;
  }

  /** Completes the note with what is known only later. */
  complete(a: number, b: number): void {
    this.#put(at.aLow, a);
    this.#put(at.bLow, b);
  }

  /** A part of the records becomes visible before the others. */
  notePartial(): void {
    this.#words[at.partial] = 1;
  }

  /**
   * What was noted about `request` by a process that died before it answered; undefined when it is new,
   * or was not begun. Records of what follows belong behind `sequence`.
   */
  resume(request: Request, sequence: number): Noted | undefined {
    const noted = this.#inherited;
    if (noted === undefined || !request.isResent || !this.#isAbout(request)) return undefined;
    this.#inherited = undefined;
    if (!noted.recorded) {
      this.#put(at.sequenceLow, sequence);
      this.#words[at.partial] = 0;
      Atomics.store(this.#words, at.phase, phase.begun);
    }
    if (noted.partial) this.needsScan = true;
    return noted;
  }

  #isAbout(request: Request): boolean {
    return (
      (this.#words[at.uniqueLow] ?? 0) >>> 0 === request.uniqueLow &&
      (this.#words[at.uniqueHigh] ?? 0) === (request.uniqueHigh & ~RESENT)
    );
  }
}

const NOTHING: { a?: number; b?: number; c?: number } = {};
