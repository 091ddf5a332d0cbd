// The standby of one group: puts listener, receiver, journal, applier and checkpoints together.
//
//   start ──► running ──finish──► finishing ──► finished
//                └────stop────────────────────► stopped
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../core/clock.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { JournalWriter } from '../journal/journal-writer.ts';
import { Marks } from '../journal/marks.ts';
import { ORPHAN_DIRECTORY } from '../journal/record.ts';
import { firstState, StandbyState } from '../journal/standby-state.ts';
import { mountIdentity } from '../linux/mount-identity.ts';
import { dropCleanPages } from '../linux/page-cache.ts';
import { ApplierHost } from './applier-host.ts';
import { removeMarker } from './applier/marker.ts';
import type { UndoTold } from './applier/undo-keeper.ts';
import { releaseCopy } from './applier/release-copy.ts';
import type { VerifyNotice } from './applier/verification.ts';
import { Bookmarks } from './bookmarks.ts';
import { Checkpointer } from './checkpointer.ts';
import { CopyCheckpoints } from './copy-checkpoints.ts';
import { CopyCourse } from './copy-course.ts';
import { CopyPast } from './copy-past.ts';
import { CopySalvage } from './copy-salvage.ts';
import { ApplyGate, type Halt } from './guard/apply-gate.ts';
import { judgeAgain } from './guard/judge-again.ts';
import type { CopyState } from './link/frame.ts';
import { LinkServer } from './link/link-server.ts';
import { Receiver, type ReceiverParts, type ScanStart } from './receiver.ts';
import type { Rewinder, RewindState, RewindWish } from './rewind.ts';
import { alarmEvent, haltEvent, type StandbyEvent, verifyEvent } from './standby-events.ts';
import type {
  FinishedStandby,
  StandbyHandlers,
  StandbyOptions,
  StandbyStatus,
} from './standby-options.ts';
import type { StandbyParts } from './standby-parts.ts';
import { UndoHost, type UndoLimits } from './undo-host.ts';
import { VerifyReport } from './verify-report.ts';

interface Finishing {
  readonly closed: Promise<void>;
  readonly lap: (step: string) => Readonly<Record<string, number>>;
  readonly copy: CopyState;
}

const NO_UNDO: UndoLimits = { hours: 0, diskPercent: 0 };
const HOUSEKEEPING_INTERVAL_MS = 1000;

