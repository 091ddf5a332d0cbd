// The filter driver as the rest of the process sees it: mounts over the protected directories, runs
// the capture thread and its helpers, unmounts.
import { createRingControl, RingConsumer, type RingMemory } from '../core/byte-ring.ts';
import { assert, present } from '../core/assert.ts';
import { UnderstudyError } from '../core/errors.ts';
import { ScanPace } from '../core/scan-pace.ts';
import { createStoreSockets, type StoreSockets } from '../linux/descriptor-store.ts';
import { AT, errnoName, MS, O } from '../linux/constants.ts';
import { openUnderneath } from '../linux/directory-cover.ts';
import { addressOf, cpath, cstring, sys } from '../linux/libc.ts';
import { Stat } from '../linux/stat.ts';
import type { CaptureCommand, CaptureDirectory, CaptureReport } from './capture-thread.ts';
import { CommitReleaser } from './commit-releaser.ts';
import { FilterThreads } from './filter-threads.ts';
import { createLeaseSource, Lease, type LeaseSource } from './lease.ts';
import { type MountFindings, type Obstruction, OwnMounts } from './own-mounts.ts';
import type { ReadFault } from './read-faults.ts';
import type { NeededRange } from './scan-contents.ts';
import type { ScanPlan, ScanProgress } from './scanner.ts';
import { lastSequenceIn } from './ring-recovery.ts';
import { mountBase, mountInfo, mountWord, SharedState, word } from './shared-state.ts';

const NUDGE_INTERVAL_MS = 20;
const EFD_NONBLOCK_CLOEXEC = 0o2004000;
const ST_NOSUID = 2;
const ST_NODEV = 4;
const ST_NOEXEC = 8;

export interface FilterDirectory {
  /** Absolute path. */
  readonly dir: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

/** Descriptors of a filter by which it can be succeeded; numbers of whichever process is meant. */
export interface FilterDescriptors {
  /** Of the {@link SharedState}. */
  readonly memory: number;
  /** Both ends of the store of files without a name. */
  readonly store: number;
  readonly storeEnd: number;
  /** In the order of the directories. */
  readonly directories: readonly { readonly rootFd: number; readonly fuseFd: number }[];
}

export interface FilterOptions {
  /** Name of the group; shown as the source of the mounts. */
  readonly group: string;
  readonly directories: readonly FilterDirectory[];
  readonly epoch: number;
  readonly firstSequence: number;
  /** The standby continues without a first copy: capture from the first request on. */
  readonly captureFromStart: boolean;
  /** Capacity of the ring between capture and sender, bytes, a power of two. */
  readonly ringBytes: number;
  readonly helperThreads: number;
  readonly spinMicroseconds: number;
  /**
   * Shared cells whose LEASE_CELL says until when this node may write (see linux/lease-cell.ts); the
   * file must exist. null: always.
   */
  readonly leaseFile: string | null;
  /** Threads that were started in advance; without them the filter starts its own. */
  readonly threads?: FilterThreads | undefined;
  /**
   * The mounts of another process that has died, to go on with them; descriptors of this process. What
   * the stream is, is then known from there: `captureFromStart`, `firstSequence`, `ringBytes` do not count.
   */
  readonly takeOver?: FilterDescriptors | undefined;
}

export interface FilterListener {
  /** `fault`: what could not be read, as a sentence; the scan has ended without its end in the stream. */
  onScan(progress: ScanProgress, finished: boolean, fault: string | undefined): void;
  /** `finished`: all of it is in the stream, or it was given up, for `fault` if there is one. */
  onVerify(progress: ScanProgress, finished: boolean, fault: string | undefined): void;
  /** Answer to {@link Filter.mark}; see CaptureReport. */
  onMark(point: { readonly sequence: number; readonly wallMs: number }): void;
  /** The stream lacks a part of what a process that died was recording: compare once more. */
  onScanNeeded?(): void;
  /** Every directory was unmounted. */
  onEnded(lastSequence: number): void;
  /** The capture thread broke; the process must end. */
  onFailed(message: string): void;
}

export class Filter {
  readonly ring: RingMemory;
  readonly commits: CommitReleaser;
  /** How far a scan may be ahead: the sender's to set. */
  readonly scanPace = new ScanPace();
  /** What a successor finds. */
  readonly state: SharedState;
  readonly #sockets: StoreSockets;
  readonly #ringControl = createRingControl();
  readonly #firstSequence: number;
  readonly #options: FilterOptions;
  readonly #leaseSource: LeaseSource | null;
  readonly #lease: Lease | undefined;
  readonly #threads: FilterThreads;
  readonly #doorbell = new Int32Array(new SharedArrayBuffer(4));
  readonly #wakeFd: number;
  readonly #one = new Uint8Array(new ArrayBuffer(8));
  readonly #directories: CaptureDirectory[] = [];
  readonly #own: OwnMounts;
  /** Wakes the capture thread until it has noticed that everything is unmounted. */
  #nudge: NodeJS.Timeout | undefined;
  /** Scans begun so far. */
  #scans = 0;
  /** What broke the threads before anybody listened. */
  #early: string | undefined;

