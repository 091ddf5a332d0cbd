// The loop around the applier: reads the journal behind its tail, applies in batches, publishes how
// far it is. Runs in a thread of its own (`applier-worker.ts`) and blocks there.
import { MiB } from '../../core/units.ts';
import { ApplyControl } from '../../journal/apply-control.ts';
import { JournalReader, type ReadOutcome } from '../../journal/journal-reader.ts';
import { errno } from '../../linux/constants.ts';
import { recordBytes } from '../../journal/record.ts';
import { sequenceAt } from '../../journal/segment.ts';
import type { ApplierMessage, ApplierWorkerData } from './applier-messages.ts';
import { Applier } from './applier.ts';
import type { Need } from './context.ts';
import type { ApplyFault } from './fault.ts';
import { prepareRedo } from './redo.ts';
import type { VerifyNotice } from './verification.ts';
import { STRETCH_MS, UndoKeeper, type UndoTold } from './undo-keeper.ts';

const BATCH_BYTES_MAX = 4 * MiB;
const BATCH_MS_MAX = 5;
/** The clock is looked at once in so many records. */
const CLOCK_EVERY = 16;
const IDLE_MS = 10_000;
const RETRY_MS_MIN = 100;
const RETRY_MS_MAX = 5000;
const NO_ROOM: ReadonlySet<number> = new Set([errno.ENOSPC, errno.EDQUOT]);
/** Ranges in one message. */
const NEEDS_PER_MESSAGE = 1024;
/** Nobody wakes who waits for it. */
const NEVER = new Int32Array(new SharedArrayBuffer(4));

export class ApplierLoop {
  readonly #data: ApplierWorkerData;
  readonly #control: ApplyControl;
  readonly #post: (message: ApplierMessage) => void;
  readonly #applier: Applier;
  readonly #reader: JournalReader;
  readonly #undo: UndoKeeper | undefined;
  /** Found in the present batch, not posted yet. */
  #needs: Need[] = [];
  /** Of a comparison, not posted yet. */
  #notices: VerifyNotice[] = [];

  /** `post` sends a message to the thread that owns the journal. */
  constructor(data: ApplierWorkerData, post: (message: ApplierMessage) => void) {
    this.#data = data;
    this.#post = post;
    this.#control = new ApplyControl(data.control);
    const { directories } = data;
    const onNeed = (need: Need): void => void this.#needs.push(need);
    const trustedSinceMs = (): number => this.#control.trustedSinceMs;
    const onVerify = (notice: VerifyNotice): void => void this.#notices.push(notice);
    this.#applier = new Applier({ directories, onNeed, trustedSinceMs, onVerify });
    const onNews = (news: UndoTold): void => post({ type: 'undo', news });
    const { undo } = data;
    this.#undo = undo === null ? undefined : new UndoKeeper(undo, this.#applier, onNews);
    this.#reader = this.#openReader();
  }

  /** Applies until a stop is wanted. */
  run(): void {
    const fault = this.#attempt(() => this.#start()) ?? this.#applyAll();
    if (fault !== undefined) this.#diverge(fault);
    else this.#rest();
    this.#applier.close();
    this.#undo?.close();
    this.#reader.close();
  }

