// The filter's mounts over the directories of a group: which there are, whether they are still where they were put, and
// their end. Whoever is root may take one away (`umount -l` does so also while files are open) or mount something over
// it: what applications open from then on is not the filter's, and nothing of it would be recorded.
import { AT, errno, MNT } from '../linux/constants.ts';
import { abortConnection, isConnected } from '../linux/fuse-connection.ts';
import { cpath, sys } from '../linux/libc.ts';
import { type MountEntry, mountsOn, readMountTable } from '../linux/mount-table.ts';
import { MountTableWatch } from '../linux/mount-table-watch.ts';

type Place = 'in place' | 'covered' | 'gone';

/** What others did to the mounts of a filter. */
export interface MountFindings {
  /** Taken away: applications may have worked underneath since. */
  readonly gone: readonly string[];
  /** Something is mounted over them. */
  readonly covered: readonly string[];
}

/** What others have mounted on a mount of a filter. */
export interface Obstruction {
  readonly directory: string;
  /** Mount points: the directory itself, or below it. */
  readonly mountPoints: readonly string[];
}

export class OwnMounts {
  readonly #source: string;
  readonly #mounted = new Set<string>();
  readonly #lost = new Set<string>();
  readonly #entries = new Map<string, MountEntry>();
  readonly #watch = new MountTableWatch();

  /** `source`: of the filter's mounts, as the mount table shows it. */
  constructor(source: string) {
    this.#source = source;
  }

  /** There is a mount on `directory`, of this process or of the one before. */
  add(directory: string): void {
    this.#mounted.add(directory);
  }

  /** Finds all in the mount table, to know them again. False: one is not there. */
  identify(): boolean {
    const table = readMountTable();
    for (const directory of this.#mounted) {
      const entry = mountsOn(table, directory).findLast(({ source }) => source === this.#source);
      if (entry !== undefined) this.#entries.set(directory, entry);
    }
    return this.#entries.size === this.#mounted.size;
  }

  /** Directories that are under the filter now. */
  get mounted(): readonly string[] {
    return [...this.#mounted];
  }

  /** Directories whose mount somebody else took away. */
  get lost(): readonly string[] {
    return [...this.#lost];
  }

  /** Undefined while no mount of this machine has changed since the last look. */
  look(): MountFindings | undefined {
    const table = this.#watch.changed();
    if (table === undefined) return undefined;
    const covered = this.mounted.filter((dir) => this.#placeOf(dir, table) === 'covered');
    return { gone: this.lost, covered };
  }

  /** Of a mount that was never seen nothing is said; one that is gone is none any more. */
  #placeOf(directory: string, table: readonly MountEntry[]): Place {
    const own = this.#entries.get(directory);
    if (own === undefined) return 'in place';
    const isOwn = ({ id, device }: MountEntry): boolean => id === own.id && device === own.device;
    const on = mountsOn(table, directory);
    const [top] = on.slice(-1);
    if (top !== undefined && isOwn(top)) return 'in place';
    if (on.some(isOwn)) return 'covered';
    // Kernels before 5.8 leave lines out of a table that is changed while it is read.
    if (mountsOn(readMountTable(), directory).some(isOwn)) return 'in place';
    this.#mounted.delete(directory);
    this.#lost.add(directory);
    return 'gone';
  }

  /** The kernel does not unmount what carries another mount; what lies beneath ours is in nobody's way. */
  get obstructions(): readonly Obstruction[] {
    const table = readMountTable();
    return this.mounted.flatMap((directory) => {
      if (this.#placeOf(directory, table) === 'gone') return [];
      const own = this.#entries.get(directory);
      const mountPoints = table
        .filter(({ parent }) => parent === own?.id)
        .map(({ mountPoint }) => mountPoint);
      return mountPoints.length === 0 ? [] : [{ directory, mountPoints }];
    });
  }

  /** Takes them away one by one; returns the first one that is in use, which stops it. */
  unmount(): string | undefined {
    const table = readMountTable();
    const busy = this.#firstBusy(table);
    if (busy !== undefined) return busy;
    for (const dir of this.#mounted) {
      const place = this.#placeOf(dir, table);
      // What lies there instead, or over it, is not the filter's to be taken away.
      if (place === 'gone') continue;
      if (place === 'covered' || this.#unmountOne(dir, 0) === -errno.EBUSY) return dir;
      this.#mounted.delete(dir);
    }
    return undefined;
  }

  /**
   * Before the first of several is given back: what is in use without anybody who has it open (an NFS export, a loop
   * device, a swap file) only the kernel knows. It answers by a mark, with which the next such question would unmount;
   * whoever looks at the directory takes it away.
   */
  #firstBusy(table: readonly MountEntry[]): string | undefined {
    if (this.#mounted.size < 2) return undefined;
    return this.mounted.find((directory) => {
      const place = this.#placeOf(directory, table);
      if (place !== 'in place') return place === 'covered';
      const result = this.#unmountOne(directory, MNT.EXPIRE);
      sys.readlinkat(AT.FDCWD, cpath(directory), new Uint8Array(1), 1);
      return result === -errno.EBUSY;
    });
  }

  /** Out of sight at once; files that are open stay usable until closed. */
  detach(): void {
    const table = readMountTable();
    for (const dir of this.#mounted) {
      if (this.#placeOf(dir, table) === 'in place') this.#unmountOne(dir, MNT.DETACH);
    }
    this.#mounted.clear();
  }

  #unmountOne(directory: string, flags: number): number {
    return sys.umount2(cpath(directory), flags);
  }

  /**
   * Ends the connection of a directory if somebody still has its file system: files that were open when its mount was
   * taken away, or another mount namespace. Its number is not another one's as long as it lives.
   */
  cutOff(directory: string, fuseFd: number): boolean {
    const own = this.#entries.get(directory);
    return own !== undefined && isConnected(fuseFd) && abortConnection(own.device);
  }

  close(): void {
    this.#watch.close();
  }
}
