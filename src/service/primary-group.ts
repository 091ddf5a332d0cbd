// The primary side of one group: filter, sender, and the rule by which commits wait.
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Logger } from '../core/logger.ts';
import { systemClock } from '../core/clock.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { formatBytes } from '../core/units.ts';
import { errnoName } from '../linux/constants.ts';
import { cover, hasCover } from '../linux/directory-cover.ts';
import { readMountTable } from '../linux/mount-table.ts';
import { Filter, type FilterDescriptors } from '../filter/filter.ts';
import type { FilterThreads } from '../filter/filter-threads.ts';
import { Marks } from '../journal/marks.ts';
import type { Ack } from '../mirror/link/frame.ts';
import type { LinkState } from '../mirror/link/link-client.ts';
import { coverAgain } from '../mirror/cover.ts';
import { Sender } from '../mirror/sender.ts';
import { type SpaceAlert, spaceText } from '../mirror/disk-space.ts';
import { type ControlEvent, makeEvent } from './control-channel.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { GroupProcessSpec } from './group-spec.ts';
import { MarkKeeper, type Point } from './mark-keeper.ts';
import { coveredSentence, givenBackSentence, MountWatch } from './mount-watch.ts';
import { type CommitWish, PrimaryCommits } from './primary-commits.ts';
import { type LimitStatus, PrimaryLimit } from './primary-limit.ts';
import { PrimaryScans } from './primary-scans.ts';
import { readStreamNote, type StreamNote } from './stream-note.ts';
import { describeUser, findDirectoryUsers } from './open-files.ts';
import { unmountPatiently, untilNobody } from './unmount-patiently.ts';

const RATE_INTERVAL_MS = 1000;
const HELPER_THREADS = 3;
const SPIN_MICROSECONDS = 50;
/** Nobody serves while it lasts. */
const HANDOVER_DRAIN = { timeoutMs: 60_000, linkPatienceMs: 3000 };
const SHUTDOWN_DRAIN = { timeoutMs: 5000 };

export interface PrimaryGroupDependencies {
  readonly logger: Logger;
  readonly onEvent: (event: ControlEvent) => void;
  /** Managed groups: the mirror's mind about commits has changed, see {@link CommitWish}. */
  readonly onCommits: (wish: CommitWish) => void;
  /** The disk underneath fails; `why` is a sentence. */
  readonly onDiskFault: (why: string) => void;
  /** See {@link MountWatch}; `why` is a sentence. */
  readonly onMountsLost: (why: string) => void;
  /** The group cannot go on; the process is to end. */
  readonly onFatal: (message: string) => void;
  /** Mounts of a process that has died, to go on with; descriptors of this process. */
  readonly takeOver: FilterDescriptors | undefined;
  /** Threads of the filter that were started in advance. */
  readonly threads: FilterThreads | undefined;
}

const WAITS_FOR = { sync: 'durable', memory: 'received', async: 'nothing' } as const;

/** Position at which a stream ended cleanly. */
export interface StreamEnd {
  readonly streamId: string;
  readonly sequence: number;
}

export class PrimaryGroup {
  readonly #spec: GroupProcessSpec;
  readonly #dependencies: PrimaryGroupDependencies;
  readonly #streamId: string;
  readonly #start: NonNullable<GroupProcessSpec['start']>;
  readonly #filter: Filter;
  readonly #sender: Sender | undefined;
  readonly #marks: Marks;
  #markKeeper: MarkKeeper | undefined;
  readonly #pointsAsked: ((point: Point) => void)[] = [];
  readonly #limit: PrimaryLimit;
  readonly #mounts: MountWatch;
  readonly #commits: PrimaryCommits;
  readonly #scans: PrimaryScans;
  /** I/O errors of the disk so far. */
  #faults = 0;
  /** The process that holds the mounts, too. */
  #holder: number;
  #isBypassed = false;
  #rates = { recordsPerSecond: 0, bytesPerSecond: 0, wireBytesPerSecond: 0 };
  readonly #timers: NodeJS.Timeout[] = [];
  #policyTimer: NodeJS.Timeout | undefined;
  #ended: ((lastSequence: number) => void) | undefined;
  readonly #end: Promise<number>;