  /**
   * Errors: SHARED_CELLS_UNAVAILABLE when there is no such lease file, SHARED_MEMORY_UNAVAILABLE,
   * TAKEOVER_IMPOSSIBLE.
   */
  constructor(options: FilterOptions) {
    this.#options = options;
    const { takeOver } = options;
    this.#own = new OwnMounts(sourceOf(options.group));
    this.state =
      takeOver === undefined
        ? SharedState.create(options.group, options.ringBytes)
        : openState(takeOver, options);
    this.#sockets = takeOver ?? makeSockets();
    this.ring = this.state.ring(this.#ringControl);
    if (takeOver === undefined) new RingConsumer(this.ring).note = options.firstSequence;
    this.#firstSequence =
      takeOver === undefined ? options.firstSequence : lastSequenceIn(this.ring) + 1;
    this.#leaseSource = createLeaseSource(options.leaseFile);
    this.#lease = Lease.open(this.#leaseSource);
    this.#threads = options.threads ?? new FilterThreads((message) => (this.#early = message));
    this.commits = new CommitReleaser(this.#threads.gate, this.#lease);
    this.#wakeFd = sys.eventfd(0, EFD_NONBLOCK_CLOEXEC);
    this.#one[0] = 1;
  }

  /**
   * Mounts over every directory and starts serving. Resolves when requests are served.
   * On failure nothing stays mounted. Errors: MOUNT_FAILED, FUSE_UNAVAILABLE, DIRECTORY_UNREADABLE.
   */
  async start(listener: FilterListener): Promise<void> {
    if (this.#options.takeOver !== undefined) {
      this.#adopt(this.#options.takeOver);
      await this.#startThreads(listener);
      return;
    }
    try {
      for (const directory of this.#options.directories)
        this.#directories.push(this.#mount(directory));
    } catch (thrown) {
      this.detach();
      throw thrown;
    }
    this.#own.identify();
    await this.#startThreads(listener);
  }

  /** The mounts are there already, and requests wait. Errors: TAKEOVER_IMPOSSIBLE. */
  #adopt({ directories }: FilterDescriptors): void {
    this.#options.directories.forEach(({ dir, include, exclude }, index) => {
      const held = present(directories[index], 'the descriptors of a directory');
      this.#directories.push({ directory: dir, include, exclude, ...held });
      this.#own.add(dir);
    });
    if (this.#own.identify()) return;
    throw new UnderstudyError(
      'TAKEOVER_IMPOSSIBLE',
      `a mount of group ${this.#options.group} was taken away meanwhile: the directories are mounted anew`,
    );
  }

  /** The kernel has told what it can, for every directory. */
  get isAgreed(): boolean {
    return this.#hasAgreed(mountInfo.initialised);
  }

  #hasAgreed(info: number): boolean {
    const { words } = this.state;
    return this.#directories.every(
      (_, index) => ((words[mountBase(index) + mountWord.info] ?? 0) & info) !== 0,
    );
  }