export class Standby {
  readonly #options: StandbyOptions;
  readonly #handlers: StandbyHandlers;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #parts: StandbyParts;
  readonly #verify: VerifyReport;
  readonly #server: LinkServer;
  readonly #course: CopyCourse;
  readonly #checkpoints: CopyCheckpoints;
  readonly #past: CopyPast;
  readonly #salvage: CopySalvage;
  #timer: NodeJS.Timeout | undefined;
  #blocked: string | null = null;
  /** See {@link forgetUnsynced}. */
  #isUnsynced = false;
  /** Received bytes when the last scan began. */
  #scanFrom = 0;

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
    this.#verify = new VerifyReport(options.verifyFile);
    this.#parts = this.#makeParts();
    const { receiver } = this.#parts;
    this.#course = new CopyCourse(this.#parts, () => this.#checkpoints.onProgress());
    this.#salvage = new CopySalvage(this.#parts);
    this.#checkpoints = new CopyCheckpoints(this.#parts, this.#course, this.#salvage);
    this.#past = new CopyPast(this.#parts, this.#course);
    const { host, port, peerCertificate, identity, linkTimeoutMs } = options;
    const serverOptions = { host, port, peerCertificate, identity, linkTimeoutMs };
    this.#server = new LinkServer(serverOptions, receiver, { clock, logger });
  }

  #makeParts(): StandbyParts {
    const options = this.#options;
    const { groupId, stateDirectory, directories, segmentBytes } = options;
    const clock = this.#clock;
    const logger = this.#logger;
    const mounts = mountIdentity(options.directories.map(({ fd }) => fd));
    const state = openState(options, mounts);
    this.#isUnsynced = forgetUnsynced(state, mounts);
    const marks = Marks.open(options.marksFile, groupId, clock);
    if (marks.fault !== undefined) logger.warn({ why: marks.fault }, 'no marks');
    if (options.emptied !== null) marks.clear();
    const { checkpoint, firstSegment } = state.data;
    const journalDirectory = join(stateDirectory, 'journal');
    const journal = new JournalWriter({
      directory: journalDirectory,
      groupId,
      checkpoint,
      firstSegment,
      ...(segmentBytes === undefined ? {} : { segmentBytes }),
    });
    const limits = options.undo ?? NO_UNDO;
    const undo = new UndoHost({ stateDirectory, groupId, limits, directories });
    const applier = this.#makeApplier(journalDirectory);
    const gate = this.#makeGate({ state, applier, journal });
    const receiver = this.#makeReceiver({ journal, state, marks, applier, gate });
    const checkpointer = new Checkpointer(directories, () => lose(state));
    const bookmarks = new Bookmarks(stateDirectory);
    const common = { options, handlers: this.#handlers, clock, logger };
    const past = { undo, bookmarks, checkpointer };
    return { ...common, state, marks, journal, applier, gate, receiver, ...past };
  }

  #makeApplier(journalDirectory: string): ApplierHost {
    const { groupId, directories } = this.#options;
    return new ApplierHost(
      { journalDirectory, groupId, directories },
      {
        onNeed: (ranges) => {
          this.#parts.receiver.needed(ranges);
          this.#parts.receiver.applied();
        },
        onVerify: (notices) => this.#onVerify(notices),
        onDiverged: (sequence, message) => this.#parts.receiver.diverged(sequence, message),
        onBlocked: (sequence, message) => this.#block(sequence, message),
        onUnblocked: (sequence) => this.#unblock(sequence),
        onUndo: (news) => this.#onUndo(news),
        onDied: (reason) =>
          this.#handlers.onFatal(new Error(`the applier thread ended: ${reason}`)),
      },
    );
  }

  #makeReceiver(parts: ReceiverParts): Receiver {
    const { group, groupId, journalBytesMax } = this.#options;
    const handlers = this.#handlers;
    return new Receiver(
      { group, groupId, journalBytesMax },
      parts,
      {
        isEmpty: () => this.#isEmpty,
        onScanBegin: async (scan) => this.#beginScan(scan),
        onScanApplied: () => void this.#checkpoints.completeScan(),
        onCheckpointWanted: () => this.#checkpoints.want(),
        onEvent: (level, code, message, details) => handlers.onEvent(level, code, message, details),
        onFatal: (error) => handlers.onFatal(error),
      },
      { clock: this.#clock, logger: this.#logger },
    );
  }

  get #isEmpty(): boolean {
    return this.#options.directories.every(({ fd }) => isEmptyDirectory(fd));
  }

  #makeGate({
    state,
    applier,
    journal,
  }: Pick<StandbyParts, 'state' | 'applier' | 'journal'>): ApplyGate {
    const { group, deletions, guard, directories, journalBytesMax } = this.#options;
    const roots = directories.map(({ fd }) => fd);
    return new ApplyGate(
      { group, deletions, guard, roots, halt: state.data.halt },
      {
        publish: (sequence) => applier.control.publishTail(sequence),
        onHalt: (halt) => this.#halt(halt),
        onAlarm: (what, since) => {
          const isKept = this.#parts.undo.isKept;
          this.#tell(alarmEvent(group, { what, since, isKept }));
        },
        isShortOfRoom: () => journal.bytes > journalBytesMax / 2,
      },
      this.#clock,
    );
  }

  #halt(halt: Halt): void {
    try {
      this.#keepHalt();
    } catch (error) {
      this.#tell(['error', 'STATE_IO', messageOf(error), {}]);
    }
    this.#tell(haltEvent(this.#options.group, halt));
  }

  /** Another process will have to know of it. A disk that is full must not end this one, which does. */
  #keepHalt(): void {
    const { gate, state } = this.#parts;
    if (state.data.halt !== gate.halted) state.update({ halt: gate.halted });
  }

  #tell([level, code, message, details]: StandbyEvent): void {
    this.#handlers.onEvent(level, code, message, details);
  }

  /** A person has looked at what applying was halted for. Errors: NOT_HALTED. */
  accept(): void {
    const { group } = this.#options;
    const { gate, state, journal, receiver } = this.#parts;
    if (gate.halted === null) {
      throw new UnderstudyError('NOT_HALTED', `applying of group "${group}" is not halted here`);
    }
    const { sequence: accepted } = journal.position;
    state.update({ halt: null, accepted });
    gate.accept(accepted);
    this.#handlers.onEvent('warning', 'APPLY_ACCEPTED', 'a person let the applying go on', {});
    receiver.applied();
  }

  /** Bookmarks and earlier states. */
  get rewinder(): Rewinder {
    return this.#past.rewinder;
  }

  /** See {@link CopyPast.rewind}. */
  async rewind(wish: RewindWish): Promise<RewindState> {
    return this.#past.rewind(wish);
  }

  /** See {@link CopyPast.release}. */
  release(): void {
    this.#past.release();
  }

  /** Applies what the journal holds and listens for the primary; resolves with the port. */
  async start(): Promise<number> {
    const { state, journal, receiver } = this.#parts;
    if (this.#isUnsynced) {
      const what = `this node lost its power (or the directory was mounted anew) before everything that group "${this.#options.group}" had written was on its disk: the copy is compared`;
      this.#handlers.onEvent('warning', 'COPY_UNSYNCED', what, {});
    }
    const { emptied } = this.#options;
    if (emptied !== null) {
      const what = `${emptied}: the copy of group "${this.#options.group}" is made anew`;
      this.#handlers.onEvent('error', 'COPY_EMPTIED', what, {});
    }
    const { copy, checkpoint, rewound } = state.data;
    if (journal.fault !== undefined) {
      const what = `the journal was cut: ${journal.fault}`;
      this.#handlers.onEvent('warning', 'JOURNAL_CUT', what, {});
    }
    if (rewound) {
      receiver.hold(`the copy of ${this.#options.group} was taken back by an operator`);
    }
    this.#salvage.resume();
    if (!this.#past.resume() && copy === 'complete') {
      this.#judgeAgain();
      if (this.#salvage.isPending) void this.#checkpoints.keepSalvage();
      else {
        const redoUntil = journal.position.sequence;
        this.#course.start(checkpoint.sequence, 'complete', { redoUntil });
      }
    }
    void this.#checkpoints.syncFirst();
    this.#timer = setInterval(() => this.#keepHouse(), HOUSEKEEPING_INTERVAL_MS);
    return this.#server.listen();
  }

  #judgeAgain(): void {
    const { groupId, stateDirectory, deletions, directories } = this.#options;
    const { gate, state, journal } = this.#parts;
    const checkpoint = state.data.checkpoint.sequence;
    if (deletions === null) return;
    const segment = journal.segmentOf(checkpoint + 1);
    judgeAgain({
      gate,
      roots: directories.map(({ fd }) => fd),
      journal: { directory: join(stateDirectory, 'journal'), groupId, segment },
      checkpoint,
      tail: journal.position.sequence,
      accepted: state.data.accepted,
    });
  }

  /** Where the copy stands that would be promoted, and whether a newer one is being made over it. */
  get data(): { readonly epoch: number; readonly sequence: number; readonly isStaged: boolean } {
    const { state, journal } = this.#parts;
    const { epoch, staged } = state.data;
    return {
      epoch: staged?.epoch ?? epoch,
      sequence: staged?.sequence ?? journal.position.sequence,
      isStaged: staged !== null,
    };
  }

  /** State of the copy; see {@link StandbyStatus}. */
  get copy(): StandbyStatus['copy'] {
    return this.#parts.receiver.copy;
  }

  get status(): StandbyStatus {
    const { state, journal, receiver, gate } = this.#parts;
    const { copy, checkpoint, epoch, staged, rewound } = state.data;
    const { position } = journal;
    const { data } = this;
    return {
      data: { epoch: data.epoch, sequence: data.sequence },
      stagedSinceMs: staged?.sinceMs ?? null,
      rewound,
      epoch,
      copy: receiver.copy,
      streamId: copy === 'empty' ? null : position.streamId,
      receivedSequence: position.sequence,
      durableSequence: journal.durableSequence,
      appliedSequence: this.#course.applied,
      checkpointSequence: checkpoint.sequence,
      link: receiver.isConnected ? 'connected' : 'waiting',
      journalBytes: journal.bytes,
      receivedBytes: receiver.receivedBytes,
      blocked: this.#blocked,
      verify: this.#verify.data,
      halted: gate.halted,
      scan: copy === 'syncing' ? { bytes: receiver.receivedBytes - this.#scanFrom } : null,
    };
  }

  /**
   * Takes nothing more, applies everything that was received, brings it to the disk and ends.
   * `accepts`: states of the copy that will do. Errors: COPY_NOT_UP_TO_DATE for any other (nothing has
   * changed then); APPLY_BLOCKED, unless more than `up-to-date` will do.
   */
  async finish(accepts: readonly string[]): Promise<FinishedStandby> {
    const { receiver, gate, state } = this.#parts;
    const { copy } = receiver;
    const { group } = this.#options;
    if (!accepts.includes(copy)) {
      const why = `the copy of group ${group} is not up to date (${copy})`;
      throw new UnderstudyError('COPY_NOT_UP_TO_DATE', `${why}: wait, or use force`, {
        details: { copy },
      });
    }
    const lap = this.#stopwatch();
    gate.lift();
    receiver.stop();
    const closed = this.#server.close();
    await receiver.settle();
    lap('settled');
    await this.#past.settled();
    await this.#course.untilUnpaused();
    await receiver.untilBegun();
    if (state.data.staged !== null && copy !== 'syncing') {
      return this.#finishStaged({ closed, lap, copy });
    }
    if (state.data.copy === 'syncing' && copy !== 'syncing') throw this.#unusable();
    const isDrained = await this.#course.drain();
    if (!isDrained && accepts.every((each) => each === 'up-to-date')) {
      const why = this.#blocked ?? 'records cannot be applied';
      throw new UnderstudyError(
        'APPLY_BLOCKED',
        `the copy of group ${group} is incomplete: ${why}`,
      );
    }
    lap('drained');
    return this.#finishPresent({ closed, lap, copy }, isDrained);
  }

  /** What is promoted is the copy with as much of the journal as is applied. */
  async #finishPresent(
    { closed, lap, copy }: Finishing,
    isDrained: boolean,
  ): Promise<FinishedStandby> {
    const { checkpointer, journal, state } = this.#parts;
    // Before the first client is served, everything that the old primary was told to be safe is on this
    // disk without the journal: a redo after a power cut would overwrite what was served meanwhile.
    if (isDrained) await Promise.all([this.#course.stop(), checkpointer.sync()]);
    else await this.#course.stopAndSync();
    await this.#salvage.keep();
    const sequence = this.#course.applied;
    lap('synced');
    const { streamId, epoch, sequence: received } = journal.position;
    state.update({ checkpoint: { streamId, epoch, sequence } });
    const { era } = this.#parts.marks;
    const wallMs = this.#clock.wallMs();
    if (isDrained) this.#checkpoints.mark({ streamId, sequence }, { wallMs, era });
    for (const { fd } of this.#options.directories) releaseCopy(fd);
    lap('released');
    await closed;
    await this.#end();
    this.#logger.info(lap('ended'), 'finished');
    this.#tellDropped(received - sequence);
    const isOld = state.data.rewound ? { isOld: true as const } : {};
    return { streamId, sequence, copy, journaledButLost: received - sequence, ...isOld };
  }

  #tellDropped(records: number): void {
    if (this.#parts.gate.halted === null || records === 0) return;
    const what = `${records} records that were received after applying was halted are not in the copy`;
    this.#handlers.onEvent('warning', 'HALTED_RECORDS_DROPPED', what, { records });
  }

  /** The new copy is not complete: what is promoted is the one before. */
  async #finishStaged({ closed, lap, copy }: Finishing): Promise<FinishedStandby> {
    await this.#course.stop();
    await this.#past.returnToStaged();
    lap('returned');
    const { state } = this.#parts;
    if (state.data.copy !== 'complete') throw this.#unusable();
    const { streamId, sequence } = state.data.checkpoint;
    for (const { fd } of this.#options.directories) releaseCopy(fd);
    await closed;
    await this.#end();
    this.#logger.info(lap('ended'), 'finished');
    return { streamId, sequence, copy, journaledButLost: 0, isOld: true };
  }

  #unusable(): UnderstudyError {
    const why = 'the state before the scan cannot be reached any more';
    return new UnderstudyError('COPY_UNUSABLE', `the copy of ${this.#options.group}: ${why}`);
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
    const { receiver } = this.#parts;
    receiver.stop();
    this.#salvage.abort();
    await this.#server.close();
    await receiver.settle();
    await this.#past.settled().catch(() => undefined);
    await this.#course.untilUnpaused();
    await this.#course.stop();
    await receiver.untilBegun();
    await this.#end();
  }

  async #end(): Promise<void> {
    this.#course.close();
    this.#parts.gate.close();
    clearInterval(this.#timer);
    await this.#parts.journal.close();
  }

  /**
   * Another stream begins with a scan. What was received of the one before is applied first, so
   * that no record is dropped that somebody could still have wanted from this copy. Whoever ends this
   * standby meanwhile wants the copy as it is.
   */
  async #beginScan(scan: ScanStart): Promise<boolean> {
    const { position, trustedSinceMs } = scan;
    const { state, gate, checkpointer, journal, receiver, applier } = this.#parts;
    await this.#course.untilUnpaused();
    // While it was waited for, too.
    if (gate.halted !== null) return false;
    const from = state.data.copy;
    gate.lift(position.sequence);
    const isDrained = from === 'complete' && (await this.#course.drain());
    await this.#course.stop();
    // The scan compares with what is in memory now: after a power cut it must be on the disk too.
    await checkpointer.sync();
    if (!receiver.isOpen) return false;
    if (isDrained) state.update({ checkpoint: journal.position });
    const { sequence } = position;
    const staged = isDrained ? this.#past.stage(sequence) : this.#past.stageAgain(sequence);
    const salvage = this.#salvage.begin(scan, { copy: from, isEmpty: this.#isEmpty });
    const firstSegment = await journal.reset(position);
    const change = { copy: 'syncing', checkpoint: position, firstSegment, closed: null } as const;
    state.update({ ...change, staged, salvage, accepted: 0 });
    const reason = 'the primary scans';
    this.#logger.info({ from, to: 'syncing', staged: staged?.sequence ?? null, reason }, 'copy');
    this.#scanFrom = receiver.receivedBytes;
    this.#verify.interrupt();
    this.#blocked = null;
    // What a marker says about the stream before means nothing in the new one.
    for (const { fd } of this.#options.directories) removeMarker(fd);
    if (salvage !== null) {
      const ownSinceMs = salvage.ownSinceMs ?? Number.NaN;
      this.#course.start(sequence, 'salvage', { ownSinceMs });
    } else this.#course.start(sequence, staged === null ? 'scanning' : 'staged');
    applier.control.trustedSinceMs = trustedSinceMs;
    return true;
  }

  #keepHouse(): void {
    try {
      const backMs = this.#parts.marks.watchClock();
      if (backMs > 0) this.#logger.warn({ backMs }, 'the clock was set back: marks are forgotten');
    } catch (error) {
      this.#logger.error({ message: messageOf(error) }, 'marks cannot be forgotten');
    }
    try {
      this.#keepHalt();
    } catch (error) {
      this.#logger.error({ message: messageOf(error) }, 'the halt cannot be remembered');
    }
    this.#keepReport();
    void this.#checkpoints.look();
  }

  #onUndo(news: UndoTold): void {
    if (news.kind === 'begun') this.#checkpoints.want();
    else if (news.kind === 'staging-lost' && this.#salvage.isPending) this.#salvage.lost(news.why);
    else this.#past.onNews(news);
  }

  #onVerify(notices: readonly VerifyNotice[]): void {
    let isOver = false;
    for (const notice of notices)
      isOver = this.#verify.note(notice, this.#clock.wallMs()) || isOver;
    if (isOver) this.#tell(verifyEvent(this.#options.group, this.#verify.data));
    this.#keepReport();
  }

  /** A disk that is full must not end this process: it is tried again. */
  #keepReport(): void {
    try {
      this.#verify.keep();
    } catch (error) {
      this.#logger.error({ message: messageOf(error) }, 'the comparison cannot be remembered');
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

function openState(options: StandbyOptions, mounts: string): StandbyState {
  const { epoch, stateDirectory } = options;
  const state = StandbyState.open(stateDirectory, firstState({ ...options, mounts }));
  if (epoch > state.data.epoch) state.update({ epoch });
  if (options.emptied !== null) forgetEmptied(state);
  return state;
}

/** What is left is neither the copy nor on the way back to one. */
function forgetEmptied(state: StandbyState): void {
  const { copy, unsynced } = state.data;
  if (copy === 'complete' && unsynced === null) state.update({ copy: 'diverged', closed: null });
  else if (copy === 'complete') compareAnew(state);
  else state.update({ staged: null });
}

/** What the kernel had not written yet is gone when the mounts are others, after a power cut: nobody knows what that was. */
function forgetUnsynced(state: StandbyState, mounts: string): boolean {
  const { unsynced } = state.data;
  if (unsynced === null || unsynced === mounts) return false;
  compareAnew(state);
  return true;
}

function compareAnew(state: StandbyState): void {
  state.update({ copy: 'syncing', unsynced: null, closed: null });
}

/**
 * The disk has lost something of the copy. What came behind the checkpoint is applied again; the rest is compared, and what the
 * kernel has in memory would not be what is on the disk.
 */
function lose(state: StandbyState): void {
  if (state.data.unsynced !== null) compareAnew(state);
  if (state.data.copy === 'syncing') dropCleanPages();
}

function isEmptyDirectory(fd: number): boolean {
  return readdirSync(`/proc/self/fd/${fd}`).every((name) => name === ORPHAN_DIRECTORY);
}