  constructor(spec: GroupProcessSpec, dependencies: PrimaryGroupDependencies) {
    this.#spec = spec;
    this.#dependencies = dependencies;
    this.#holder = spec.takeOver?.pid ?? 0;
    const { takeOver } = dependencies;
    const start = spec.start ?? { firstSequence: 1, base: null };
    this.#filter = new Filter({
      group: spec.group,
      directories: spec.directories,
      epoch: spec.epoch,
      firstSequence: start.firstSequence,
      captureFromStart: spec.peer !== null && start.base !== null,
      ringBytes: spec.replication.ringBytes,
      helperThreads: HELPER_THREADS,
      spinMicroseconds: SPIN_MICROSECONDS,
      threads: dependencies.threads,
      leaseFile: spec.leaseFile,
      takeOver,
    });
    const note = takeOver === undefined ? undefined : readStreamNote(this.#filter, spec);
    this.#streamId = note?.streamId ?? randomBytes(16).toString('hex');
    this.#start =
      note === undefined ? start : { firstSequence: note.firstSequence, base: note.base };
    this.#marks = Marks.open(spec.marksFile, spec.groupId, systemClock);
    if (this.#marks.fault !== undefined)
      dependencies.logger.warn({ why: this.#marks.fault }, 'no marks');
    this.#sender = spec.peer === null ? undefined : this.#makeSender(spec.peer);
    this.#limit = new PrimaryLimit(spec.replication.bandwidth, {
      sender: this.#sender,
      onChange: ({ why }) =>
        this.#event('info', 'LIMIT_CHANGED', `the bandwidth limit is now ${why}`),
      now: () => new Date(),
    });
    this.#mounts = new MountWatch({
      group: spec.group,
      filter: this.#filter,
      onLost: (_, why) => dependencies.onMountsLost(why),
      emit: (...event) => this.#event(...event),
    });
    this.#scans = new PrimaryScans({
      group: spec.group,
      filter: this.#filter,
      sender: this.#sender,
      marks: this.#marks,
      emit: (...event) => this.#event(...event),
    });
    this.#commits = this.#makeCommits();
    if (note !== undefined) this.#commits.resume(note.commits);
    else if (spec.firstCommitRequest !== null) this.#commits.begin(spec.firstCommitRequest);
    this.#writeNote();
    this.#end = new Promise((resolve) => {
      this.#ended = resolve;
    });
  }

  #makeCommits(): PrimaryCommits {
    return new PrimaryCommits({
      replication: this.#spec.replication,
      gate: this.#filter.commits,
      sender: this.#sender,
      askPoint: async () => this.point(),
      limit: () => (this.#limit.status.rate === null ? null : this.#limit.status.why),
      onNote: () => this.#writeNote(),
      onWish: this.#dependencies.onCommits,
      emit: (...event) => this.#event(...event),
      logger: this.#dependencies.logger,
    });
  }

  /** For a successor. Before anything is let go that the note does not allow. */
  #writeNote(): void {
    const { groupId, epoch } = this.#spec;
    this.#filter.state.note = {
      groupId,
      epoch,
      streamId: this.#streamId,
      ...this.#start,
      commits: this.#commits.note,
    } satisfies StreamNote;
  }

  #makeSender(peer: NonNullable<GroupProcessSpec['peer']>): Sender {
    const { identity, replication, group, groupId, node, epoch, stateDirectory } = this.#spec;
    return new Sender(
      {
        ring: this.#filter.ring,
        peer: { host: peer.host, port: this.#spec.replicationPort, certificate: peer.certificate },
        identity: {
          certificate: readFileSync(identity.certificatePath, 'utf8'),
          key: readFileSync(identity.keyPath, 'utf8'),
        },
        group,
        groupId,
        node,
        epoch,
        streamId: this.#streamId,
        firstSequence: this.#start.firstSequence,
        base: this.#start.base,
        succession: {
          spillIndex: this.#filter.state.spillIndex(),
          resumes: this.#dependencies.takeOver !== undefined,
        },
        spillDirectory: join(stateDirectory, 'spill'),
        spillBytesMax: replication.backlogBytesMax,
        commitsWaitFor: WAITS_FOR[replication.mode],
        isStandbyComplete: () => this.#commits.isStandbyComplete,
        linkTimeoutMs: replication.linkTimeoutMs,
        marks: () => this.#marks.all,
        scanPace: this.#filter.scanPace,
        compression: replication.compression,
      },
      {
        onAck: (ack) => this.#onAck(ack),
        onNeed: (ranges) => this.#filter.need(ranges),
        onScanWanted: (wish) => this.#scans.onWanted(wish),
        onLink: (state, reason) => this.#onLink(state, reason),
        onOverflow: (reason) => this.#onOverflow(reason),
        onSpaceLow: (alert) => this.#onSpaceLow(alert),
      },
      { clock: systemClock, logger: this.#dependencies.logger },
    );
  }

  /** Mounts the filter; records gather until {@link replicate}. Errors: those of {@link Filter.start}. */
  async start(): Promise<void> {
    await this.#filter.start({
      onScan: (progress, finished, fault) => this.#scans.onProgress(progress, finished, fault),
      onVerify: (progress, finished, fault) =>
        this.#scans.onVerifyProgress(progress, finished, fault),
      onScanNeeded: () => this.#scans.rescan(),
      onMark: (point) => this.#onPoint(point),
      onEnded: (lastSequence) => {
        this.#mounts.lost(this.#spec.directories.map(({ dir }) => dir));
        this.#ended?.(lastSequence);
      },
      onFailed: (message) => this.#dependencies.onFatal(message),
    });
    // Where the process before was amid a scan, the standby waits for its end.
    if (this.#filter.owesScan && this.#sender?.isHolding === true) this.#scans.rescan();
    this.#watchPolicy();
    this.#measureRates();
    this.#limit.start();
  }

  /** Looks for the standby from now on. */
  replicate(): void {
    const sender = this.#sender;
    if (sender === undefined) return;
    sender.start();
    this.#markKeeper = new MarkKeeper(
      {
        streamId: this.#streamId,
        roots: this.#filter.roots,
        isComplete: () =>
          !this.#isBypassed &&
          !this.#scans.isScanning &&
          sender.isHolding &&
          (sender.copy === 'up-to-date' || sender.copy === 'catching-up'),
        sequence: () => this.sequence,
        askPoint: () => this.#askPoint((point) => void this.#markKeeper?.make(point)),
        drained: async (sequence, timeoutMs) => sender.drain(sequence, 'durable', { timeoutMs }),
      },
      { marks: this.#marks, clock: systemClock, logger: this.#dependencies.logger },
    );
    this.#markKeeper.start();
  }

  /**
   * The last record captured at a moment after this is called: what returned to applications before is
   * not behind it.
   */
  async point(): Promise<number> {
    return new Promise((resolve) => this.#askPoint(({ sequence }) => resolve(sequence)));
  }

  #askPoint(tell: (point: Point) => void): void {
    this.#pointsAsked.push(tell);
    this.#filter.mark();
  }

  /** Answers come in the order of the questions. */
  #onPoint(point: Point): void {
    this.#pointsAsked.shift()?.(point);
  }

  #watchDisk(): void {
    const { count, last } = this.#filter.commits.faults;
    if (count === this.#faults) return;
    this.#faults = count;
    const dirs = this.#spec.directories.map(({ dir }) => dir).join(', ');
    this.#dependencies.onDiskFault(
      `the file system underneath ${dirs} answered ${errnoName(-last)} to an application`,
    );
  }

  #watchPolicy(): void {
    this.#commits.apply();
    this.#watchDisk();
    this.#mounts.look();
    this.#policyTimer = setTimeout(() => this.#watchPolicy(), this.#commits.intervalMs);
  }

  #measureRates(): void {
    let last = this.#sender?.totals;
    const measure = (): void => {
      const now = this.#sender?.totals;
      if (now === undefined || last === undefined) return;
      this.#rates = {
        recordsPerSecond: now.records - last.records,
        bytesPerSecond: now.sentBytes - last.sentBytes,
        wireBytesPerSecond: now.wireBytes - last.wireBytes,
      };
      last = now;
    };
    this.#timers.push(setInterval(measure, RATE_INTERVAL_MS));
  }

  #onAck(ack: Ack): void {
    this.#commits.onAck(ack);
    this.#scans.onCopy();
    if (this.#scans.isScanning) this.#filter.applied(ack.appliedSequence);
    if (this.#commits.isAlone) this.#commits.apply();
  }

  #onLink(state: LinkState, reason: string): void {
    const isUp = state === 'connected';
    const isNewlyDown = this.#commits.noteLink(isUp);
    if (isUp) this.#event('info', 'LINK_UP', `connected to the standby: ${reason}`);
    if (isNewlyDown)
      this.#event('warning', 'LINK_DOWN', `the link to the standby is down: ${reason}`);
  }

  #onSpaceLow(alert: SpaceAlert): void {
    const { stateDirectory } = this.#spec;
    const held = formatBytes(this.#sender?.spilledBytes ?? 0);
    const what = `what the standby lacks goes to this disk (${held} so far); when too little is left, it is let go and the standby is resynchronised`;
    const sentence = `${spaceText(stateDirectory, alert)}: ${what}`;
    this.#event(alert.percent > 10 ? 'warning' : 'error', 'BACKLOG_SPACE_LOW', sentence);
  }

  #onOverflow(reason: string): void {
    this.#filter.disable();
    this.#scans.giveUp();
    this.#event(
      'warning',
      'BACKLOG_OVERFLOW',
      `what the standby lacks is no longer kept (${reason}): it is resynchronised when it is back`,
    );
  }

  #event(level: ControlEvent['level'], code: string, message: string): void {
    this.#dependencies.onEvent(makeEvent(level, code, message));
  }

  /** See {@link PrimaryCommits.allowAlone}. */
  allowAlone(request: number): void {
    this.#commits.allowAlone(request);
  }

  /** Paths that lead to the directories underneath the mounts, for this process only. */
  get underneath(): readonly string[] {
    return this.#filter.underneath;
  }

  /** By these another process can go on when this one dies; null while or where that cannot be. */
  get descriptors(): FilterDescriptors | null {
    return this.#filter.descriptors ?? null;
  }

  /** False: whether there will be {@link descriptors} is to be asked again. */
  get isAgreed(): boolean {
    return this.#filter.isAgreed;
  }

  /** The process that holds the mounts has the directories open, but is in nobody's way. */
  noteHolder(pid: number): void {
    this.#holder = pid;
  }

  /** Last record captured. */
  get sequence(): number {
    return this.#sender?.headSequence ?? 0;
  }

  /** See the control channel's `status`. */
  status(): Record<string, unknown> {
    const sender = this.#sender;
    const ack = sender?.acked;
    return {
      role: 'primary',
      pid: process.pid,
      epoch: this.#spec.epoch,
      streamId: this.#streamId,
      sequence: this.sequence,
      link: sender?.link.state ?? 'none',
      linkReason: sender?.link.reason ?? 'the group has no standby',
      mode: this.#spec.replication.mode,
      ...this.#commits.status,
      standby: ack ?? null,
      backlogBytes: sender?.backlogBytes ?? 0,
      lagMs: Math.round(sender?.lagMs ?? 0),
      ...this.#scans.status,
      rates: this.#rates,
      limit: this.#limit.status,
      compression: sender?.compression ?? null,
      directories: this.#spec.directories.map(({ dir }) => ({
        dir,
        mounted: this.#filter.mounted.includes(dir),
        covered: this.#mounts.covered.includes(dir),
      })),
    };
  }

  /** This group's share of the node's limit, bytes per second; null: the node has none. */
  setShare(share: number | null): void {
    this.#limit.setShare(share);
  }

  /** The operator has set another bandwidth limit; returns what is in force now. */
  changeBandwidth(bandwidth: Bandwidth): LimitStatus {
    this.#limit.change(bandwidth);
    return this.#limit.status;
  }

  /**
   * Somebody writes past the filter: what both copies were known to have in common proves nothing, and cannot be
   * known before the comparison that ends it ({@link repair}).
   */
  noteBypassed(): void {
    this.#isBypassed = true;
    this.#marks.clear();
  }

  /** See {@link PrimaryScans.repair}. */
  repair(): void {
    this.#scans.repair();
    this.#isBypassed = false;
  }

  /** See {@link PrimaryScans.verify}. */
  verify(): void {
    this.#scans.verify();
  }

  /**
   * Gives the directories back and ends the stream with everything applied on the standby.
   * Errors: DIRECTORY_BUSY, COPY_NOT_UP_TO_DATE (nothing has changed); DRAIN_TIMEOUT (the process should end when the
   * directories are unmounted).
   */
  async handover(): Promise<StreamEnd> {
    const copy = this.#sender?.copy;
    if (
      this.#sender?.link.state !== 'connected' ||
      (copy !== 'up-to-date' && copy !== 'catching-up')
    ) {
      throw new UnderstudyError(
        'COPY_NOT_UP_TO_DATE',
        `the standby of group ${this.#spec.group} is ${copy ?? 'unknown'} (link ${this.#sender?.link.state ?? 'none'}): wait until "understudy status" shows it up-to-date`,
      );
    }
    if (this.#filter.lacksScan) throw this.#lacking('COPY_NOT_UP_TO_DATE');
    await this.#requireFollowing(this.#sender);
    const sequence = await this.#unmount({ becomesStandby: true });
    await this.#sender.drain(sequence, 'applied', HANDOVER_DRAIN);
    // What happened last, in the moments in which it was unmounted.
    if (this.#filter.lacksScan) throw this.#lacking('DRAIN_TIMEOUT');
    return this.#close(sequence);
  }

  #lacking(code: string): UnderstudyError {
    const sentence = `something on the primary of group ${this.#spec.group} could not be read when it was to be sent: its standby has it after the next scan`;
    return new UnderstudyError(code, sentence);
  }

  /** A standby that is gone, and has not been missed yet, is found out while everything can stay as it is. */
  async #requireFollowing(sender: Sender): Promise<void> {
    try {
      await sender.drain(this.sequence, 'applied', HANDOVER_DRAIN);
    } catch (cause) {
      const sentence = `the standby of group ${this.#spec.group} does not follow: ${messageOf(cause)}`;
      throw new UnderstudyError('COPY_NOT_UP_TO_DATE', sentence, { cause });
    }
  }

  /** Gives the directories back, sends what can still be sent. Errors: DIRECTORY_BUSY. */
  async shutdown(): Promise<StreamEnd> {
    const sequence = await this.#unmount();
    await this.#sender?.drain(sequence, 'durable', SHUTDOWN_DRAIN).catch((thrown: unknown) => {
      this.#dependencies.logger.warn({ reason: String(thrown) }, 'not everything was sent');
    });
    return this.#close(sequence);
  }

  /** Takes the directories out of sight at once, for an end that cannot be avoided. */
  detach(): void {
    this.#filter.detach();
  }

  /**
   * `becomesStandby`: nobody is to write the directories any more. Errors: DIRECTORY_BUSY (all are as before), MOUNT_LOST,
   * UNMOUNT_FAILED.
   */
  async #unmount({ becomesStandby = false } = {}): Promise<number> {
    const { directories } = this.#spec;
    this.#refuseWhenObstructed();
    // The kernel knows at once who is in the way, and looking through /proc takes long. Only among
    // several directories the first must not be given back when another is in use.
    if (directories.length > 1) {
      await untilNobody(() => {
        for (const { dir } of directories) this.#refuseWhenBusy(dir);
      });
    }
    if (becomesStandby) this.#coverBeneath();
    try {
      await this.#unmountAll(becomesStandby);
    } catch (thrown) {
      throw this.#whatIsLost(thrown);
    }
    return this.#mounts.untilEnded(this.#end);
  }

  async #unmountAll(becomesStandby: boolean): Promise<void> {
    // The answers to commits must not be missing while the kernel waits for them to unmount.
    const left = await unmountPatiently({
      unmount: () => {
        const inUse = this.#filter.unmount();
        if (becomesStandby) this.#cover();
        return inUse;
      },
      refuseWhenOpen: (dir) => this.#refuseWhenBusy(dir),
    });
    if (left === undefined) return;
    this.#refuseWhenObstructed();
    throw busy(this.#spec.group, left, []);
  }

  /** Directories that were unmounted before another one was found to be in use are nobody's to record any more. */
  #whatIsLost(cause: unknown): unknown {
    const dirs = this.#spec.directories.map(({ dir }) => dir);
    const given = dirs.filter((dir) => !this.#filter.mounted.includes(dir));
    if (given.length === 0) return cause;
    const sentence = givenBackSentence(given, messageOf(cause));
    return new UnderstudyError('MOUNT_LOST', sentence, { cause });
  }

  /** Nobody has a mount open, so that it is not among what {@link findDirectoryUsers} finds. */
  #refuseWhenObstructed(): void {
    const sentences = this.#filter.obstructions.map(({ directory, mountPoints }) =>
      mountPoints.includes(directory)
        ? coveredSentence(directory)
        : `other file systems are mounted below ${directory} of group ${this.#spec.group} (${mountPoints.slice(0, 5).join(', ')}): unmount them first`,
    );
    if (sentences.length > 0) throw new UnderstudyError('DIRECTORY_BUSY', sentences.join('; '));
  }

  /** Where the kernel can do it, there is no moment in which nothing is on the directories. */
  #coverBeneath(): void {
    const table = readMountTable();
    this.#spec.directories.forEach(({ dir }, index) => {
      if (hasCover(dir, table)) return;
      try {
        cover(dir, { beneath: this.#filter.underneath[index] ?? dir });
      } catch (thrown) {
        this.#dependencies.logger.info({ message: messageOf(thrown) }, 'covered when unmounted');
      }
    });
  }

  /** Those that are unmounted. */
  #cover(): void {
    const { mounted } = this.#filter;
    const dirs = this.#spec.directories.map(({ dir }) => dir);
    try {
      coverAgain(
        dirs.filter((dir) => !mounted.includes(dir)),
        readMountTable(),
      );
    } catch (thrown) {
      this.#dependencies.logger.warn({ message: messageOf(thrown) }, 'not covered yet');
    }
  }

  #refuseWhenBusy(dir: string): void {
    const users = findDirectoryUsers(dir, new Set([process.pid, this.#holder]));
    if (users.length > 0) throw busy(this.#spec.group, dir, users.map(describeUser));
  }

  /** Threads and descriptors of the filter end with the process, which has nothing left to do. */
  #close(sequence: number): StreamEnd {
    for (const timer of this.#timers) clearInterval(timer);
    clearTimeout(this.#policyTimer);
    this.#limit.stop();
    this.#scans.stop();
    this.#markKeeper?.stop();
    this.#sender?.close();
    return { streamId: this.#streamId, sequence };
  }
}

function busy(group: string, dir: string, processes: readonly string[]): UnderstudyError {
  const unseen = 'something that is no process (an NFS export, a loop device or a swap file in it)';
  const who = processes.length === 0 ? unseen : processes.slice(0, 5).join(', ');
  return new UnderstudyError(
    'DIRECTORY_BUSY',
    `${dir} of group ${group} is in use by ${who}: stop it first`,
    { details: { directory: dir, processes } },
  );
}