  /** By these another process can go on when this one dies; undefined before {@link isAgreed}, and where the kernel is too old. */
  get descriptors(): FilterDescriptors | undefined {
    const { isUsable, fd } = this.state;
    const canResend = this.isAgreed && this.#hasAgreed(mountInfo.resend);
    if (!isUsable || !canResend || this.#directories.length === 0) return undefined;
    const directories = this.#directories.map(({ rootFd, fuseFd }) => ({ rootFd, fuseFd }));
    const { store, storeEnd } = this.#sockets;
    return { memory: fd, store, storeEnd, directories };
  }

  /** A process before this one owes the standby a scan: its end is not in the stream, or it was not even begun. */
  get owesScan(): boolean {
    if (this.#options.takeOver === undefined) return false;
    return this.state.words[word.scanning] === 1 || this.lacksScan;
  }

  /** The stream lacks something, and the scan that brings it was not begun yet. */
  get lacksScan(): boolean {
    return this.state.words[word.lacking] === 1;
  }

  #mount(directory: FilterDirectory): CaptureDirectory {
    // The cover of a standby stays below the filter: at no moment can others write what nobody records.
    const rootFd = openUnderneath(directory.dir);
    if (rootFd < 0) {
      throw new UnderstudyError(
        'DIRECTORY_UNREADABLE',
        `${directory.dir} cannot be opened (${errnoName(rootFd)}): check that it exists and is a directory`,
      );
    }
    const fuseFd = sys.openat(AT.FDCWD, cstring('/dev/fuse'), O.RDWR | O.CLOEXEC | O.NONBLOCK, 0);
    if (fuseFd < 0) {
      throw new UnderstudyError(
        'FUSE_UNAVAILABLE',
        `/dev/fuse cannot be opened (${errnoName(fuseFd)}): load the kernel module with "modprobe fuse"`,
      );
    }
    const stat = new Stat();
    stat.fd(rootFd);
    const options = `fd=${fuseFd},rootmode=${stat.mode.toString(8)},user_id=0,group_id=0,default_permissions,allow_other`;
    const source = cstring(sourceOf(this.#options.group));
    const target = cpath(directory.dir);
    const result = sys.mount(
      source,
      target,
      cstring('fuse.understudy'),
      flagsOf(rootFd),
      cstring(options),
    );
    if (result < 0) {
      throw new UnderstudyError(
        'MOUNT_FAILED',
        `the filter cannot be mounted over ${directory.dir} (${errnoName(result)}): run "understudy doctor"`,
      );
    }
    this.#own.add(directory.dir);
    return {
      directory: directory.dir,
      rootFd,
      fuseFd,
      include: directory.include,
      exclude: directory.exclude,
    };
  }

  async #startThreads(listener: FilterListener): Promise<void> {
    if (this.#early !== undefined) throw new Error(this.#early);
    const data = {
      directories: this.#directories,
      pace: this.scanPace.memory,
      memory: this.state.fd,
      store: { store: this.#sockets.store, storeEnd: this.#sockets.storeEnd },
      ringControl: this.#ringControl,
      takesOver: this.#options.takeOver !== undefined,
      epoch: this.#options.epoch,
      firstSequence: this.#firstSequence,
      enabled: this.#options.captureFromStart,
      doorbell: this.#doorbell.buffer as SharedArrayBuffer,
      wakeFd: this.#wakeFd,
      spinMicroseconds: this.#options.spinMicroseconds,
      lease: this.#leaseSource,
    };
    await this.#threads.start(data, this.#options.helperThreads, {
      onReport: (report) => {
        if (report.type === 'ended') clearInterval(this.#nudge);
        // The end of a scan that another one has replaced meanwhile must not pass for the end of that.
        if (report.type === 'scan' && report.number !== this.#scans) return;
        this.#dispatch(report, listener);
      },
      onFailed: (message) => listener.onFailed(message),
    });
  }

  #dispatch(report: CaptureReport, listener: FilterListener): void {
    if (report.type === 'scan') {
      listener.onScan(report.progress, report.finished, this.#faultText(report.fault));
    } else if (report.type === 'verify') {
      listener.onVerify(report.progress, report.finished, this.#faultText(report.fault));
    } else if (report.type === 'mark') listener.onMark(report);
    else if (report.type === 'scanNeeded') listener.onScanNeeded?.();
    else if (report.type === 'ended') listener.onEnded(report.sequence);
    else if (report.type === 'failed') listener.onFailed(report.message);
  }

  #faultText(fault: ReadFault | undefined): string | undefined {
    if (fault === undefined) return undefined;
    const { dir } = present(this.#options.directories[fault.directory], 'the directory of a fault');
    const path = Buffer.from(fault.path, 'latin1').toString();
    return `${path === '' ? dir : `${dir}/${path}`} cannot be read (${errnoName(-fault.errno)})`;
  }

  /** Sends a first copy or resync through the stream; a scan under way is given up. */
  scan(plan: ScanPlan): void {
    this.#scans += 1;
    this.#command({ type: 'scan', plan, number: this.#scans });
  }

  /** Puts a comparison of both copies into the stream; see {@link FilterListener.onVerify}. */
  verify(): void {
    this.#command({ type: 'verify' });
  }

  need(ranges: readonly NeededRange[]): void {
    this.#command({ type: 'need', ranges });
  }

  applied(sequence: number): void {
    this.#command({ type: 'applied', sequence });
  }

  /** Asks for a point between two changes: see {@link FilterListener.onMark}. */
  mark(): void {
    this.#command({ type: 'mark' });
  }

  /** Stops recording until the next {@link scan}. */
  disable(): void {
    this.#command({ type: 'disable' });
  }

  #command(command: CaptureCommand): void {
    this.#threads.post(command);
    this.#wake();
  }

  #wake(): void {
    Atomics.store(this.#doorbell, 0, 1);
    sys.write(this.#wakeFd, this.#one, 8);
  }

  /** Paths that lead to the directories underneath the mounts, for this process only. */
  get underneath(): readonly string[] {
    return this.#directories.map(({ rootFd }) => `/proc/self/fd/${rootFd}`);
  }

  /** Descriptors of the directories underneath; they stay the filter's. */
  get roots(): readonly { readonly fd: number; readonly dir: string }[] {
    return this.#directories.map(({ rootFd, directory }) => ({ fd: rootFd, dir: directory }));
  }

  /** Directories that are under the filter now. */
  get mounted(): readonly string[] {
    return this.#own.mounted;
  }

  /** Directories whose mount somebody else took away: applications may have worked underneath since. */
  get lost(): readonly string[] {
    return this.#own.lost;
  }

  /** See {@link OwnMounts.obstructions}. */
  get obstructions(): readonly Obstruction[] {
    return this.#own.obstructions;
  }

  /** What others did to the mounts; undefined while no mount of this machine has changed since the last look. */
  lookAtMounts(): MountFindings | undefined {
    return this.#own.look();
  }

  /**
   * Unmounts every directory; the first one in use stops it and is returned. Mostly it is found before any is unmounted;
   * those that are not {@link mounted} any more are back under the filter only after a restart. The capture thread ends when all are unmounted.
   */
  unmount(): { readonly busy: string } | undefined {
    // Unmounting writes pages of mappings: without a lease, this thread would wait for that for ever.
    this.#lease?.setGivenUp(true);
    const busy = this.#own.unmount();
    if (busy !== undefined) {
      this.#lease?.setGivenUp(false);
      return { busy };
    }
    // The end of its connection does not wake the capture thread, which would wait out its sleep; and
    // the end may come a little later, when somebody has just looked at the directory.
    this.#wake();
    this.#nudge ??= setInterval(() => this.#wake(), NUDGE_INTERVAL_MS);
    return undefined;
  }

  /**
   * After {@link unmount}: whoever still has one of the file systems (files that were open when its mount was taken
   * away, another mount namespace) gets errors from now on. Returns the directories.
   */
  cutOff(): readonly string[] {
    const cut = this.#directories.filter((one) => this.#own.cutOff(one.directory, one.fuseFd));
    return cut.map(({ directory }) => directory);
  }

  /**
   * Takes every directory out of sight at once; files that are open stay usable until closed.
   * Operations that wait for the lease fail, and so does from now on what is begun without one.
   */
  detach(): void {
    this.#lease?.setGivenUp(true);
    this.commits.giveUp();
    this.#own.detach();
  }

  /** Ends helper threads and closes descriptors. Only after the capture thread has ended. */
  async close(): Promise<void> {
    clearInterval(this.#nudge);
    this.commits.stop();
    this.#own.close();
    await this.#threads.terminate();
    for (const { rootFd, fuseFd } of this.#directories) {
      sys.close(fuseFd);
      sys.close(rootFd);
    }
    sys.close(this.state.fd);
    sys.close(this.#sockets.store);
    sys.close(this.#sockets.storeEnd);
    sys.close(this.#wakeFd);
  }
}

function makeSockets(): StoreSockets {
  const sockets = createStoreSockets();
  assert(typeof sockets !== 'number', `there are sockets (${String(sockets)})`);
  return sockets;
}

/** The state of another process. Errors: TAKEOVER_IMPOSSIBLE. */
function openState(
  { memory, directories }: FilterDescriptors,
  options: FilterOptions,
): SharedState {
  const state = SharedState.open(memory);
  if (!state.isUsable || directories.length !== options.directories.length) {
    throw new UnderstudyError(
      'TAKEOVER_IMPOSSIBLE',
      `another process of group ${options.group} left a state that this version cannot go on from: the directories are mounted anew`,
    );
  }
  return state;
}

/** As the mount table shows it. */
const sourceOf = (group: string): string => `understudy:${group}`;

/** The mount over a directory forbids what the mount underneath forbids. */
function flagsOf(fd: number): number {
  const bytes = new Uint8Array(new ArrayBuffer(256));
  if (sys.statfs(fd, addressOf(bytes)) < 0) return 0;
  const flags = new DataView(bytes.buffer).getUint32(80, true);
  const noexec = (flags & ST_NOEXEC) === 0 ? 0 : 8;
  return (
    ((flags & ST_NOSUID) === 0 ? 0 : MS.NOSUID) | ((flags & ST_NODEV) === 0 ? 0 : MS.NODEV) | noexec
  );
}
