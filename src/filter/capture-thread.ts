// Entry of the capture thread. It waits for its first message, which says what to serve; from then on
// it does not return to its event loop while directories are mounted, and messages from the main
// thread are taken between requests.
import { type MessagePort, parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { flushCompileCache } from 'node:module';
import { present } from '../core/assert.ts';
import { RingProducer } from '../core/byte-ring.ts';
import { messageOf } from '../core/errors.ts';
import { ScanPace } from '../core/scan-pace.ts';
import { DescriptorStore, type StoreSockets } from '../linux/descriptor-store.ts';
import { tellRunning } from '../linux/threads.ts';
import { Capture } from './capture.ts';
import { CommitGate } from './commit-gate.ts';
import { Driver } from './driver.ts';
import { InodeTable } from './inode-table.ts';
import { Intent } from './intent.ts';
import { Lease, type LeaseSource } from './lease.ts';
import { Mount } from './mount.ts';
import { Patterns } from '../core/patterns.ts';
import type { ReadFault } from './read-faults.ts';
import type { NeededRange } from './scan-contents.ts';
import { type ScanPlan, type ScanProgress, Scanner } from './scanner.ts';
import { restoreTables } from './restore.ts';
import { SharedState } from './shared-state.ts';
import { MountLog, StateLog } from './state-log.ts';
import { isolateThread } from './thread-rights.ts';
import { Verifier } from './verifier.ts';

/** Descriptors that a capture thread keeps for objects nobody has open, of all directories together. */
const DESCRIPTORS_MAX = 4096;
const SLEEP_MS = 1000;
const SCAN_SLICE_MS = 2;
const SCAN_PAUSE_MS = 2;
/** While commits wait for a slot. */
const SLOT_PAUSE_MS = 2;
/** A comparison takes a tenth of the thread's time at most. */
const VERIFY_PAUSE_MS = 18;
const PROGRESS_INTERVAL_MS = 250;

export interface CaptureDirectory {
  readonly directory: string;
  readonly rootFd: number;
  readonly fuseFd: number;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

export interface CaptureThreadData {
  readonly directories: readonly CaptureDirectory[];
  /** Descriptor of the {@link SharedState}. */
  readonly memory: number;
  readonly store: StoreSockets;
  /** Wake-ups of the ring. */
  readonly ringControl: SharedArrayBuffer;
  /** Another process served the directories before and has died: go on in its place. */
  readonly takesOver: boolean;
  readonly gate: SharedArrayBuffer;
  /** See {@link ScanPace}. */
  readonly pace: SharedArrayBuffer;
  readonly epoch: number;
  readonly firstSequence: number;
  /** Capture from the start: the standby continues without a first copy. */
  readonly enabled: boolean;
  /** Word 0: the main thread has sent a message. */
  readonly doorbell: SharedArrayBuffer;
  readonly wakeFd: number;
  readonly spinMicroseconds: number;
  /** null: this node may always write. */
  readonly lease: LeaseSource | null;
}

/** Main thread → capture thread. */
export type CaptureCommand =
  | { readonly type: 'scan'; readonly plan: ScanPlan; readonly number: number }
  /** Compare both copies; given up when a scan begins. */
  | { readonly type: 'verify' }
  | { readonly type: 'need'; readonly ranges: readonly NeededRange[] }
  | { readonly type: 'applied'; readonly sequence: number }
  /** Say where the stream is now, between two changes. */
  | { readonly type: 'mark' }
  /** Stop recording: the standby is lost and will need a scan. */
  | { readonly type: 'disable' };

/** Capture thread → main thread. */
export type CaptureReport =
  | { readonly type: 'ready' }
  /** `number`: that of the command. */
  | {
      readonly type: 'scan';
      readonly number: number;
      readonly progress: ScanProgress;
      readonly finished: boolean;
      /** Why it goes no further, and has no end in the stream. */
      readonly fault: ReadFault | undefined;
    }
  /**
   * Answer to `mark`: every change up to `sequence` was made before `wallMs` (wall clock), every later
   * one will be made after it.
   */
  | { readonly type: 'mark'; readonly sequence: number; readonly wallMs: number }
  | {
      readonly type: 'verify';
      readonly progress: ScanProgress;
      readonly finished: boolean;
      /** Why it has no result. */
      readonly fault: ReadFault | undefined;
    }
  /** Only a part of what a process that died was recording is in the stream. */
  | { readonly type: 'scanNeeded' }
  /** Every directory has been unmounted; `sequence` is the last record's. */
  | { readonly type: 'ended'; readonly sequence: number }
  /** Calls that may take long wait for each other. */
  | { readonly type: 'crowded' }
  | { readonly type: 'failed'; readonly message: string };

class CaptureThread {
  readonly #port: MessagePort;
  readonly #doorbell: Int32Array;
  readonly #mounts: readonly Mount[];
  readonly #capture: Capture;
  readonly #pace: ScanPace;
  readonly #driver: Driver;
  readonly #gate: CommitGate;
  readonly #log: StateLog;
  readonly #store: DescriptorStore;
  #scanner: Scanner | undefined;
  #scanNumber = 0;
  #nextScanStepMs = 0;
  #verifier: Verifier | undefined;
  #nextVerifyStepMs = 0;
  #nextProgressMs = 0;

  constructor(data: CaptureThreadData, port: MessagePort) {
    this.#port = port;
    this.#doorbell = new Int32Array(data.doorbell);
    const state = SharedState.open(data.memory);
    const ring = new RingProducer(state.ring(data.ringControl));
    this.#log = new StateLog(state);
    this.#capture = new Capture(ring, data.epoch, data.firstSequence, state.words);
    this.#pace = new ScanPace(data.pace);
    this.#gate = new CommitGate(data.gate, () => this.#report({ type: 'crowded' }));
    const store = new DescriptorStore(data.store);
    this.#store = store;
    const descriptorsMax = Math.floor(DESCRIPTORS_MAX / Math.max(1, data.directories.length));
    this.#mounts = data.directories.map((entry, index) => {
      const log = new MountLog(this.#log, state, index);
      const patterns = new Patterns(entry.include, entry.exclude);
      return new Mount({
        index,
        directory: entry.directory,
        fuseFd: entry.fuseFd,
        inodes: new InodeTable(entry.rootFd, patterns, descriptorsMax, log),
        capture: this.#capture,
        gate: this.#gate,
        log,
        store,
        intent: new Intent(state, index),
      });
    });
    this.#capture.onPartial = () => {
      for (const mount of this.#mounts) mount.intent.notePartial();
    };
    if (data.takesOver) this.#takeOver(store);
    else this.#capture.enabled = data.enabled;
    this.#driver = new Driver({
      mounts: this.#mounts,
      capture: this.#capture,
      wakeFd: data.wakeFd,
      spinMicroseconds: data.spinMicroseconds,
      // Records that are complete must reach the sender also while this thread waits.
      lease: Lease.open(data.lease, () => this.#capture.ring.wake()),
    });
    if (data.takesOver) this.#driver.resend();
  }

  /** Becomes what the process before was, as far as applications can tell. */
  #takeOver(store: DescriptorStore): void {
    restoreTables(this.#log, this.#mounts, store);
    for (const { intent } of this.#mounts) intent.inherit(this.#capture.sequence);
  }

  run(): void {
    this.#report({ type: 'ready' });
    while (this.#driver.alive) {
      const served = this.#driver.serve(64);
      if (Atomics.exchange(this.#doorbell, 0, 0) !== 0) this.#takeMessages();
      this.#gate.admit();
      const scanned = this.#scanStep();
      this.#keepLog();
      this.#verifyStep();
      this.#store.sweep();
      if (served === 0 && !scanned) this.#driver.idle(this.#patienceMs);
    }
    this.#scanner?.abort();
    this.#verifier?.abort();
    for (const mount of this.#mounts) mount.close();
    this.#capture.ring.wake();
    this.#report({ type: 'ended', sequence: this.#capture.sequence });
  }

  /** Between operations: what the log has to be spared of, and what a successor owes the standby. */
  #keepLog(): void {
    this.#log.flush();
    if (this.#log.isBloated) {
      this.#log.rewrite(
        this.#mounts.map(({ index, inodes, handles }) => ({
          index,
          nodes: () => inodes.nodes(),
          handles: () => handles.entries(),
        })),
      );
    }
    for (const { intent } of this.#mounts) {
      if (!intent.needsScan) continue;
      intent.needsScan = false;
      this.#report({ type: 'scanNeeded' });
    }
  }

  #takeMessages(): void {
    for (
      let next = receiveMessageOnPort(this.#port);
      next !== undefined;
      next = receiveMessageOnPort(this.#port)
    ) {
      this.#obey(next.message as CaptureCommand);
    }
  }

  #obey(command: CaptureCommand): void {
    switch (command.type) {
      case 'scan':
        this.#scanner?.abort();
        this.#endVerify();
        this.#scanner = new Scanner(command.plan, this.#mounts, this.#capture, this.#pace);
        this.#scanNumber = command.number;
        this.#capture.ring.wake();
        return;
      case 'verify':
        this.#endVerify();
        if (!this.#capture.enabled || this.#scanner !== undefined) return;
        this.#verifier = new Verifier(this.#mounts, this.#capture, this.#pace);
        return;
      case 'need':
        // Without a scan nobody waits for them any more.
        if (this.#scanner === undefined) this.#pace.needsTaken(command.ranges.length);
        else this.#scanner.need(command.ranges);
        return;
      case 'applied':
        this.#scanner?.applied(command.sequence);
        return;
      case 'mark':
        this.#capture.period += 1;
        this.#capture.changed.mark(this.#capture.sequence);
        this.#report({ type: 'mark', sequence: this.#capture.sequence, wallMs: Date.now() });
        return;
      case 'disable':
        this.#scanner?.abort();
        this.#scanner = undefined;
        this.#endVerify();
        this.#capture.enabled = false;
    }
  }

  /** Gives the scan its share of time: slices with pauses, so that requests wait little. */
  #scanStep(): boolean {
    const scanner = this.#scanner;
    if (scanner === undefined) return false;
    const now = performance.now();
    if (now < this.#nextScanStepMs) return false;
    const worked = scanner.step(now + SCAN_SLICE_MS);
    this.#capture.ring.wake();
    const { progress, finished, fault } = scanner;
    const isOver = finished || fault !== undefined;
    if (fault !== undefined) scanner.fail();
    if (isOver) this.#scanner = undefined;
    if (isOver || now >= this.#nextProgressMs) {
      this.#nextProgressMs = now + PROGRESS_INTERVAL_MS;
      this.#report({ type: 'scan', number: this.#scanNumber, progress, finished, fault });
    }
    // A pause only when applications are being served: otherwise the scan has the thread to itself.
    this.#nextScanStepMs =
      worked && this.#driver.serve(1) > 0 ? performance.now() + SCAN_PAUSE_MS : 0;
    return worked;
  }

  /** How long the thread may sleep when nobody asks for anything. */
  get #patienceMs(): number {
    if (this.#scanner !== undefined) return SCAN_PAUSE_MS;
    if (this.#gate.hasDeferred) return SLOT_PAUSE_MS;
    return this.#verifier === undefined ? SLEEP_MS : VERIFY_PAUSE_MS;
  }

  /** Short slices with long pauses: nobody is in a hurry. */
  #verifyStep(): void {
    const verifier = this.#verifier;
    const now = performance.now();
    if (verifier === undefined || now < this.#nextVerifyStepMs) return;
    verifier.step(now + SCAN_SLICE_MS);
    this.#capture.ring.wake();
    this.#nextVerifyStepMs = performance.now() + VERIFY_PAUSE_MS;
    const { progress, finished, fault } = verifier;
    if (fault !== undefined) return this.#endVerify();
    if (finished) this.#verifier = undefined;
    if (!finished && now < this.#nextProgressMs) return;
    this.#nextProgressMs = now + PROGRESS_INTERVAL_MS;
    this.#report({ type: 'verify', progress, finished, fault });
  }

  /** Without a result. */
  #endVerify(): void {
    if (this.#verifier === undefined) return;
    this.#verifier.abort();
    const { progress, fault } = this.#verifier;
    this.#report({ type: 'verify', progress, finished: true, fault });
    this.#verifier = undefined;
  }

  #report(report: CaptureReport): void {
    this.#port.postMessage(report);
  }
}

tellRunning();
// Kept for the next start: compiled code needs less memory than compiling.
flushCompileCache();
const port = present(parentPort, 'the port of the capture thread');
port.once('message', (data: CaptureThreadData) => {
  try {
    isolateThread();
    new CaptureThread(data, port).run();
  } catch (thrown) {
    port.postMessage({
      type: 'failed',
      message: thrown instanceof Error ? (thrown.stack ?? thrown.message) : messageOf(thrown),
    } satisfies CaptureReport);
    throw thrown;
  }
});
