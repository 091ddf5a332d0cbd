// Stands between the journal and the applier: how far may be applied?
//
//   open ──a burst of removals──▶ held ──quiet, too long, or short of room──▶ open
//     └──────────────────────────────┴──too much is gone, or the guard says so──▶ halted ──accept──▶ open
//
// Whatever the gate says, records are received and acknowledged: it never disturbs the primary, as long
// as the journal has room. `held` is nobody's business: a promotion applies everything first. `halted`
// is remembered, and only a person ends it.
import type { Clock } from '../../core/clock.ts';
import { formatDurationMs } from '../../core/units.ts';
import { field } from '../../journal/record.ts';
import { sequenceAt } from '../../journal/segment.ts';
import { RecordView } from '../applier/record-view.ts';
import type { StandbyStateData } from '../../journal/standby-state.ts';
import { type DeletionLimits, type Deletions, DeletionWatch } from './deletion-watch.ts';
import { CopyPeek } from './copy-peek.ts';
import { FileCount } from './file-count.ts';
import { describeAlarm, REWRITE_LIMITS, type RewriteAlarm } from './rewrite-alarm.ts';
import { capturedMs, RewriteWatch } from './rewrite-watch.ts';

const TICK_MS = 100;
/** Counting never takes the receiving thread longer at a time. */
const COUNT_SLICE_MS = 3;

/** Why nothing is applied any more. */
export type Halt = NonNullable<StandbyStateData['halt']>;

export interface ApplyGateOptions {
  readonly group: string;
  /** null: removals are never too many. */
  readonly deletions: DeletionLimits | null;
  /** What mass encryption does: nothing, an alarm, or an alarm and a halt. */
  readonly guard: 'off' | 'alarm' | 'halt';
  /** Descriptors of the directories with the copy, in the order of the records' index. */
  readonly roots: readonly number[];
  /** From a former life of the process. */
  readonly halt: Halt | null;
}

export interface ApplyGateHandlers {
  /** Records up to `sequence` may be applied. */
  publish(sequence: number): void;
  /** Nothing more is applied: to be remembered before this returns. */
  onHalt(halt: Halt): void;
  /** What looks like mass encryption began at `since`. */
  onAlarm(what: string, since: string): void;
  /** The journal is filling: a burst must not be waited for. */
  isShortOfRoom(): boolean;
}

export class ApplyGate {
  readonly #options: ApplyGateOptions;
  readonly #handlers: ApplyGateHandlers;
  readonly #clock: Clock;
  readonly #watch: DeletionWatch | undefined;
  readonly #rewrites: RewriteWatch | undefined;
  readonly #record = new RecordView();
  #count: FileCount | undefined;
  /** Files there were when the present removals began; undefined while not known. */
  #total: number | undefined;
  #halt: Halt | null;
  /** Last record in the journal that is durable. */
  #durable = 0;
  #published = 0;
  /** Last record that a process before has judged, for certain. */
  #judged = 0;
  #isHeld = false;
  /** Last record to apply while held. */
  #heldAt = 0;
  #timer: NodeJS.Timeout | undefined;

  constructor(options: ApplyGateOptions, handlers: ApplyGateHandlers, clock: Clock) {
    this.#options = options;
    this.#handlers = handlers;
    this.#clock = clock;
    this.#halt = options.halt;
    this.#rewrites =
      options.guard === 'off'
        ? undefined
        : new RewriteWatch(REWRITE_LIMITS, new CopyPeek(options.roots));
    this.#watch = options.deletions === null ? undefined : new DeletionWatch(options.deletions);
  }

  /** Why nothing is applied; null: it goes on. */
  get halted(): Halt | null {
    return this.#halt;
  }

