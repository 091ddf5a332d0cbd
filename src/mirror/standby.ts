// The standby of one group: puts listener, receiver, journal, applier and checkpoints together.
//
//   start ──► running ──finish──► finishing ──► finished
//                └────stop────────────────────► stopped
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { MiB } from '../core/units.ts';
import { JournalWriter } from '../journal/journal-writer.ts';
import { MARK_SLACK_MS, type MarkedPoint, Marks } from '../journal/marks.ts';
import { ORPHAN_DIRECTORY } from '../journal/record.ts';
import { isLazytime } from '../linux/lazytime.ts';
import { NO_STREAM, StandbyState, type StandbyStateData } from '../journal/standby-state.ts';
import { ApplierHost } from './applier-host.ts';
import { Bookmarks } from './bookmarks.ts';
import {
  Rewinder,
  type RewindState,
  type RewindWish,
  type RewoundStandby,
  stateOf,
} from './rewind.ts';
import { UndoHost, type UndoLimits } from './undo-host.ts';
import type { UndoNews, UndoSettings } from './applier/undo-keeper.ts';
import { removeMarker } from './applier/marker.ts';
import type { VerifyNotice } from './applier/verification.ts';
import { releaseCopy } from './applier/release-copy.ts';
import { Checkpointer } from './checkpointer.ts';
import { ApplyGate, type Halt } from './guard/apply-gate.ts';
import type { DeletionLimits } from './guard/deletion-watch.ts';
import type { CopyState } from './link/frame.ts';
import { LinkServer } from './link/link-server.ts';
import type { StreamPosition } from './link/messages.ts';
import type { LinkIdentity } from './link/tls.ts';
import { VerifyReport, type VerifyReportData } from './verify-report.ts';
import { type EventDetails, type EventLevel, Receiver, type ScanStart } from './receiver.ts';

export interface StandbyOptions {
  readonly group: string;
  readonly groupId: string;
  readonly epoch: number;
  readonly host: string;
  readonly port: number;
  readonly peerCertificate: string;
  readonly identity: LinkIdentity;
  readonly linkTimeoutMs: number;
  readonly stateDirectory: string;
  /** Descriptors of the protected directories, by index in the group. */
  readonly directories: readonly { readonly dir: string; readonly fd: number }[];
  readonly journalBytesMax: number;
  /** When the removal of files halts the applying; null: never. */
  readonly deletions: DeletionLimits | null;
  /** What mass encryption does: nothing, an alarm, or an alarm and a halt. */
  readonly guard: 'off' | 'alarm' | 'halt';
  readonly segmentBytes?: number;
  /** What this node knows of its data; outlives `stateDirectory`, see journal/marks.ts. */
  readonly marksFile: string;
  /** Result of the last comparison; outlives `stateDirectory`. */
  readonly verifyFile: string;
  /** Where the data stands when `stateDirectory` has no state yet; null: nothing is known. */
  readonly holds: StreamPosition | null;
  /** How much is kept to take the copy back; nothing when it is left out. */
  readonly undo?: UndoLimits;
}

export interface StandbyHandlers {
  onEvent(level: EventLevel, code: string, message: string, details: EventDetails): void;
  /** The process has to end; what it knows is on disk, a new one goes on from there. */
  onFatal(error: unknown): void;
}

/** What `status` shows. */
export interface StandbyStatus {
  readonly epoch: number;
  readonly copy: CopyState;
  readonly streamId: string | null;
  readonly receivedSequence: number;
  readonly durableSequence: number;
  readonly appliedSequence: number;
  readonly checkpointSequence: number;
  readonly link: 'connected' | 'waiting';
  readonly journalBytes: number;
  readonly receivedBytes: number;
  /** Why nothing is applied at present; null when all is well. */
  readonly blocked: string | null;
  /** The last comparison of this copy with the primary. */
  readonly verify: VerifyReportData;
  /** Why nothing is applied before a person says so; null when all is well. */
  readonly halted: Halt | null;
  /** Bytes of the stream received since the scan began. */
  readonly scan: { readonly bytes: number } | null;
  /** Where the data stands that there would be to promote. */
  readonly data: { readonly epoch: number; readonly sequence: number };
  /** A scan runs over a copy that stays usable as it was then (ms, this node's clock); null: none. */
  readonly stagedSinceMs: number | null;
}

