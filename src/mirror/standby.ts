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
import { NO_STREAM, StandbyState } from '../journal/standby-state.ts';
import { ApplierHost } from './applier-host.ts';
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
}

/** What a finished standby leaves. */
export interface FinishedStandby extends StreamPosition {
  readonly copy: CopyState;
  /** Records that were received but could not be applied. */
  readonly journaledButLost: number;
}

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
    // A scan that was cut short is not gone on with: only memory knew its course.
    if (copy === 'complete') this.#startApplier(checkpoint.sequence);
    this.#checkpointAt = this.#clock.monotonicMs();
    this.#timer = setInterval(() => this.#keepHouse(), HOUSEKEEPING_INTERVAL_MS);
    return this.#server.listen();
  }

  get status(): StandbyStatus {
    const { copy, checkpoint, epoch } = this.#state.data;
    const { position } = this.#journal;
    return {
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
    return { streamId, sequence, copy, journaledButLost: received - sequence };
  }

  #tellDropped(records: number): void {
    if (this.#gate.halted === null || records === 0) return;
    const what = `${records} records that were received after applying was halted are not in the copy`;
    this.#handlers.onEvent('warning', 'HALTED_RECORDS_DROPPED', what, { records });
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

  #startApplier(applied: number): void {
    const segment = this.#journal.segmentOf(applied + 1);
    const tail = this.#gate.begin(applied, this.#journal.durableSequence);
    this.#applier.start({ applied, tail, segment });
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
    const from = this.#state.data.copy;
    this.#gate.lift(position.sequence);
    const isDrained = from === 'complete' && (await this.#drain());
    await this.#applier.stop();
    // The scan compares with what is in memory now: after a power cut it must be on the disk too.
    await this.#checkpointer.sync();
    if (isDrained) this.#state.update({ checkpoint: this.#journal.position });
    const firstSegment = await this.#journal.reset(position);
    this.#state.update({ copy: 'syncing', checkpoint: position, firstSegment, closed: null });
    this.#logger.info({ from, to: 'syncing', reason: 'the primary scans' }, 'copy');
    this.#scanFrom = this.#receiver.receivedBytes;
    this.#verify.interrupt();
    this.#blocked = null;
    // What a marker says about the stream before means nothing in the new one.
    for (const { fd } of this.#options.directories) removeMarker(fd);
    this.#startApplier(position.sequence);
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
