// A directory under the filter and its copy, each on a file system of its own, for tests.
//
// The filter runs in another process, so that a test may use the mount with blocking calls.
import { type ChildProcess, execFileSync, fork } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ScanPlan } from '../../src/filter/scanner.ts';
import type {
  MirrorCounters,
  MirrorProcessOptions,
  MirrorReply,
  MirrorRequest,
  TrustedSince,
} from './filter-mirror-protocol.ts';
import { type FileSystemKind, mountLoopImage, unmountLazily } from './loop-image.ts';
import { compareTrees, type CompareOptions } from './tree.ts';

const MiB = 1024 * 1024;
const REQUEST_TIMEOUT_MS = 120_000;

export interface FilterMirrorOptions {
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  /** Default true. */
  readonly captureFromStart?: boolean;
  readonly kind?: FileSystemKind;
  /** Size of the file system of the protected directory; the copy's is larger. Default 512 MiB. */
  readonly bytes?: number;
  readonly mkfs?: readonly string[];
  readonly mountOptions?: string;
  readonly ringBytes?: number;
  /** Default 10,000. */
  readonly recordsKept?: number;
  /** Fills the directories before the filter starts. */
  readonly prepare?: (a: string, b: string) => void;
  /** Default 120 s. */
  readonly lifetimeMs?: number;
  /** Default false. */
  readonly isGuarded?: boolean;
  /** Lease of the filter. Default null: it may always write. */
  readonly leaseFile?: string | null;
  /** How many descriptors the process may have. Default: as many as this one. */
  readonly descriptorsMax?: number;
}

export class FilterMirror {
  /** The protected directory, seen through the filter. */
  readonly a: string;
  /** The same without the filter. */
  readonly underneath: string;
  /** The copy. */
  readonly b: string;
  readonly #base: string;
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, (counters: MirrorCounters) => void>();
  #reject: (error: Error) => void = () => undefined;
  readonly #failure: Promise<never>;
  #failed = false;
  #next = 1;