/** What a finished standby leaves. */
export interface FinishedStandby extends StreamPosition {
  readonly copy: CopyState;
  /** Records that were received but could not be applied. */
  readonly journaledButLost: number;
  /** It is an earlier state than one that this node has told of: no stream carries on from it. */
  readonly isOld?: true;
}

interface Finishing {
  readonly closed: Promise<void>;
  readonly lap: (step: string) => Readonly<Record<string, number>>;
  readonly copy: CopyState;
}

const NO_UNDO: UndoLimits = { hours: 0, diskPercent: 0 };
const CHECKPOINT_INTERVAL_MS = 20_000;
const CHECKPOINT_BYTES = 256 * MiB;
const HOUSEKEEPING_INTERVAL_MS = 1000;
/** Between acknowledgements that only tell of applied records. */
const APPLIED_INTERVAL_MS = 10;
/** Without any progress for so long, finishing gives up. */
const FINISH_STALL_MS = 60_000;
const FOREVER_MS = Number.POSITIVE_INFINITY;

export class Standby {
  readonly #options: StandbyOptions;
  readonly #handlers: StandbyHandlers;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #state: StandbyState;
  readonly #marks: Marks;
  readonly #verify: VerifyReport;
  readonly #journal: JournalWriter;
  readonly #applier: ApplierHost;
  readonly #gate: ApplyGate;
  readonly #receiver: Receiver;
  readonly #server: LinkServer;
  readonly #checkpointer: Checkpointer;
  readonly #undo: UndoHost;
  readonly #bookmarks: Bookmarks;
  /** Bookmarks and earlier states; undefined: none are kept. */
  readonly rewinder: Rewinder;
  #isPaused = false;
  #unpaused: (() => void) | undefined;
  /** The copy is being taken back. */
  #returning: Promise<void> = Promise.resolve();
  #timer: NodeJS.Timeout | undefined;
  #stopped = false;
  #blocked: string | null = null;
  /** Received bytes when the last scan began. */
  #scanFrom = 0;
  #checkpointAt = 0;
  #checkpointBytes = 0;
  #isCheckpointWanted = false;

