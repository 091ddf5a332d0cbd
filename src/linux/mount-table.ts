// The mount table (proc_pid_mountinfo(5)): which mounts are on, above and below a directory, and
// which of them are leftovers of a group process that died. Nothing in here touches a mount itself, which may hang.
import { readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

export interface MountEntry {
  readonly id: number;
  readonly parent: number;
  /** `major:minor`. */
  readonly device: string;
  /** The directory of the file system that is visible at the mount point. */
  readonly root: string;
  readonly mountPoint: string;
  readonly options: readonly string[];
  /** `shared:N`, `master:N` …; empty for a private mount. */
  readonly propagation: readonly string[];
  readonly type: string;
  readonly source: string;
  /** Of the file system, whichever mount of it. */
  readonly superOptions: readonly string[];
}

/** Mounts in the order of the table: mostly, a later one covers an earlier one; see {@link mountsOn}. */
export function readMountTable(process = 'self'): MountEntry[] {
  return parseMountTable(readFileSync(`/proc/${process}/mountinfo`, 'utf8'));
}

export function parseMountTable(text: string): MountEntry[] {
  return text.split('\n').flatMap((line) => {
    const fields = line.split(' ');
    const dash = fields.indexOf('-', 6);
    if (dash < 0) return [];
    return [
      {
        id: Number(fields[0]),
        parent: Number(fields[1]),
        device: fields[2] ?? '',
        root: unescape(fields[3] ?? ''),
        mountPoint: unescape(fields[4] ?? ''),
        options: (fields[5] ?? '').split(','),
        propagation: fields.slice(6, dash),
        type: fields[dash + 1] ?? '',
        source: unescape(fields[dash + 2] ?? ''),
        superOptions: (fields[dash + 3] ?? '').split(','),
      },
    ];
  });
}

/** The kernel writes space, tab, newline and backslash as octal. */
function unescape(text: string): string {
  return text.replaceAll(/\\([0-7]{3})/g, (_all, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** True when `path` is `directory` or below it. */
export function isWithin(path: string, directory: string): boolean {
  return path === directory || path.startsWith(directory === '/' ? '/' : `${directory}/`);
}

/** Whether the mount, or the whole file system, can only be read. */
export function isReadOnly({ options, superOptions }: MountEntry): boolean {
  return options.includes('ro') || superOptions.includes('ro');
}

/** Mounts strictly below `directory`. */
export function mountsBelow(table: readonly MountEntry[], directory: string): MountEntry[] {
  return table.filter(
    ({ mountPoint }) => mountPoint !== directory && isWithin(mountPoint, directory),
  );
}

/** Mounts exactly on `directory`, the visible one last. One that was put beneath another comes later in the table. */
export function mountsOn(table: readonly MountEntry[], directory: string): MountEntry[] {
  const here = table.filter(({ mountPoint }) => mountPoint === directory);
  const isOnAnother = ({ parent }: MountEntry): boolean => here.some(({ id }) => id === parent);
  return here.filter((entry) => !isOnAnother(entry)).flatMap((entry) => stackOn(entry, here));
}

function stackOn(bottom: MountEntry, here: readonly MountEntry[]): MountEntry[] {
  const above = here.filter(({ parent, id }) => parent === bottom.id && id !== bottom.id);
  return [bottom, ...above.flatMap((entry) => stackOn(entry, here))];
}

/** The mount that `directory` is on when those that `isIgnored` tells of are not counted. */
export function mountUnder(
  table: readonly MountEntry[],
  directory: string,
  isIgnored: (entry: MountEntry) => boolean,
): MountEntry | undefined {
  const candidates = table.filter(
    (entry) => !isIgnored(entry) && isWithin(directory, entry.mountPoint),
  );
  // Longest mount point wins; among equals the later one covers the earlier.
  return candidates.reduce<MountEntry | undefined>(
    (best, entry) =>
      best === undefined || entry.mountPoint.length >= best.mountPoint.length ? entry : best,
    undefined,
  );
}

/**
 * Mounts on `directory` that only Understudy makes: a FUSE mount of the filter, or the directory
 * bound over itself (the read-only cover of a standby). Topmost first. Mounts of an administrator
 * (another file system on the directory) are never among them.
 */
export function leftoverMounts(table: readonly MountEntry[], directory: string): MountEntry[] {
  const leftovers: MountEntry[] = [];
  const ignored = new Set<number>();
  for (const entry of mountsOn(table, directory).toReversed()) {
    ignored.add(entry.id);
    const under = mountUnder(table, directory, ({ id }) => ignored.has(id));
    if (!isFilterMount(entry) && !isSelfBind(entry, under, directory)) break;
    leftovers.push(entry);
  }
  return leftovers;
}

export function isFilterMount(entry: MountEntry): boolean {
  return (
    (entry.type === 'fuse' || entry.type.startsWith('fuse.')) &&
    (entry.source.startsWith('understudy') || entry.type === 'fuse.understudy')
  );
}

function isSelfBind(entry: MountEntry, under: MountEntry | undefined, directory: string): boolean {
  if (under === undefined || under.device !== entry.device) return false;
  return entry.root === join(under.root, relative(under.mountPoint, directory));
}
