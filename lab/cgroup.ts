// Every process of a host is in one control group (version 2), also the wrappers that enter the
// host from outside. It is what freezes a host at one instant and what ends it with nothing left
// over, even when nobody remembers the host's processes.
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../src/core/errors.ts';
import { waitUntil } from './run.ts';

const ROOT_NAME = 'understudy-lab';
let hierarchy: string | undefined;

function hierarchyRoot(): string {
  hierarchy ??= findHierarchy();
  return hierarchy;
}

function findHierarchy(): string {
  for (const line of readFileSync('/proc/self/mounts', 'latin1').split('\n')) {
    const [, target, type] = line.split(' ');
    if (type === 'cgroup2' && target !== undefined) return target;
  }
  throw new UnderstudyError(
    'LAB_CGROUP_MISSING',
    'no control group version 2 hierarchy is mounted: mount -t cgroup2 none /sys/fs/cgroup/unified',
  );
}

/** The group of one host (or of the switch) of a lab. */
export class ControlGroup {
  readonly path: string;

  constructor(lab: string, member: string) {
    this.path = join(hierarchyRoot(), ROOT_NAME, lab, member);
  }

  /** The file into which a process writes `0` to join. */
  get joinFile(): string {
    return join(this.path, 'cgroup.procs');
  }

  create(): void {
    mkdirSync(this.path, { recursive: true });
  }

  pids(): number[] {
    try {
      return readFileSync(this.joinFile, 'latin1').split('\n').filter(Boolean).map(Number);
    } catch {
      return [];
    }
  }

  /** Stops all processes; false when some sit in a system call that cannot be left (they stop later). */
  async freeze(timeoutMs = 1000): Promise<boolean> {
    this.#write('cgroup.freeze', '1');
    return await waitUntil(() => this.#event('frozen') === '1', timeoutMs, 1);
  }

  thaw(): void {
    this.#write('cgroup.freeze', '0');
  }

  /** SIGKILL to all at once; also works on frozen ones. */
  kill(): void {
    this.#write('cgroup.kill', '1');
  }

  /** Waits until the last process is gone, then removes the group; false when something stays. */
  async remove(timeoutMs: number): Promise<boolean> {
    if (!existsSync(this.path)) return true;
    if (!(await waitUntil(() => this.#event('populated') !== '1', timeoutMs))) return false;
    return await waitUntil(() => removeGroup(this.path), 1000);
  }

  #write(file: string, value: string): void {
    try {
      writeFileSync(join(this.path, file), value);
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT') throw cause;
    }
  }

  #event(name: string): string | undefined {
    try {
      const text = readFileSync(join(this.path, 'cgroup.events'), 'latin1');
      return new RegExp(`^${name} (\\d)$`, 'm').exec(text)?.[1];
    } catch {
      return undefined;
    }
  }
}

/** Names of the groups (hosts) of a lab that exist. */
export function groupsOf(lab: string): string[] {
  try {
    return readdirSync(join(hierarchyRoot(), ROOT_NAME, lab), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Names of the labs that have groups. */
export function labsWithGroups(): string[] {
  try {
    return readdirSync(join(hierarchyRoot(), ROOT_NAME), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
  } catch {
    return [];
  }
}

/** Removes the group of a whole lab once those of its hosts are gone. */
export function removeLabGroup(lab: string): boolean {
  return removeGroup(join(hierarchyRoot(), ROOT_NAME, lab));
}

function removeGroup(path: string): boolean {
  try {
    rmdirSync(path);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'ENOENT';
  }
}