  /** Opens state and journal. Errors: those of StandbyState.open and JournalWriter. */
  constructor(
    options: StandbyOptions,
    handlers: StandbyHandlers,
    { clock, logger }: { clock: Clock; logger: Logger },
  ) {
    this.#options = options;
    this.#handlers = handlers;
    this.#clock = clock;
    this.#logger = logger;
    const { group, groupId, stateDirectory, directories, journalBytesMax } = options;
    const journalDirectory = join(stateDirectory, 'journal');
    this.#state = openState(options);
    this.#marks = Marks.open(options.marksFile, groupId, clock.wallMs());
    this.#verify = new VerifyReport(options.verifyFile);
    if (this.#marks.fault !== undefined) logger.warn({ why: this.#marks.fault }, 'no marks');
    const { checkpoint, firstSegment } = this.#state.data;
    const { segmentBytes } = options;
    this.#journal = new JournalWriter({
      directory: journalDirectory,
      groupId,
      checkpoint,
      firstSegment,
      ...(segmentBytes === undefined ? {} : { segmentBytes }),
    });
    const limits = options.undo ?? NO_UNDO;
    this.#undo = new UndoHost({ stateDirectory, groupId, limits, directories });
    this.#bookmarks = new Bookmarks(stateDirectory);
    this.rewinder = new Rewinder(this.#rewound(group), this.#undo, this.#bookmarks);
    this.#applier = new ApplierHost(
      { journalDirectory, groupId, directories },
      {
        onNeed: (ranges) => {
          this.#receiver.needed(ranges);
          this.#receiver.applied();
        },
        onVerify: (notices) => this.#onVerify(notices),
        onDiverged: (sequence, message) => this.#receiver.diverged(sequence, message),
        onBlocked: (sequence, message) => this.#block(sequence, message),
        onUnblocked: (sequence) => this.#unblock(sequence),
        onUndo: (news) => this.#onUndo(news),
        onDied: (reason) => handlers.onFatal(new Error(`the applier thread ended: ${reason}`)),
      },
    );
    this.#gate = this.#makeGate();
    this.#receiver = new Receiver(
      { group, groupId, journalBytesMax },
      {
        journal: this.#journal,
        state: this.#state,
        marks: this.#marks,
        applier: this.#applier,
        gate: this.#gate,
      },
      {
        isEmpty: () => directories.every(({ fd }) => isEmptyDirectory(fd)),
        onScanBegin: async (scan) => this.#beginScan(scan),
        onScanApplied: () => void this.#completeScan(),
        onCheckpointWanted: () => {
          this.#isCheckpointWanted = true;
          void this.#maybeCheckpoint();
        },
        onEvent: (level, code, message, details) => handlers.onEvent(level, code, message, details),
        onFatal: (error) => handlers.onFatal(error),
      },
      { clock, logger },
    );
    const { host, port, peerCertificate, identity, linkTimeoutMs } = options;
    const serverOptions = { host, port, peerCertificate, identity, linkTimeoutMs };
    this.#server = new LinkServer(serverOptions, this.#receiver, { clock, logger });
    this.#checkpointer = new Checkpointer(directories);
  }

  #makeGate(): ApplyGate {
    const { group, deletions, guard, directories, journalBytesMax } = this.#options;
    const roots = directories.map(({ fd }) => fd);
    return new ApplyGate(
      { group, deletions, guard, roots, halt: this.#state.data.halt },
      {
        publish: (sequence) => this.#applier.control.publishTail(sequence),
        onHalt: (halt) => this.#halt(halt),
        onAlarm: (what, since) => this.#alarm(what, since),
        isShortOfRoom: () => this.#journal.bytes > journalBytesMax / 2,
      },
      this.#clock,
    );
  }

  #halt(halt: Halt): void {
    this.#state.update({ halt });
    const { group } = this.#options;
    const what = `${halt.sentence}. Records are received as before. If that was right, run "understudy accept ${group}" on this node; if not, "understudy takeover ${group} --force --accept-halted" makes this copy the primary`;
    this.#handlers.onEvent('error', 'APPLY_HALTED', what, { sequence: halt.sequence });
  }

  #alarm(what: string, since: string): void {
    const { group } = this.#options;
    const message = `group ${group} may be under attack: ${what}. It began at ${since}: if nobody meant it, disconnect the clients, and go back to before that moment`;
    this.#handlers.onEvent('error', 'GUARD_ALARM', message, { since });
  }

  /** A person has looked at what applying was halted for. Errors: NOT_HALTED. */
  accept(): void {
    const { group } = this.#options;
    if (this.#gate.halted === null) {
      throw new UnderstudyError('NOT_HALTED', `applying of group "${group}" is not halted here`);
    }
    this.#state.update({ halt: null });
    this.#gate.accept(this.#journal.position.sequence);
    this.#handlers.onEvent('warning', 'APPLY_ACCEPTED', 'a person let the applying go on', {});
    this.#receiver.applied();
  }

  /** Applies what the journal holds and listens for the primary; resolves with the port. */
  async start(): Promise<number> {
    const { copy, checkpoint } = this.#state.data;
    if (this.#journal.fault !== undefined) {
      const { fault } = this.#journal;
      this.#handlers.onEvent('warning', 'JOURNAL_CUT', `the journal was cut: ${fault}`, {});
    }
    if (this.#state.data.rewound) {
      this.#receiver.hold(`the copy of ${this.#options.group} was taken back by an operator`);
    }
    // A scan that was cut short is not gone on with: only memory knew its course.
    const goingBackTo = this.#undo.goingBackTo ?? Number.POSITIVE_INFINITY;
    if (copy === 'complete' && goingBackTo < checkpoint.sequence) {
      this.#returning = this.#resumeRewind(goingBackTo);
      this.#returning.catch((error: unknown) => this.#handlers.onFatal(error));
    } else if (copy === 'complete') this.#startApplier(checkpoint.sequence, 'complete');
    else if (copy === 'syncing' && this.#state.data.staged !== null) {
      this.#returning = this.#returnToStaged();
      this.#returning.catch((error: unknown) => this.#handlers.onFatal(error));
    }
    this.#checkpointAt = this.#clock.monotonicMs();
    this.#timer = setInterval(() => this.#keepHouse(), HOUSEKEEPING_INTERVAL_MS);
    return this.#server.listen();
  }

  get status(): StandbyStatus {
    const { copy, checkpoint, epoch, staged } = this.#state.data;
    const { position } = this.#journal;
    const data = staged ?? { epoch, sequence: position.sequence };
    return {
      data: { epoch: data.epoch, sequence: data.sequence },
      stagedSinceMs: staged?.sinceMs ?? null,
      epoch,
      copy: this.#receiver.copy,
      streamId: copy === 'empty' ? null : position.streamId,
      receivedSequence: position.sequence,
      durableSequence: this.#journal.durableSequence,
      appliedSequence: this.#applied,
      checkpointSequence: checkpoint.sequence,
      link: this.#receiver.isConnected ? 'connected' : 'waiting',
      journalBytes: this.#journal.bytes,
      receivedBytes: this.#receiver.receivedBytes,
      blocked: this.#blocked,
      verify: this.#verify.data,
      halted: this.#gate.halted,
      scan: copy === 'syncing' ? { bytes: this.#receiver.receivedBytes - this.#scanFrom } : null,
    };
  }

  /**
   * Takes nothing more, applies everything that was received, brings it to the disk and ends.
   * `accepts`: states of the copy that will do. Errors: COPY_NOT_UP_TO_DATE for any other (nothing has
   * changed then); APPLY_BLOCKED, unless more than `up-to-date` will do.
   */
  async finish(accepts: readonly string[]): Promise<FinishedStandby> {
    const { copy } = this.#receiver;
    const { group } = this.#options;
    if (!accepts.includes(copy)) {
      const why = `the copy of group ${group} is not up to date (${copy})`;
      throw new UnderstudyError('COPY_NOT_UP_TO_DATE', `${why}: wait, or use force`, {
        details: { copy },
      });
    }
    const lap = this.#stopwatch();
    this.#gate.lift();
    this.#receiver.stop();
    const closed = this.#server.close();
    await this.#receiver.settle();
    lap('settled');
    await this.#returning;
    await this.#untilUnpaused();
    if (this.#state.data.staged !== null && copy !== 'syncing') {
      return this.#finishStaged({ closed, lap, copy });
    }
    const isDrained = await this.#drain();
    if (!isDrained && accepts.every((each) => each === 'up-to-date')) {
      const why = this.#blocked ?? 'records cannot be applied';
      throw new UnderstudyError(
        'APPLY_BLOCKED',
        `the copy of group ${group} is incomplete: ${why}`,
      );
    }
    lap('drained');
    // Before the first client is served, everything that the old primary was told to be safe is on this
    // disk without the journal: a redo after a power cut would overwrite what was served meanwhile.
    if (isDrained) await Promise.all([this.#applier.stop(), this.#checkpointer.sync()]);
    else await this.#stopAndSync();
    const sequence = this.#applied;
    lap('synced');
    const { streamId, epoch, sequence: received } = this.#journal.position;
    this.#state.update({ checkpoint: { streamId, epoch, sequence } });
    if (isDrained) this.#mark({ streamId, sequence }, this.#clock.wallMs());
    for (const { fd } of this.#options.directories) releaseCopy(fd);
    lap('released');
    await closed;
    await this.#end();
    this.#logger.info(lap('ended'), 'finished');
    this.#tellDropped(received - sequence);
    const isOld = this.#state.data.rewound ? { isOld: true as const } : {};
    return { streamId, sequence, copy, journaledButLost: received - sequence, ...isOld };
  }

  #tellDropped(records: number): void {
    if (this.#gate.halted === null || records === 0) return;
    const what = `${records} records that were received after applying was halted are not in the copy`;
    this.#handlers.onEvent('warning', 'HALTED_RECORDS_DROPPED', what, { records });
  }

  /** The new copy is not complete: what is promoted is the one before. */
  async #finishStaged({ closed, lap, copy }: Finishing): Promise<FinishedStandby> {
    await this.#applier.stop();
    await this.#returnToStaged();
    lap('returned');
    const { streamId, sequence } = this.#state.data.checkpoint;
    for (const { fd } of this.#options.directories) releaseCopy(fd);
    await closed;
    await this.#end();
    this.#logger.info(lap('ended'), 'finished');
    return { streamId, sequence, copy, journaledButLost: 0, isOld: true };
  }

  /**
   * Takes the copy back for good, to be promoted: records behind that state are forgotten, and no primary
   * is taken until {@link release}. Errors: REWIND_BUSY, and those of {@link Rewinder.resolve} and
   * {@link UndoHost.goBack}.
   */
  async rewind(wish: RewindWish): Promise<RewindState> {
    const { group } = this.#options;
    // Nothing is given up for a moment that cannot be reached.
    await this.rewinder.resolve(wish);
    return this.#paused(async () => {
      const moment = await this.rewinder.resolve(wish);
      this.#receiver.hold(`the copy of ${group} was taken back by an operator`);
      await this.#receiver.settle();
      await this.#rewindTo(moment.sequence);
      return stateOf(moment);
    });
  }

  /** Nothing is applied meanwhile. What a crash cuts short is gone on with at the next start. */
  async #rewindTo(sequence: number): Promise<void> {
    try {
      await this.#undo.goBack(sequence);
    } catch (error) {
      const isUnchanged = error instanceof UnderstudyError && error.code !== 'ROLLBACK_FAILED';
      if (isUnchanged) this.#receiver.hold(null);
      else this.#handlers.onFatal(error);
      throw error;
    }
    const { streamId, epoch } = this.#journal.position;
    const checkpoint = { streamId, epoch, sequence };
    const firstSegment = await this.#journal.reset(checkpoint);
    const change = { checkpoint, firstSegment, closed: null, halt: null } as const;
    this.#state.update({ ...change, rewound: true });
    this.#undo.cutAfter(sequence);
    this.#receiver.movedTo(sequence);
    const what = `the copy of ${this.#options.group} was taken back to record ${sequence}`;
    this.#handlers.onEvent('warning', 'COPY_REWOUND', what, { sequence });
  }

  /** An operator took the copy back, and the process ended in the middle of it. */
  async #resumeRewind(sequence: number): Promise<void> {
    this.#receiver.hold(`the copy of ${this.#options.group} is being taken back`);
    try {
      await this.#rewindTo(sequence);
    } catch (error) {
      if (!(error instanceof UnderstudyError) || error.code === 'ROLLBACK_FAILED') throw error;
      // Part of it is taken back, and the rest cannot be any more.
      this.#receiver.diverged(sequence, error.message);
      return;
    }
    if (!this.#stopped) this.#startApplier(sequence, 'complete');
  }

  /** A copy that was taken back is not promoted after all: the primary may change it again. */
  release(): void {
    this.#state.update({ rewound: false });
    this.#receiver.hold(null);
  }

  /** A scan did not come to its end: the copy is taken back to the state before it. */
  async #returnToStaged(): Promise<void> {
    const { staged } = this.#state.data;
    if (staged === null) return;
    const { streamId, epoch, sequence, undo } = staged;
    const { group } = this.#options;
    this.#receiver.hold(`the copy of ${group} is being taken back to the state before a scan`);
    try {
      await this.#undo.goBack(undo);
    } catch (error) {
      if (!(error instanceof UnderstudyError) || error.code === 'ROLLBACK_FAILED') throw error;
      this.#stagingLost(error.message);
      this.#receiver.hold(null);
      return;
    }
    const position = { streamId, epoch, sequence };
    const firstSegment = await this.#journal.reset(position);
    const change = { copy: 'complete', checkpoint: position, firstSegment, staged: null } as const;
    this.#state.update(change);
    this.#undo.cutAfter(sequence);
    this.#receiver.movedTo(sequence);
    const reason = 'a scan was cut short';
    this.#logger.info({ from: 'syncing', to: 'complete', reason }, 'copy');
    const message = `a scan of group ${group} was cut short: the copy is as it was before`;
    this.#handlers.onEvent('warning', 'COPY_TAKEN_BACK', message, { sequence });
    if (this.#stopped || !this.#receiver.isOpen) return;
    this.#startApplier(sequence, 'complete');
    this.#receiver.hold(null);
  }

  /** What the rewinder sees of this standby. */
  #rewound(group: string): RewoundStandby {
    const applied = (): number => this.#applied;
    return {
      group,
      get applied() {
        return applied();
      },
      nowMs: () => this.#clock.wallMs(),
      reach: async (sequence, timeoutMs) => this.#reach(sequence, timeoutMs),
      paused: async (work) => this.#paused(work),
    };
  }

  async #reach(sequence: number, timeoutMs: number): Promise<boolean> {
    const deadline = this.#clock.monotonicMs() + timeoutMs;
    for (;;) {
      const { control } = this.#applier;
      const seen = this.#applied;
      if (seen >= sequence) return true;
      const leftMs = deadline - this.#clock.monotonicMs();
      if (leftMs <= 0 || this.#stopped) return false;
      await control.waitForApplied(seen, Math.min(leftMs, 500));
    }
  }

  /**
   * Runs `work` while the copy stands still; the journal goes on. Errors: REWIND_BUSY while a scan runs,
   * whose course the applier would forget, and what `work` throws.
   */
  async #paused<T>(work: () => Promise<T>): Promise<T> {
    const { group } = this.#options;
    if (this.#state.data.copy !== 'complete' || this.#isPaused) {
      const why = this.#isPaused ? 'the copy is being read already' : 'the copy is being made anew';
      throw new UnderstudyError('REWIND_BUSY', `group ${group}: ${why}; try again later`);
    }
    this.#isPaused = true;
    try {
      await this.#applier.stop();
      const { streamId, epoch } = this.#journal.position;
      const sequence = this.#applied;
      await this.#checkpointer.sync();
      this.#state.update({ checkpoint: { streamId, epoch, sequence } });
      return await work();
    } finally {
      this.#isPaused = false;
      // Whoever ends this standby waits for it, and has the journal applied first.
      if (!this.#stopped) {
        this.#startApplier(this.#state.data.checkpoint.sequence, 'complete');
      }
      this.#unpaused?.();
      this.#unpaused = undefined;
    }
  }

  /** Resolves when the copy does not stand still any more. */
  async #untilUnpaused(): Promise<void> {
    if (!this.#isPaused) return;
    if (!this.#receiver.isOpen) this.#undo.abortClone();
    await new Promise<void>((resolve) => {
      this.#unpaused = resolve;
    });
  }

  #onUndo(news: UndoNews): void {
    if (news.kind === 'staging-lost') {
      this.#stagingLost(news.why);
      return;
    }
    const { group } = this.#options;
    const [level, code, message] = undoEvent(group, news);
    this.#handlers.onEvent(level, code, message, {});
  }

  /** The state before the scan cannot be reached any more. */
  #stagingLost(why: string): void {
    this.#state.update({ staged: null });
    const { group } = this.#options;
    const what = `the copy of ${group} is not usable until the scan is complete`;
    this.#handlers.onEvent('error', 'STAGING_LOST', `${what}: ${why}`, {});
  }

  /** An applier that is not done may still write until it stops. */
  async #stopAndSync(): Promise<void> {
    await this.#applier.stop();
    await this.#checkpointer.sync();
  }

  /** Collects when each step of something was done, in ms since its beginning. */
  #stopwatch(): (step: string) => Readonly<Record<string, number>> {
    const from = this.#clock.monotonicMs();
    const laps: Record<string, number> = {};
    return (step) => {
      laps[step] = Math.round(this.#clock.monotonicMs() - from);
      return laps;
    };
  }

  /** Ends; a new process goes on where this one was. */
  async stop(): Promise<void> {
    this.#receiver.stop();
    await this.#server.close();
    await this.#receiver.settle();
    await this.#returning.catch(() => undefined);
    await this.#untilUnpaused();
    await this.#applier.stop();
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#stopped = true;
    this.#gate.close();
    clearInterval(this.#timer);
    await this.#journal.close();
  }

  get #applied(): number {
    return Math.max(this.#applier.control.applied, this.#state.data.checkpoint.sequence);
  }

  #startApplier(applied: number, begin: UndoSettings['begin']): void {
    const segment = this.#journal.segmentOf(applied + 1);
    const tail = this.#gate.begin(applied, this.#journal.durableSequence);
    const marks = this.#bookmarks.all.map(({ sequence }) => sequence);
    const undo = this.#options.undo === undefined ? null : this.#undo.settings(begin, marks);
    this.#applier.start({ applied, tail, segment, undo });
    void this.#followApplied();
  }

  async #followApplied(): Promise<void> {
    const { control } = this.#applier;
    let seen = control.applied;
    while (!this.#stopped && control === this.#applier.control) {
      await control.waitForApplied(seen, FOREVER_MS);
      if (control !== this.#applier.control) return;
      seen = control.applied;
      this.#receiver.applied();
      if (this.#isCheckpointWanted) void this.#maybeCheckpoint();
      await sleep(APPLIED_INTERVAL_MS);
    }
  }

  /**
   * Waits until everything durable is applied; false when that does not come about. A copy that is
   * halted is applied up to there.
   */
  async #drain(): Promise<boolean> {
    const { control } = this.#applier;
    let seen = this.#applied;
    let since = this.#clock.monotonicMs();
    const { halted } = this.#gate;
    while (seen < (halted?.sequence ?? this.#journal.durableSequence)) {
      if (!this.#applier.isRunning || this.#state.data.copy === 'diverged') return false;
      if (this.#clock.monotonicMs() - since > FINISH_STALL_MS) return false;
      await control.waitForApplied(seen, 500);
      if (control.applied !== seen) since = this.#clock.monotonicMs();
      seen = control.applied;
    }
    return halted === null;
  }

  /**
   * Another stream begins with a scan. What was received of the one before is applied first, so
   * that no record is dropped that somebody could still have wanted from this copy.
   */
  async #beginScan({ position, trustedSinceMs }: ScanStart): Promise<void> {
    await this.#untilUnpaused();
    const from = this.#state.data.copy;
    this.#gate.lift(position.sequence);
    const isDrained = from === 'complete' && (await this.#drain());
    await this.#applier.stop();
    // The scan compares with what is in memory now: after a power cut it must be on the disk too.
    await this.#checkpointer.sync();
    if (isDrained) this.#state.update({ checkpoint: this.#journal.position });
    const staged = isDrained ? this.#stage(position.sequence) : null;
    const firstSegment = await this.#journal.reset(position);
    const change = { copy: 'syncing', checkpoint: position, firstSegment, closed: null } as const;
    this.#state.update({ ...change, staged });
    const reason = 'the primary scans';
    this.#logger.info({ from, to: 'syncing', staged: staged?.sequence ?? null, reason }, 'copy');
    this.#scanFrom = this.#receiver.receivedBytes;
    this.#verify.interrupt();
    this.#blocked = null;
    // What a marker says about the stream before means nothing in the new one.
    for (const { fd } of this.#options.directories) removeMarker(fd);
    this.#startApplier(position.sequence, staged === null ? 'scanning' : 'staged');
    this.#applier.control.trustedSinceMs = trustedSinceMs;
  }

  #keepHouse(): void {
    try {
      const backMs = this.#marks.watchClock(this.#clock);
      if (backMs > 0) this.#logger.warn({ backMs }, 'the clock was set back: marks are forgotten');
    } catch (error) {
      this.#logger.error({ message: messageOf(error) }, 'marks cannot be forgotten');
    }
    void this.#maybeCheckpoint();
  }

  /** The complete copy at hand, to go back to when the scan behind `sequence` does not end. */
  #stage(sequence: number): StandbyStateData['staged'] {
    if (this.#options.undo === undefined) return null;
    const why = this.#undo.prepareStaging(sequence);
    if (why === undefined) {
      const { streamId, epoch, sequence: reached } = this.#journal.position;
      return { streamId, epoch, sequence: reached, undo: sequence, sinceMs: this.#clock.wallMs() };
    }
    const { group } = this.#options;
    const what = `the copy of ${group} is not usable while the primary scans`;
    this.#handlers.onEvent('warning', 'STAGING_NO_ROOM', `${what}: ${why}`, {});
    return null;
  }

  async #maybeCheckpoint(): Promise<void> {
    const applied = this.#applied;
    const { checkpoint } = this.#state.data;
    if (applied <= checkpoint.sequence || this.#checkpointer.isRunning || this.#stopped) return;
    const received = this.#receiver.receivedBytes - this.#checkpointBytes;
    const sinceMs = this.#clock.monotonicMs() - this.#checkpointAt;
    const isDue = sinceMs >= CHECKPOINT_INTERVAL_MS || received >= CHECKPOINT_BYTES;
    if (!isDue && !this.#isCheckpointWanted) return;
    try {
      await this.#checkpoint({});
    } catch (error) {
      this.#checkpointFailed(error);
    }
  }

  /** The copy is as of `point` and on its disk; every later change comes after `wallMs`. */
  #mark({ streamId, sequence }: MarkedPoint, wallMs: number): void {
    if (this.#state.data.copy !== 'complete') return;
    // Times that may be older than the contents prove nothing.
    if (this.#options.directories.some(({ fd }) => isLazytime(fd))) return;
    try {
      this.#marks.add({ streamId, sequence, wallMs: wallMs - MARK_SLACK_MS });
    } catch (error) {
      // Without it, more is compared some day.
      this.#logger.warn({ message: messageOf(error) }, 'no mark');
    }
  }

  #checkpointFailed(error: unknown): void {
    if (error instanceof UnderstudyError && error.code === 'STATE_IO') {
      // The checkpoint stays where it is, which is safe; it is tried again.
      this.#handlers.onEvent('error', error.code, error.message, {});
      return;
    }
    // The kernel reports a failed write back once: what is on the disk is not known any more.
    this.#handlers.onFatal(error);
  }

  /** Brings what is applied now to the disk, and frees the journal up to there. */
  async #checkpoint(change: { copy?: 'complete' }): Promise<void> {
    this.#isCheckpointWanted = false;
    this.#checkpointAt = this.#clock.monotonicMs();
    this.#checkpointBytes = this.#receiver.receivedBytes;
    const { control } = this.#applier;
    const scans = this.#receiver.scanCount;
    // In this order: what is applied later is applied after `wallMs`.
    const wallMs = Math.min(this.#clock.wallMs(), control.batchBeganMs || Infinity);
    const sequence = this.#applied;
    const { streamId, epoch } = this.#journal.position;
    await this.#checkpointer.sync();
    const isOver = this.#stopped || control !== this.#applier.control;
    if (isOver || !this.#applier.isRunning || sequence < this.#state.data.checkpoint.sequence)
      return;
    const isSameScan = scans === this.#receiver.scanCount;
    this.#state.update({
      ...(isSameScan ? change : {}),
      ...(isSameScan && change.copy !== undefined ? { staged: null } : {}),
      checkpoint: { streamId, epoch, sequence },
    });
    this.#mark({ streamId, sequence }, wallMs);
    this.#journal.free(sequence, control.readerSegment);
    this.#receiver.roomMade();
    this.#isCheckpointWanted = this.#receiver.isFull;
  }

  /**
   * The end of a scan is applied. The checkpoint goes there together with the new copy state: a
   * redo after a crash never begins within a scan, whose course the applier has only in memory.
   */
  async #completeScan(): Promise<void> {
    try {
      await this.#checkpoint({ copy: 'complete' });
    } catch (error) {
      this.#handlers.onFatal(error);
      return;
    }
    if (this.#state.data.copy !== 'complete') return;
    this.#logger.info({ from: 'syncing', to: 'complete', reason: 'scan applied' }, 'copy');
    this.#handlers.onEvent('info', 'COPY_COMPLETE', 'the copy is complete', {});
    this.#receiver.applied();
  }

  #onVerify(notices: readonly VerifyNotice[]): void {
    let isOver = false;
    for (const notice of notices)
      isOver = this.#verify.note(notice, this.#clock.wallMs()) || isOver;
    if (!isOver) return;
    const { state, objects, bytes, count } = this.#verify.data;
    const details = { objects, bytes, count };
    const seen = `${objects} objects and ${bytes} bytes were compared`;
    if (state === 'equal') {
      this.#handlers.onEvent('info', 'VERIFY_EQUAL', `both copies are equal: ${seen}`, details);
    } else {
      const what = `${count} differences between the copies: ${seen}; see "understudy verify"`;
      this.#handlers.onEvent('error', 'VERIFY_DIFFERS', what, details);
    }
  }

  #block(sequence: number, message: string): void {
    this.#blocked = message;
    const what = `record ${sequence} cannot be applied for now: ${message}`;
    this.#handlers.onEvent('error', 'APPLY_BLOCKED', what, { sequence });
  }

  #unblock(sequence: number): void {
    this.#blocked = null;
    this.#handlers.onEvent('info', 'APPLY_UNBLOCKED', 'records are applied again', { sequence });
  }
}

