// What is known of a lab between two commands: one JSON file per lab, replaced as a whole, changed
// only by whoever holds the lab's lock. Nothing in it is trusted when a lab is taken down: that works
// from control groups and directories, which exist whatever happened to the writer of this file.
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../src/core/errors.ts';
import { sys } from '../src/linux/libc.ts';
import type { ProcessReference } from './process.ts';

/** `lan` joins everybody, `sync` only hosts with a disk. */
export type NetworkName = 'lan' | 'sync';
export const NETWORKS: readonly NetworkName[] = ['lan', 'sync'];

/** Packets `from` one host `to` another on one network are lost. */
export interface Cut {
  readonly from: string;
  readonly to: string;
  readonly network: NetworkName;
}

/** A command that runs from boot on, started again when it ends, as systemd would do. */
export interface ServiceSpec {
  readonly name: string;
  readonly argv: readonly string[];
  /** Not started before this path exists (systemd's ConditionPathExists, but waited for). */
  readonly condition?: string;
}

export interface HostState {
  readonly name: string;
  /** Last part of its addresses. */
  readonly number: number;
  readonly networks: readonly NetworkName[];
  readonly hasDisk: boolean;
  /** The process with number 1 of the host; null while powered off. */
  init: ProcessReference | null;
  frozen: boolean;
  /** Nothing leaves or reaches its ports: a stopped virtual machine. */
  silent: boolean;
  unplugged: NetworkName[];
  /** Rates as `tc` writes them. */
  rates: Partial<Record<NetworkName, string>>;
  claimed: { address: string; network: NetworkName }[];
  services: ServiceSpec[];
  /** Keepers of running services, by service name. */
  keepers: Record<string, ProcessReference>;
}

export interface LabState {
  readonly version: 1;
  readonly name: string;
  /** Third part of its addresses; unique among the labs of the machine. */
  readonly index: number;
  readonly directory: string;
  readonly createdAt: string;
  /** A lab of a test dies with this process; null: stays until `down`. */
  readonly owner: ProcessReference | null;
  switch: ProcessReference | null;
  cuts: Cut[];
  hosts: Record<string, HostState>;
}

const STATE_DIRECTORY = '/run/understudy-lab';
/** Disk images and logs; sparse, but may grow to some GiB. */
const DATA_DIRECTORY = process.env['UNDERSTUDY_LAB_DATA'] ?? '/var/tmp/understudy-lab';
const LOCK_EXCLUSIVE_NONBLOCKING = 2 | 4;
const LOCK_TIMEOUT_MS = 60_000;

/** Refuses names that cannot be part of a path or of a control group. */
export function checkLabName(name: string): string {
  if (/^[a-z0-9][a-z0-9-]{0,30}$/.test(name)) return name;
  throw new UnderstudyError(
    'LAB_NAME_INVALID',
    `"${name}" is not a lab name: use up to 31 small letters, digits and hyphens`,
  );
}

export function labDirectory(name: string): string {
  return join(DATA_DIRECTORY, checkLabName(name));
}

function stateFile(name: string): string {
  return join(STATE_DIRECTORY, `${checkLabName(name)}.json`);
}

/** State of the lab `name`, or undefined when there is none (or its file is not readable). */
export function readState(name: string): LabState | undefined {
  try {
    const state = JSON.parse(readFileSync(stateFile(name), 'utf8')) as LabState;
    return state.version === 1 ? state : undefined;
  } catch {
    return undefined;
  }
}

export function writeState(state: LabState): void {
  mkdirSync(STATE_DIRECTORY, { recursive: true, mode: 0o755 });
  const file = stateFile(state.name);
  writeFileSync(`${file}.new`, `${JSON.stringify(state, null, 2)}\n`);
  renameSync(`${file}.new`, file);
}

export function removeState(name: string): void {
  rmSync(stateFile(name), { force: true });
  rmSync(`${stateFile(name)}.new`, { force: true });
  rmSync(lockFile(name), { force: true });
  rmSync(labDirectory(name), { recursive: true, force: true });
}

/** Names of all labs of which anything is left: a state file or a directory. */
export function labNames(): string[] {
  const names = new Set<string>();
  for (const entry of entriesOf(STATE_DIRECTORY)) {
    if (entry.endsWith('.json')) names.add(entry.slice(0, -'.json'.length));
  }
  for (const entry of entriesOf(DATA_DIRECTORY)) names.add(entry);
  return [...names].filter((name) => /^[a-z0-9][a-z0-9-]{0,30}$/.test(name)).sort();
}

function entriesOf(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function lockFile(name: string): string {
  return join(STATE_DIRECTORY, `${name}.lock`);
}

/** Runs `action` while nobody else changes the lab `name`; `.all` guards the choice of an index. */
export async function withLock<T>(name: string, action: () => Promise<T>): Promise<T> {
  mkdirSync(STATE_DIRECTORY, { recursive: true, mode: 0o755 });
  const fd = openSync(lockFile(name), 'a', 0o600);
  try {
    await acquire(fd, name);
    return await action();
  } finally {
    closeSync(fd);
  }
}

async function acquire(fd: number, name: string): Promise<void> {
  const deadline = performance.now() + LOCK_TIMEOUT_MS;
  // flock(2) is tied to the descriptor: it ends with the process, whatever happens to it.
  while (sys.flock(fd, LOCK_EXCLUSIVE_NONBLOCKING) < 0) {
    if (performance.now() > deadline) {
      throw new UnderstudyError(
        'LAB_BUSY',
        `another command has been working on lab "${name}" for a minute: wait or end it`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}
