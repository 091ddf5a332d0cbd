// A directory under a filter that is killed again and again. This process holds what the filters leave
// to each other, and applies their records to a copy: none may be missing, none may come twice.
import { type ChildProcess, fork } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import { setTimeout as sleep } from 'node:timers/promises';
import { createRingControl, RingConsumer } from '../../src/core/byte-ring.ts';
import type { FilterDescriptors } from '../../src/filter/filter.ts';
import { SharedState } from '../../src/filter/shared-state.ts';
import { checkRecord, field, readU53, recordType, sealRecord } from '../../src/journal/record.ts';
import { AT, O } from '../../src/linux/constants.ts';
import { cstring, sys } from '../../src/linux/libc.ts';
import { takeDescriptors } from '../../src/linux/pidfd.ts';
import { Applier } from '../../src/mirror/applier/applier.ts';
import type { Point } from './die-at.ts';
import { type FileSystemKind, mountLoopImage, unmountLazily } from './loop-image.ts';
import type { ServerMessage, ServerOptions } from './succession-server.ts';
import { compareTrees, type CompareOptions } from './tree.ts';

const MiB = 1024 * 1024;
const READY_MS = 30_000;

export interface SuccessionRigOptions {
  readonly kind?: FileSystemKind;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly ringBytes?: number;
  readonly leaseFile?: string;
  /** The filter can be told to kill itself at certain points: see {@link SuccessionRig.dieAt}. */
  readonly dies?: boolean;
  readonly prepare?: (a: string, b: string) => void;
}

export class SuccessionRig {
  /** The protected directory. */
  readonly a: string;
  readonly underneath: string;
  readonly b: string;
  readonly #base: string;
  readonly #options: SuccessionRigOptions;
  #child: ChildProcess | undefined;
  #held: FilterDescriptors | undefined;
  #consumer: RingConsumer | undefined;
  #applier: Applier | undefined;
  #position = 0;
  #sequence = 0;
  #stopped = false;
  #pumping: Promise<void> = Promise.resolve();
  readonly #faults: string[] = [];
  readonly seen: string[] = [];
  kills = 0;

  private constructor(base: string, options: SuccessionRigOptions) {
    this.#base = base;
    this.#options = options;
    this.a = join(base, 'a');
    this.underneath = join(base, 'underneath');
    this.b = join(base, 'b');
  }

  static async start(options: SuccessionRigOptions = {}): Promise<SuccessionRig> {
    const rig = new SuccessionRig(fs.mkdtempSync(join(tmpdir(), 'succession-')), options);
    const images = fs.mkdtempSync(
      join(fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir(), 'succession-'),
    );
    try {
      const disk = { kind: options.kind ?? 'ext4', mkfs: [], mountOptions: '' } as const;
      mountLoopImage({ ...disk, image: join(images, 'a'), dir: rig.underneath, bytes: 512 * MiB });
      mountLoopImage({ ...disk, image: join(images, 'b'), dir: rig.b, bytes: 768 * MiB });
      fs.mkdirSync(rig.a);
      execFileSync('mount', ['--bind', rig.underneath, rig.a]);
      options.prepare?.(rig.underneath, rig.b);
      execFileSync('touch', ['-r', rig.underneath, rig.b]);
      await rig.#launch();
      rig.#open();
      rig.#pumping = rig.#pump();
      return rig;
    } catch (thrown) {
      rig.#clean();
      throw thrown;
    } finally {
      fs.rmSync(images, { recursive: true, force: true });
    }
  }

  async #launch(): Promise<void> {
    const {
      include = ['**'],
      exclude = [],
      ringBytes = 16 * MiB,
      leaseFile = null,
    } = this.#options;
    const options: ServerOptions = {
      dir: this.a,
      include,
      exclude,
      ringBytes,
      leaseFile,
      ...(this.#held === undefined ? {} : { takeOver: { pid: process.pid, held: this.#held } }),
    };
    const script = new URL('succession-server.ts', import.meta.url);
    const dieAt = new URL('die-at.ts', import.meta.url).href;
    const child = fork(script, [JSON.stringify(options)], {
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
      env: {
        PATH: process.env['PATH'] ?? '',
        DIE_AT: this.#dieAt,
        ...(this.#options.dies === true ? { NODE_OPTIONS: `--import ${dieAt}` } : {}),
      },
    });
    this.#child = child;
    const ready = new Promise<FilterDescriptors>((resolve, reject) => {
      child.on('message', (message: ServerMessage) => {
        if (message.kind === 'ready') resolve(message.held);
        else {
          this.#faults.push(message.message);
          reject(new Error(message.message));
        }
      });
      setTimeout(() => reject(new Error('the filter is not ready in time')), READY_MS).unref();
    });
    this.#hold(child.pid ?? 0, await ready);
  }

  /** Takes copies, once: the successors use the same. */
  #hold(pid: number, held: FilterDescriptors): void {
    if (this.#held !== undefined) return;
    const fds = held.directories.flatMap(({ rootFd, fuseFd }) => [rootFd, fuseFd]);
    const taken = takeDescriptors(pid, [held.memory, held.store, held.storeEnd, ...fds]);
    if (typeof taken === 'number') throw new Error(`the descriptors cannot be taken (${taken})`);
    const [memory = -1, store = -1, storeEnd = -1, rootFd = -1, fuseFd = -1] = taken;
    this.#held = { memory, store, storeEnd, directories: [{ rootFd, fuseFd }] };
  }

  #open(): void {
    const fd = sys.openat(AT.FDCWD, cstring(this.b), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
    this.#applier = new Applier({
      directories: [{ fd, label: this.b }],
      onNeed: () => this.#faults.push('a hash was recorded'),
    });
    const state = SharedState.open(this.#held?.memory ?? -1);
    this.#consumer = new RingConsumer(state.ring(createRingControl()));
    this.#position = this.#consumer.released;
  }