  #openReader(): JournalReader {
    const { journalDirectory, groupId, segment, checkpoint } = this.#data;
    const sequence = checkpoint + 1;
    return new JournalReader({ directory: journalDirectory, groupId, segment, sequence });
  }

  /** Looks at what a former applier left. */
  #start(): ApplyFault | undefined {
    const { checkpoint } = this.#data;
    const { tail } = this.#control;
    // First, because it may take the copy back to the checkpoint.
    const kept = this.#undo?.start(checkpoint);
    if (kept !== undefined) return kept;
    const reader = this.#openReader();
    const next = () =>
      reader.next(BATCH_BYTES_MAX, tail) === 'records' ? reader.batch : undefined;
    const fault = prepareRedo(this.#applier, { checkpoint, tail, next });
    reader.close();
    return fault;
  }

  /** Applies records until a stop is wanted (nothing returned) or one does not fit. */
  #applyAll(): ApplyFault | undefined {
    const control = this.#control;
    while (!control.stopWanted) {
      const { tail } = control;
      if (this.#reader.nextSequence > tail) {
        this.#waitForMore();
        continue;
      }
      this.#pause();
      const fault = this.#attempt(() => this.#read(control.tail)) ?? this.#applyRun();
      if (fault !== undefined) return fault;
    }
    return undefined;
  }

  /** Keeps to the pace of the undo log: some ten milliseconds at most, whatever comes meanwhile. */
  #pause(): void {
    const waitMs = (this.#undo?.pauseUntilMs ?? 0) - performance.now();
    if (waitMs > 0 && !this.#control.stopWanted) Atomics.wait(NEVER, 0, 0, waitMs);
  }

  /** Where nothing more comes, the last state is one to go back to. */
  #waitForMore(): void {
    const control = this.#control;
    const { nextSequence } = this.#reader;
    const isStretching = this.#undo?.isStretching === true;
    control.waitForTail(nextSequence - 1, isStretching ? STRETCH_MS : IDLE_MS);
    if (isStretching && nextSequence > control.tail) this.#rest();
  }

  #rest(): void {
    this.#undo?.rest(this.#applier.sequence);
    this.#publishMoment();
  }

  /** Tells that what was told as applied may be a checkpoint, too. */
  #publishMoment(): void {
    const { sequence } = this.#applier;
    if (this.#control.applied === sequence && this.#control.moment !== sequence) this.#publish();
  }

  #publish(): void {
    const { sequence } = this.#applier;
    const moment = this.#undo?.moment ?? sequence;
    if (sequence === 0) return;
    this.#control.publishApplied(sequence, moment);
    if (moment === sequence) this.#control.changedSinceMs = 0;
  }

  #read(tail: number): ApplyFault | undefined {
    const outcome = this.#reader.next(BATCH_BYTES_MAX, tail);
    this.#control.readerSegment = this.#reader.segment;
    return outcome === 'records' ? undefined : this.#readFault(outcome);
  }

  #readFault(outcome: ReadOutcome): ApplyFault {
    const sequence = this.#reader.nextSequence;
    const isIo = outcome === 'io';
    const why = this.#reader.why || `the journal ends before record ${sequence}`;
    return {
      kind: isIo ? 'blocked' : 'diverged',
      code: isIo ? 'APPLY_BLOCKED' : 'JOURNAL_DAMAGED',
      sequence,
      errno: -errno.EIO,
      message: `${why}: ${isIo ? 'it is tried again' : 'a new scan has to compare and repair the copy'}`,
    };
  }

  /** Applies what the reader holds, in parts whose pre-images are in the undo log. */
  #applyRun(): ApplyFault | undefined {
    const { batch } = this.#reader;
    const undo = this.#undo;
    for (let at = batch.at; at < batch.end;) {
      const { bytes, view, end } = batch;
      const until = undo === undefined ? end : undo.take(bytes, view, at, end);
      const fault = this.#applyPart(at, until);
      undo?.applied(this.#applier.sequence);
      this.#publishMoment();
      if (fault !== undefined || this.#control.stopWanted) return fault;
      at = until;
    }
    return undefined;
  }

  /**
   * Applies records, ending the batch every few milliseconds; where undo is kept only at the end,
   * because only that is a state to go back to.
   */
  #applyPart(from: number, until: number): ApplyFault | undefined {
    const { batch } = this.#reader;
    let sinceMs = performance.now();
    this.#changes();
    let count = 0;
    for (let at = from; at < until; at += recordBytes(batch.view, at)) {
      const fault = this.#applyRecord(at);
      // A stop while a record is tried again and again: neither it nor any later one is applied.
      if (fault !== undefined || this.#isGivenUp(at)) return fault;
      count += 1;
      if (count % CLOCK_EVERY !== 0 || performance.now() - sinceMs < BATCH_MS_MAX) continue;
      if (this.#undo?.isOn === true) continue;
      if (this.#control.stopWanted) break;
      const failed = this.#endBatch();
      if (failed !== undefined) return failed;
      sinceMs = performance.now();
      this.#changes();
    }
    return this.#endBatch();
  }

  #changes(): void {
    if (this.#control.changedSinceMs === 0) this.#control.changedSinceMs = Date.now();
  }

  #isGivenUp(at: number): boolean {
    return (
      this.#control.stopWanted && this.#applier.sequence !== sequenceAt(this.#reader.batch.view, at)
    );
  }

  #applyRecord(at: number): ApplyFault | undefined {
    const { bytes, view } = this.#reader.batch;
    const fault = this.#applier.apply(bytes, view, at);
    if (fault === undefined) return undefined;
    // What came before is in the copy and may be told, unless only the end of the part is a state.
    const isTold = this.#undo?.isOn !== true;
    const failed = isTold ? this.#endBatch() : this.#attempt(() => this.#applier.endBatch());
    if (failed !== undefined || fault.kind === 'diverged') return failed ?? fault;
    if (NO_ROOM.has(-fault.errno)) this.#undo?.makeRoom();
    return this.#attempt(() => this.#applier.apply(bytes, view, at), fault);
  }

  /**
   * Tries something until it works, saying so once when it is blocked. Returns the fault that cannot
   * be waited for, or nothing when it works or a stop is wanted.
   */
  #attempt(action: () => ApplyFault | undefined, before?: ApplyFault): ApplyFault | undefined {
    let told: ApplyFault | undefined;
    let fault = before ?? action();
    for (let waitMs = RETRY_MS_MIN; fault?.kind === 'blocked'; fault = action()) {
      if (told?.message !== fault.message) {
        this.#post({ type: 'fault', fault });
      }
      told = fault;
      this.#control.waitForTail(Number.MAX_SAFE_INTEGER, waitMs);
      if (this.#control.stopWanted) return undefined;
      waitMs = Math.min(waitMs * 2, RETRY_MS_MAX);
    }
    if (told !== undefined && fault === undefined) {
      this.#post({ type: 'recovered', sequence: told.sequence });
    }
    return fault;
  }

  /** Sets times, tells the needs, publishes. */
  #endBatch(): ApplyFault | undefined {
    const { sequence } = this.#applier;
    const fault = this.#attempt(() => this.#applier.endBatch());
    if (fault !== undefined || sequence === 0) return fault;
    this.#tellNeeds();
    if (this.#notices.length > 0) this.#post({ type: 'verify', notices: this.#notices });
    this.#notices = [];
    this.#publish();
    return undefined;
  }

  #tellNeeds(): void {
    for (let at = 0; at < this.#needs.length; at += NEEDS_PER_MESSAGE) {
      const needs = this.#needs.slice(at, at + NEEDS_PER_MESSAGE);
      this.#control.countNeeds(needs.length);
      this.#post({ type: 'need', needs });
    }
    this.#needs = [];
  }

  /** Nothing more may be applied; the thread only waits for its end. */
  #diverge(fault: ApplyFault): void {
    this.#post({ type: 'fault', fault });
    while (!this.#control.stopWanted) {
      this.#control.waitForTail(Number.MAX_SAFE_INTEGER, IDLE_MS);
    }
  }
}
