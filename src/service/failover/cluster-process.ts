// The cluster process as the service sees it: started or found running, connected to again and again.
//
//   connect() ─▶ lock free: start ─┐
//            └─▶ lock held ────────┴─▶ connected ──connection ends──▶ connect()
//
// It runs on when the service ends. One with other settings (another peer, other networks) is replaced.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import type { MachineEvent } from '../../cluster/machine/event-types.ts';
import { ControlClient, type ControlEvent, type ControlParams } from '../control-channel.ts';
import { writeJsonDurably } from '../durable-file.ts';
import { LockedProcess, spawnLocked } from '../locked-process.ts';
import { tryLock } from '../process-lock.ts';
import type { ServicePaths } from '../service-paths.ts';
import type { ClusterNotice, ClusterSpec } from './cluster-protocol.ts';

const PROGRAM = join(import.meta.dirname, 'cluster-main.ts');
const START_TIMEOUT_MS = 20_000;
const RETRY_MS = 20;
const AGAIN_MS = 200;
const CALL_TIMEOUT_MS = 10_000;
const KILL_TIMEOUT_MS = 10_000;
const FLAGS = ['--max-semi-space-size=1', '--optimize-for-size'];

export interface ClusterProcessOptions {
  readonly paths: ServicePaths;
  readonly spec: ClusterSpec;
  readonly onNotice: (notice: ClusterNotice) => void;
  readonly onEvent: (event: ControlEvent) => void;
  /** Called after every connection, also to a process that was just started. */
  readonly onConnected: () => Promise<void>;
  readonly onTrouble: (sentence: string | null) => void;
}

export class ClusterProcess {
  readonly #options: ClusterProcessOptions;
  readonly #self: LockedProcess;
  #client: ControlClient | undefined;
  /** Results that could not be delivered yet. */
  #undelivered: { readonly groupId: string; readonly event: MachineEvent }[] = [];
  #stopped = false;
  #running: Promise<void> | undefined;

  constructor(options: ClusterProcessOptions) {
    this.#options = options;
    const { paths } = options;
    this.#self = new LockedProcess({ lock: paths.clusterLock, controlSocket: paths.clusterSocket });
  }

  /** Begins to keep the process running and connected; resolves after the first connection. */
  async start(): Promise<void> {
    let first: (() => void) | undefined;
    const connected = new Promise<void>((resolve) => {
      first = resolve;
    });
    this.#running = this.#keepConnected(() => first?.());
    await connected;
  }

  /** Lets go of the process, which runs on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#client?.close();
    await this.#running;
  }

  /** Ends the process: there is no managed group any more. */
  async end(): Promise<void> {
    this.#stopped = true;
    await this.#client?.call('shutdown', {}, CALL_TIMEOUT_MS).catch(() => undefined);
    this.#client?.close();
    await this.#running;
  }

  /**
   * Ends the process; another one is started in its place, as after a death. Errors: CLUSTER_PROCESS_DOWN when none is
   * connected after that in time.
   */
  async renew(): Promise<void> {
    const before = this.#client;
    await this.#replace();
    before?.close();
    const deadline = performance.now() + START_TIMEOUT_MS;
    while (this.#client === before || this.#client?.isClosed !== false) {
      if (performance.now() > deadline) await this.call('status', {});
      await sleep(RETRY_MS);
    }
  }

  /** Errors: CLUSTER_PROCESS_DOWN, and those of the method. */
  async call(method: string, params: ControlParams, timeoutMs = CALL_TIMEOUT_MS): Promise<unknown> {
    const client = this.#client;
    if (client === undefined || client.isClosed) {
      throw new UnderstudyError(
        'CLUSTER_PROCESS_DOWN',
        'the cluster process of this node does not run at this moment: try again, and see "understudy status"',
      );
    }
    return client.call(method, params, timeoutMs);
  }

  /** Tells a machine something. Results of effects are kept until they can be delivered. */
  deliver(groupId: string, event: MachineEvent): void {
    const client = this.#client;
    const keep = (): void => {
      if ('op' in event) this.#undelivered.push({ groupId, event });
    };
    if (client === undefined || client.isClosed) {
      keep();
      return;
    }
    client.call('deliver', { groupId, event }, CALL_TIMEOUT_MS).catch(keep);
  }

  async #keepConnected(onFirst: () => void): Promise<void> {
    const { onTrouble } = this.#options;
    while (!this.#stopped) {
      try {
        const client = await this.#connect();
        this.#client = client;
        const ended = new Promise<void>((resolve) => {
          client.onClose(resolve);
        });
        client.onNotice((notice) => this.#options.onNotice(notice as ClusterNotice));
        client.onEvent(this.#options.onEvent);
        for (const { groupId, event } of this.#undelivered.splice(0)) this.deliver(groupId, event);
        onTrouble(null);
        if (await this.#joined(ended)) onFirst();
        else await sleep(AGAIN_MS);
        await ended;
      } catch (thrown) {
        // Of a connection that could be made and not be used.
        this.#client?.close();
        onTrouble(`failover does not work at this moment: ${messageOf(thrown)}`);
        await sleep(AGAIN_MS);
      }
    }
  }

  /** False: the connection ended before; a group that still has something to end is not waited for. Errors: those of joining. */
  async #joined(ended: Promise<void>): Promise<boolean> {
    const joined = this.#options.onConnected().then(() => true);
    // Of a connection that is gone by then, it is of no interest.
    joined.catch(() => undefined);
    return Promise.race([joined, ended.then(() => false)]);
  }

  async #connect(): Promise<ControlClient> {
    const { paths, spec } = this.#options;
    if (this.#self.isAlive && !isSpecOf(paths.clusterSpec, spec)) await this.#replace();
    if (!this.#self.isAlive) this.#spawn();
    try {
      return await this.#self.connect(async (client) => client, {
        timeoutMs: START_TIMEOUT_MS,
        hasEnded: () => !this.#self.isAlive,
      });
    } catch (cause) {
      throw new UnderstudyError(
        'CLUSTER_PROCESS_DOWN',
        `the cluster process does not answer: see ${paths.clusterLog}`,
        { cause },
      );
    }
  }

  #spawn(): void {
    const { paths, spec } = this.#options;
    writeJsonDurably(paths.clusterSpec, spec);
    const lock = tryLock(paths.clusterLock);
    if (lock === undefined) return;
    try {
      const child = spawnLocked({
        program: PROGRAM,
        args: ['--spec', paths.clusterSpec],
        flags: FLAGS,
        logPath: paths.clusterLog,
        lock,
      });
      if (child.pid !== undefined) lock.note(child.pid);
      child.on('error', () => undefined);
    } finally {
      lock.release();
    }
  }

  async #replace(): Promise<void> {
    const { spec } = this.#options;
    const client = await ControlClient.connect(spec.controlSocket, 1000).catch(() => undefined);
    await client?.call('shutdown', {}, CALL_TIMEOUT_MS).catch(() => undefined);
    client?.close();
    if (await this.#self.endsWithin(START_TIMEOUT_MS)) return;
    this.#self.kill();
    await this.#self.endsWithin(KILL_TIMEOUT_MS);
  }
}

/** Whether `path` has this specification. One that cannot be read is as good as none: it is written anew. */
function isSpecOf(path: string, spec: ClusterSpec): boolean {
  try {
    return JSON.stringify(JSON.parse(readFileSync(path, 'utf8'))) === JSON.stringify(spec);
  } catch {
    return false;
  }
}