  /** An applier begins behind `applied`; returns how far it may go at first. */
  begin(applied: number, durable: number): number {
    this.#durable = durable;
    // What a process before may have applied is let through, whatever is found now: nothing between is a state of the copy.
    this.#published = Math.max(applied, Math.min(durable, this.#judged));
    if (this.#watch !== undefined && this.#halt === null) this.#judge(this.#watch);
    const limit = this.#limit();
    this.#published = Math.max(this.#published, limit);
    return this.#published;
  }

  /** The record at `at` was received; to be told before it is {@link durable}. */
  note(bytes: Uint8Array, view: DataView, at: number): void {
    const type = view.getUint8(at + field.type);
    if (DeletionWatch.counts(type)) {
      this.#watch?.note(type, sequenceAt(view, at), this.#clock.monotonicMs());
    }
    if (this.#rewrites === undefined || this.#halt !== null || !RewriteWatch.counts(type)) return;
    this.#record.load(bytes, view, at);
    this.#rewrites.examine(this.#record, capturedMs(view, at));
    const alarm = this.#rewrites.take();
    if (alarm !== undefined) this.#alarmed(alarm);
  }

  /** A process before has applied records up to `sequence`, or a person has accepted them: they may have to be received again. */
  goOn(sequence: number): void {
    this.#judged = sequence;
    this.#published = sequence;
    this.#watch?.pass(sequence);
  }

  /** A record that a process before received, and did not apply: only that one knew what it had counted. */
  noteAgain(type: number, sequence: number): void {
    if (!DeletionWatch.counts(type)) return;
    this.#watch?.note(type, sequence, this.#clock.monotonicMs());
  }

  #alarmed(alarm: RewriteAlarm): void {
    const since = new Date(alarm.sinceMs).toISOString();
    const what = describeAlarm(alarm);
    this.#handlers.onAlarm(what, since);
    if (this.#options.guard === 'halt') this.halt('REWRITING', since, what);
  }

  /** Records up to `sequence` are on the disk. */
  durable(sequence: number): void {
    this.#durable = sequence;
    this.#look();
  }

  /** Records are applied no further than here, until a person says otherwise. */
  halt(code: Halt['code'], since: string, sentence: string): void {
    if (this.#halt !== null) return;
    this.#halt = { code, sequence: this.#published, since, sentence };
    this.#rest();
    this.#handlers.onHalt(this.#halt);
  }

  /** Nothing up to `sequence` is waited for or judged any longer: it is to be applied. */
  lift(sequence = Number.MAX_SAFE_INTEGER): void {
    if (this.#watch === undefined || this.#halt !== null) return;
    this.#watch.pass(sequence);
    this.#look();
  }

  /** A person lets it go on; what was received so far is not judged again. */
  accept(received: number): void {
    this.#halt = null;
    this.#watch?.pass(received);
    this.#look();
  }

  close(): void {
    this.#rest();
  }

  #look(): void {
    if (this.#watch !== undefined && this.#halt === null) this.#judge(this.#watch);
    const limit = this.#limit();
    if (limit <= this.#published) return;
    this.#published = limit;
    this.#handlers.publish(limit);
  }

  #limit(): number {
    if (this.#halt !== null) return Math.min(this.#durable, this.#halt.sequence);
    return this.#isHeld ? Math.min(this.#durable, this.#heldAt) : this.#durable;
  }

  #judge(watch: DeletionWatch): void {
    const deletions = watch.look(this.#clock.monotonicMs());
    this.#isHeld = deletions.isHeld && !this.#handlers.isShortOfRoom();
    this.#heldAt = deletions.from - 1;
    if (deletions.removed === 0) {
      this.#rest();
      return;
    }
    // Also without further records: the burst may be over, or not everything counted yet.
    this.#timer ??= setInterval(() => this.#look(), TICK_MS).unref();
    const files = this.#countAgainst(watch, deletions);
    if (files !== undefined) this.#haltFor(deletions, files);
  }

  /** How many files there were, when the removals are too many of them. */
  #countAgainst(watch: DeletionWatch, deletions: Deletions): number | undefined {
    const harmless = watch.harmlessFrom(deletions);
    if (harmless === 0) return undefined;
    this.#total ??= this.#countFiles(harmless, deletions.removed);
    return this.#total !== undefined && this.#total < harmless ? this.#total : undefined;
  }

  /** All files as of the beginning; undefined when there are more than `enough`, or it is not known yet. */
  #countFiles(enough: number, removed: number): number | undefined {
    this.#count ??= new FileCount(this.#options.roots);
    const now = (): number => this.#clock.monotonicMs();
    this.#count.advance(enough, now() + COUNT_SLICE_MS, now);
    if (!this.#count.isComplete) return undefined;
    // Removals that are applied already are missing in the copy.
    return this.#count.count + (this.#isHeld ? 0 : removed);
  }

  #haltFor({ removed, sinceMs }: Deletions, files: number): void {
    const agoMs = Math.max(0, this.#clock.monotonicMs() - sinceMs);
    const since = new Date(this.#clock.wallMs() - agoMs).toISOString();
    const { group } = this.#options;
    const sentence =
      `${removed} of about ${Math.max(files, removed)} names of group "${group}" were removed within ` +
      `${formatDurationMs(agoMs)}: nothing more is applied to the copy here, which is as of before that`;
    this.halt('DELETIONS', since, sentence);
  }

  #rest(): void {
    clearInterval(this.#timer);
    this.#timer = undefined;
    this.#isHeld = false;
    this.#count?.close();
    this.#count = undefined;
    this.#total = undefined;
  }
}