  private constructor(base: string, child: ChildProcess) {
    this.#base = base;
    this.a = join(base, 'a');
    this.underneath = join(base, 'underneath');
    this.b = join(base, 'b');
    this.#child = child;
    this.#failure = new Promise<never>((_, reject) => {
      this.#reject = (error) => {
        this.#failed = true;
        reject(error);
      };
    });
    this.#failure.catch(() => undefined);
  }

  static async start(options: FilterMirrorOptions = {}): Promise<FilterMirror> {
    const base = fs.mkdtempSync(join(tmpdir(), 'filter-mirror-'));
    const images = fs.mkdtempSync(join(imagesIn(), 'filter-mirror-'));
    const bytes = options.bytes ?? 512 * MiB;
    const { kind = 'ext4', mkfs = [], mountOptions = '' } = options;
    const [a, underneath, b] = ['a', 'underneath', 'b'].map((name) => join(base, name));
    try {
      const disk = { kind, mkfs, mountOptions };
      mountLoopImage({ ...disk, image: join(images, 'a.img'), dir: underneath ?? '', bytes });
      mountLoopImage({
        ...disk,
        image: join(images, 'b.img'),
        dir: b ?? '',
        bytes: bytes + 256 * MiB,
      });
      fs.mkdirSync(a ?? '');
      execFileSync('mount', ['--bind', underneath ?? '', a ?? '']);
      options.prepare?.(underneath ?? '', b ?? '');
      execFileSync('touch', ['-r', underneath ?? '', b ?? '']);
      const mirror = new FilterMirror(base, launch(base, options));
      await mirror.#ready();
      return mirror;
    } catch (thrown) {
      for (const dir of mountsOf(base)) unmountLazily(dir);
      fs.rmSync(base, { recursive: true, force: true });
      throw thrown;
    } finally {
      // The loop devices hold the images.
      fs.rmSync(images, { recursive: true, force: true });
    }
  }

  async #ready(): Promise<void> {
    this.#child.on('exit', (code) => {
      this.#reject(new Error(`the process with the filter ended (${code})`));
    });
    const ready = new Promise<void>((resolve) => {
      this.#child.on('message', (reply: MirrorReply) => {
        if ('ready' in reply) resolve();
        else if ('failed' in reply) this.#reject(new Error(reply.failed));
        else this.#waiting.get(reply.id)?.(reply.counters);
      });
    });
    await Promise.race([ready, this.#failure]);
  }

  async #ask(request: MirrorRequest): Promise<MirrorCounters> {
    const id = this.#next;
    this.#next += 1;
    const answer = new Promise<MirrorCounters>((resolve) => this.#waiting.set(id, resolve));
    this.#child.send({ id, request });
    let timer: NodeJS.Timeout | undefined;
    const deadline = new Promise<never>((_, reject) => {
      timer = setTimeout(
        () => reject(new Error(`no answer to ${request.type}`)),
        REQUEST_TIMEOUT_MS,
      );
    });
    try {
      return await Promise.race([answer, deadline, this.#failure]);
    } finally {
      clearTimeout(timer);
      this.#waiting.delete(id);
    }
  }

  /** Rejects as soon as the filter or the applier breaks. */
  get failure(): Promise<never> {
    return this.#failure;
  }

  /** Resolves when everything done on the mount before has arrived in the copy. */
  async quiesce(): Promise<void> {
    await this.#ask({ type: 'quiesce' });
  }

  /** Starts a first copy; {@link quiesce} waits for its end. */
  async scan(plan: ScanPlan, trust: TrustedSince = null): Promise<void> {
    await this.#ask({ type: 'scan', plan, trust });
  }

  /** Marks the stream: the record before, and the wall clock. */
  async mark(): Promise<{ sequence: number; wallMs: number }> {
    const { point } = await this.#ask({ type: 'mark' });
    if (point === null) throw new Error('no mark');
    return point;
  }

  /** Compares both trees through the stream; `kind path` of what differs, sorted. */
  async verify(): Promise<string[]> {
    const { differences } = await this.#ask({ type: 'verify' });
    return differences
      .map(({ kind, path, offset, length }) =>
        kind === 'contents' ? `${kind} ${path} ${offset}+${length}` : `${kind} ${path}`,
      )
      .toSorted();
  }

  /** Stops applying records: the ring fills. */
  async hold(held: boolean): Promise<void> {
    await this.#ask({ type: 'hold', held });
  }

  /** Stops recording. */
  async disable(): Promise<void> {
    await this.#ask({ type: 'disable' });
  }

  /** Closed: commits wait until the copy has them and, without `confirms`, for {@link confirm}. */
  async gate(closed: boolean, confirms = false): Promise<void> {
    await this.#ask({ type: 'gate', closed, confirms });
  }

  /** Confirms the commits whose records are in the copy. */
  async confirm(): Promise<void> {
    await this.#ask({ type: 'confirm' });
  }

  /** Takes the mount out of sight at once, open files or not. */
  async detach(): Promise<void> {
    await this.#ask({ type: 'detach' });
  }

  async counters(): Promise<MirrorCounters> {
    return await this.#ask({ type: 'counters' });
  }

  /** Differences between original and copy, after waiting until all is applied. */
  async differences(options?: CompareOptions): Promise<string[]> {
    await this.quiesce();
    return compareTrees(this.underneath, this.b, options);
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Unmounts and removes everything; throws when the filter's mount was still in use. */
  async stop(): Promise<void> {
    let busy: string | undefined;
    try {
      if (!this.#failed && this.#child.connected) {
        const ended = new Promise((resolve) => this.#child.once('exit', resolve));
        busy = (await this.#ask({ type: 'unmount' })).busy;
        if (busy === undefined) await ended;
      }
    } finally {
      this.#child.kill('SIGKILL');
      for (const dir of mountsOf(this.#base)) unmountLazily(dir);
      fs.rmSync(this.#base, { recursive: true, force: true });
    }
    if (busy !== undefined) throw new Error(`${busy} is still in use at the end of the test`);
  }
}

/** In memory where there is memory for it: images are sparse, and fsync does not wait for a disk. */
function imagesIn(): string {
  return fs.existsSync('/dev/shm') ? '/dev/shm' : tmpdir();
}

function mountsOf(base: string): string[] {
  // `a` twice: the filter, and the bind mount below it.
  return ['a', 'a', 'underneath', 'b'].map((name) => join(base, name));
}

function launch(base: string, options: FilterMirrorOptions): ChildProcess {
  const forChild: MirrorProcessOptions = {
    a: join(base, 'a'),
    b: join(base, 'b'),
    include: options.include ?? ['**'],
    exclude: options.exclude ?? [],
    captureFromStart: options.captureFromStart ?? true,
    ringBytes: options.ringBytes ?? 32 * MiB,
    recordsKept: options.recordsKept ?? 10_000,
    logFile: process.env['FILTER_MIRROR_LOG'],
    cleanUp: mountsOf(base),
    lifetimeMs: options.lifetimeMs ?? 120_000,
    isGuarded: options.isGuarded ?? false,
    leaseFile: options.leaseFile ?? null,
  };
  const script = new URL('filter-mirror-process.ts', import.meta.url);
  const { descriptorsMax } = options;
  const flags = ['--disable-warning=ExperimentalWarning'];
  const limited =
    descriptorsMax === undefined
      ? { execArgv: flags }
      : {
          execPath: 'prlimit',
          execArgv: [`--nofile=${descriptorsMax}:${descriptorsMax}`, process.execPath, ...flags],
        };
  return fork(script, [JSON.stringify(forChild)], {
    ...limited,
    stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    // Nothing of the test runner's own set-up.
    env: { PATH: process.env['PATH'] ?? '' },
  });
}
