// Words in shared memory through which receiver and applier thread meet. The journal's files carry
// the records; here is only how far one may read and how far the other has come.
//
//  at byte  type  writer    meaning
//     0     i32   receiver  wake counter: changes whenever the applier should look again
//     4     i32   receiver  1 = stop after the current batch
//     8     i32   applier   needs posted so far (modulo 2^32), counted before `applied` passes them
//    12     i32   applier   number of the segment it reads: this one and later ones are not freed
//    16     i32   applier   counter: changes whenever `applied` does
//    24     i64   receiver  tail: last sequence durable in the journal; later ones are not applied
//    32     i64   applier   last sequence applied
//    40     f64   receiver  a scan may trust what the copy has not changed since then, wall clock ms
//    48     f64   applier   wall clock ms before the first change behind the moment; 0: there is none
//    56     i64   applier   moment: last sequence applied that may be a checkpoint
//
// Only durable records are applied: otherwise a power cut could leave effects in the copy of records
// that its own journal does not have, and the copy would be no moment of the primary.
const WAKE = 0;
const STOP = 1;
const NEEDS = 2;
const SEGMENT = 3;
const APPLIED_CHANGED = 4;
/** Indices of 64-bit words. */
const TAIL = 3;
const APPLIED = 4;
const TRUSTED_SINCE = 5;
const CHANGED_SINCE = 6;
const MOMENT = 7;
const CONTROL_BYTES = 64;

export class ApplyControl {
  /** Hand this to the other thread. */
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;
  readonly #sequences: BigInt64Array;
  readonly #times: Float64Array;

  constructor(memory: SharedArrayBuffer) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
    this.#sequences = new BigInt64Array(memory);
    this.#times = new Float64Array(memory);
  }

  /** New control words; everything up to `sequence` counts as applied and durable. */
  static create(sequence: number, segment: number): ApplyControl {
    const control = new ApplyControl(new SharedArrayBuffer(CONTROL_BYTES));
    Atomics.store(control.#sequences, TAIL, BigInt(sequence));
    Atomics.store(control.#sequences, APPLIED, BigInt(sequence));
    Atomics.store(control.#sequences, MOMENT, BigInt(sequence));
    Atomics.store(control.#words, SEGMENT, segment);
    control.trustedSinceMs = Number.NaN;
    return control;
  }

  /** Last sequence that may be applied. */
  get tail(): number {
    return Number(Atomics.load(this.#sequences, TAIL));
  }

  /** Receiver: records up to `sequence` may be applied now. */
  publishTail(sequence: number): void {
    Atomics.store(this.#sequences, TAIL, BigInt(sequence));
    this.#wakeApplier();
  }

  /** Applier: blocks until the tail is behind `sequence`, a stop is wanted or the time is over. */
  waitForTail(sequence: number, timeoutMs: number): void {
    const seen = Atomics.load(this.#words, WAKE);
    if (this.tail > sequence || this.stopWanted) return;
    Atomics.wait(this.#words, WAKE, seen, timeoutMs);
  }

  get stopWanted(): boolean {
    return Atomics.load(this.#words, STOP) === 1;
  }

  /** Receiver: the applier is to end after the batch it is at. */
  requestStop(): void {
    Atomics.store(this.#words, STOP, 1);
    this.#wakeApplier();
  }

  /** Last sequence applied. */
  get applied(): number {
    return Number(Atomics.load(this.#sequences, APPLIED));
  }

  /** Last applied sequence that may be a checkpoint: where an undo log is kept, a state of that. */
  get moment(): number {
    return Number(Atomics.load(this.#sequences, MOMENT));
  }

  /** Applier: records up to `sequence` are applied and the batch is ended. */
  publishApplied(sequence: number, moment = sequence): void {
    Atomics.store(this.#sequences, MOMENT, BigInt(moment));
    Atomics.store(this.#sequences, APPLIED, BigInt(sequence));
    Atomics.add(this.#words, APPLIED_CHANGED, 1);
    Atomics.notify(this.#words, APPLIED_CHANGED);
  }

  /**
   * Receiver: resolves when `applied` has moved past `sequence` or the moment past `moment`, or after
   * `timeoutMs`.
   */
  async waitForApplied(
    sequence: number,
    timeoutMs: number,
    moment = Number.MAX_SAFE_INTEGER,
  ): Promise<void> {
    const seen = Atomics.load(this.#words, APPLIED_CHANGED);
    if (this.applied > sequence || this.moment > moment) return;
    const wait = Atomics.waitAsync(this.#words, APPLIED_CHANGED, seen, timeoutMs);
    if (wait.async) await wait.value;
  }

  /** Needs that the applier has posted as messages, modulo 2^32. */
  get needsPosted(): number {
    return Atomics.load(this.#words, NEEDS) >>> 0;
  }

  /**
   * Applier: `count` needs were posted. Must come before the `publishApplied` of the record that
   * caused them: the receiver does not acknowledge a sequence before it has the needs up to it.
   */
  countNeeds(count: number): void {
    Atomics.add(this.#words, NEEDS, count);
  }

  get readerSegment(): number {
    return Atomics.load(this.#words, SEGMENT);
  }

  set readerSegment(segment: number) {
    Atomics.store(this.#words, SEGMENT, segment);
  }

  /** Receiver: see the table above; NaN (at first): nothing is trusted. */
  get trustedSinceMs(): number {
    return this.#times[TRUSTED_SINCE] ?? Number.NaN;
  }

  set trustedSinceMs(wallMs: number) {
    this.#times[TRUSTED_SINCE] = wallMs;
  }

  /** Applier: must be set before anything behind the moment is changed, and be 0 when nothing is. */
  get changedSinceMs(): number {
    return this.#times[CHANGED_SINCE] ?? 0;
  }

  set changedSinceMs(wallMs: number) {
    this.#times[CHANGED_SINCE] = wallMs;
  }

  #wakeApplier(): void {
    Atomics.add(this.#words, WAKE, 1);
    Atomics.notify(this.#words, WAKE);
  }
}