function undoEvent(group: string, news: UndoNews): [EventLevel, string, string] {
  switch (news.kind) {
    case 'resumed':
      return ['info', 'UNDO_RESUMED', `changes to the copy of ${group} can be undone again`];
    case 'shrunk':
      return ['warning', 'UNDO_SHRUNK', `less can be undone of the copy of ${group}: ${news.why}`];
    default: {
      const what = `changes to the copy of ${group} cannot be undone for now`;
      return ['warning', 'UNDO_SUSPENDED', `${what}: ${news.why}`];
    }
  }
}

function openState(options: StandbyOptions): StandbyState {
  const { holds, groupId, epoch, stateDirectory } = options;
  const state = StandbyState.open(stateDirectory, {
    version: 1,
    groupId,
    epoch,
    copy: holds === null ? 'empty' : 'complete',
    checkpoint: { streamId: NO_STREAM, sequence: 0, ...holds, epoch },
    firstSegment: 1,
    closed: holds,
    halt: null,
    rewound: false,
    staged: null,
  });
  if (epoch > state.data.epoch) state.update({ epoch });
  return state;
}

function isEmptyDirectory(fd: number): boolean {
  return readdirSync(`/proc/self/fd/${fd}`).every((name) => name === ORPHAN_DIRECTORY);
}

async function sleep(ms: number): Promise<void> {
  await new Promise<void>((resolve) => {
    setTimeout(resolve, ms);
  });
}