  /** Kills the filter and starts the next; milliseconds until that serves. */
  async kill(): Promise<number> {
    const child = this.#child;
    const started = performance.now();
    const ended = new Promise((resolve) => child?.once('exit', resolve));
    child?.kill('SIGKILL');
    await ended;
    this.kills += 1;
    await this.#launch();
    return performance.now() - started;
  }

  /**
   * Lets the filter kill itself when it serves the next request with this opcode and has come to this
   * point, and starts the next one. Resolves when that serves. `whenDead`: called before that is started.
   */
  async dieAt(opcode: number, point: Point, whenDead: () => void = () => undefined): Promise<void> {
    fs.writeFileSync(this.#dieAt, `${opcode} ${point}`);
    await new Promise((resolve) => this.#child?.once('exit', resolve));
    this.kills += 1;
    whenDead();
    await this.#launch();
  }

  get #dieAt(): string {
    return join(this.#base, 'die-at');
  }

  /** Kills at random moments while `work` runs; how long each succession took, ms. */
  async whileKilling(work: Promise<unknown>, pauseMs: () => number): Promise<number[]> {
    const state = { isDone: false };
    const done = work.finally(() => (state.isDone = true));
    done.catch(() => undefined);
    const took: number[] = [];
    while (!state.isDone && this.#faults.length === 0) {
      await sleep(pauseMs());
      if (!state.isDone) took.push(await this.kill());
    }
    this.check();
    await done;
    return took;
  }

  /** Throws when a record was missing, came twice or could not be applied. */
  check(): void {
    if (this.#faults.length > 0)
      throw new Error(`${this.#faults.join('; ')} after\n${this.seen.slice(-12).join('\n')}`);
  }

  async #pump(): Promise<void> {
    while (!this.#stopped && this.#faults.length === 0) {
      if (!this.#applySome()) await sleep(2);
      else await new Promise((resolve) => setImmediate(resolve));
    }
  }

  #applySome(): boolean {
    const consumer = this.#consumer;
    const applier = this.#applier;
    if (consumer === undefined || applier === undefined) return false;
    const { position, bytes } = consumer.readable(this.#position);
    if (bytes === 0) return false;
    const start = consumer.offsetOf(position);
    let length = 0;
    while (length < bytes && length < 4 * MiB && !consumer.isSkipAt(start + length)) {
      const at = start + length;
      sealRecord(consumer.bytes, consumer.view, at);
      const total = checkRecord(consumer.bytes, consumer.view, at, bytes - length);
      const sequence = readU53(consumer.view, at + field.sequence);
      this.#note(at, sequence);
      if (typeof total === 'string') this.#faults.push(`record ${sequence}: ${total}`);
      else if (sequence !== this.#sequence + 1)
        this.#faults.push(`record ${sequence} comes after ${this.#sequence}`);
      const fault =
        this.#faults.length > 0 ? undefined : applier.apply(consumer.bytes, consumer.view, at);
      if (fault !== undefined) this.#faults.push(`applier: ${JSON.stringify(fault)}`);
      if (this.#faults.length > 0 || typeof total === 'string') return true;
      this.#sequence = sequence;
      length += total;
    }
    const fault = applier.endBatch();
    if (fault !== undefined) this.#faults.push(`applier: ${JSON.stringify(fault)}`);
    this.#position = (position + length) >>> 0;
    consumer.note = this.#sequence + 1;
    consumer.release(this.#position);
    return true;
  }

  #note(at: number, sequence: number): void {
    const consumer = this.#consumer;
    if (consumer === undefined) return;
    const { view, bytes } = consumer;
    const type = view.getUint8(at + field.type);
    const name = Object.entries(recordType).find(([, value]) => value === type)?.[0];
    const from = at + 80 + view.getUint32(at + field.payloadLength, true);
    const length = view.getUint16(at + field.pathLength, true);
    const length2 = view.getUint16(at + field.path2Length, true);
    const text = Buffer.from(bytes.subarray(from, from + length + length2)).toString('latin1');
    this.seen.push(`${sequence} ${name} ${text.slice(0, length)} ${text.slice(length)}`);
    if (this.seen.length > 400) this.seen.splice(0, 200);
  }

  /** Differences between both trees when everything was applied. */
  async differences(options?: CompareOptions): Promise<string[]> {
    const deadline = performance.now() + 30_000;
    const isBehind = (): boolean => (this.#consumer?.readable(this.#position).bytes ?? 0) > 0;
    while (isBehind()) {
      this.check();
      if (performance.now() > deadline) throw new Error('the copy does not catch up');
      await sleep(5);
    }
    this.check();
    return compareTrees(this.underneath, this.b, { holes: false, ...options });
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#pumping;
    this.#clean();
  }

  #clean(): void {
    this.#child?.kill('SIGKILL');
    for (const { rootFd, fuseFd } of this.#held?.directories ?? []) {
      sys.close(fuseFd);
      sys.close(rootFd);
    }
    for (const name of ['a', 'a', 'underneath', 'b']) unmountLazily(join(this.#base, name));
    fs.rmSync(this.#base, { recursive: true, force: true });
  }
}
