// A real standby process over a directory, for tests: started from a specification as the service
// does, killed and started again at will.
import { type ChildProcess, spawn } from 'node:child_process';
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import type { LinkIdentity } from '../../src/mirror/link/tls.ts';
import { UNLIMITED } from '../../src/service/bandwidth.ts';
import { ControlClient } from '../../src/service/control-channel.ts';
import { type GroupProcessSpec, SAFETY_DEFAULT } from '../../src/service/group-spec.ts';
import { GROUP_ID, until } from './mirror-rig.ts';
import { threadStates } from './thread-states.ts';

const PROGRAM = resolve(import.meta.dirname, '../../src/service/standby-main.ts');

export interface StandbyProcessOptions {
  /** Everything but the protected directory is made below it. */
  readonly top: string;
  readonly dir: string;
  readonly primary: LinkIdentity;
  readonly standby: LinkIdentity;
  readonly holds: { readonly streamId: string; readonly sequence: number } | null;
  readonly safety?: GroupProcessSpec['safety'];
  /** What is in the directory is this node's own, and kept aside when a scan replaces it. */
  readonly hasOwnData?: boolean;
  readonly undoHours?: number;
  /** Program and arguments before node's, such as `nsenter …`. */
  readonly wrapper?: readonly string[];
}

export class StandbyProcess {
  readonly #options: StandbyProcessOptions;
  readonly #specPath: string;
  readonly logPath: string;
  readonly socket: string;
  port = 0;
  #child: ChildProcess | undefined;

  constructor(options: StandbyProcessOptions) {
    this.#options = options;
    this.#specPath = join(options.top, 'spec.json');
    this.logPath = join(options.top, 'standby.log');
    this.socket = join(options.top, 'control.sock');
  }

  async start(): Promise<void> {
    if (this.port === 0) this.#writeSpec(await freePort());
    const log = openSync(this.logPath, 'a');
    const before = this.log.length;
    const command = [...(this.#options.wrapper ?? []), process.execPath, PROGRAM];
    const [program = '', ...args] = [...command, '--spec', this.#specPath];
    const child = spawn(program, args, { stdio: ['ignore', log, log] });
    closeSync(log);
    this.#child = child;
    await until(
      () => child.exitCode !== null || this.log.slice(before).includes('standby runs'),
      () => `the standby runs: ${this.log}`,
      60_000,
    );
    if (child.exitCode !== null) throw new Error(`the standby did not start: ${this.log}`);
  }

  get log(): string {
    return readFileSync(this.logPath, 'utf8');
  }

  get isRunning(): boolean {
    return this.#child !== undefined && this.#child.exitCode === null && !this.#child.killed;
  }

  /** What it has open, by path; what is closed meanwhile is left out. */
  openPaths(): string[] {
    const directory = `/proc/${this.#child?.pid ?? 0}/fd`;
    return readdirSync(directory).flatMap((fd) => {
      try {
        return [readlinkSync(join(directory, fd))];
      } catch {
        return [];
      }
    });
  }

  /** SIGKILL; resolves when the process is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null) return;
    const gone = new Promise<void>((done) => {
      child.once('exit', () => done());
    });
    child.kill('SIGKILL');
    await gone;
  }

  /** Its processors stop: no thread runs any more when this resolves; one in a system call stops at its end. */
  async freeze(): Promise<void> {
    const pid = this.#child?.pid;
    if (pid === undefined || !this.isRunning) return;
    process.kill(pid, 'SIGSTOP');
    await until(() => threadStates(pid).every((state) => 'TDZX'.includes(state)), 'it stops');
  }

  async call(
    method: string,
    params: Record<string, unknown> = {},
  ): Promise<Record<string, unknown>> {
    const client = await ControlClient.connect(this.socket, 5000);
    try {
      return (await client.call(method, params, 30_000)) as Record<string, unknown>;
    } finally {
      client.close();
    }
  }

  async exited(): Promise<void> {
    await until(() => this.#child === undefined || this.#child.exitCode !== null, 'it exits');
  }

  #writeSpec(port: number): void {
    const { top, dir, primary, standby, holds } = this.#options;
    this.port = port;
    mkdirSync(join(top, 'identity'), { recursive: true });
    const certificatePath = join(top, 'identity', 'certificate.pem');
    const keyPath = join(top, 'identity', 'key.pem');
    writeFileSync(certificatePath, standby.certificate);
    writeFileSync(keyPath, standby.key, { mode: 0o600 });
    const spec: GroupProcessSpec = {
      group: 'test',
      groupId: GROUP_ID,
      role: 'standby',
      epoch: 1,
      node: { id: 'b'.repeat(16), name: 'b' },
      peer: { id: 'a'.repeat(16), name: 'a', host: '127.0.0.1', certificate: primary.certificate },
      identity: { certificatePath, keyPath },
      replicationHost: '127.0.0.1',
      replicationPort: port,
      controlSocket: this.socket,
      leaseFile: null,
      safetyFile: null,
      salvageDirectory: join(top, 'salvage'),
      dataIsBase: this.#options.hasOwnData !== true,
      safety: this.#options.safety ?? SAFETY_DEFAULT,
      firstCommitRequest: null,
      stateDirectory: join(top, 'state'),
      takeOver: null,
      marksFile: join(top, 'marks.json'),
      directories: [{ dir, include: ['**'], exclude: [], seed: false }],
      replication: {
        mode: 'sync',
        syncTimeoutMs: 2000,
        onStandbyLoss: 'continue',
        linkTimeoutMs: 2000,
        ringBytes: 4 * 1024 * 1024,
        backlogBytesMax: 64 * 1024 * 1024,
        journalBytesMax: 256 * 1024 * 1024,
        undo: { hours: this.#options.undoHours ?? 24, diskPercent: 10 },
        bandwidth: UNLIMITED,
        compression: 'auto',
      },
      holds,
    };
    writeFileSync(this.#specPath, JSON.stringify(spec));
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((done) => {
    server.listen(0, '127.0.0.1', done);
  });
  const address = server.address();
  await new Promise<void>((done) => {
    server.close(() => done());
  });
  return typeof address === 'object' && address !== null ? address.port : 0;
}
