// Who does not see the filter: processes in other mount namespaces (containers, services with private
// mounts) that have the directory, or something around it, mounted without propagation from here. They
// go on to work on the files underneath, and what they write is not mirrored.
import { readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { join, relative } from 'node:path';
import { isWithin, type MountEntry, readMountTable } from '../linux/mount-table.ts';

export interface BlindNamespace {
  readonly pid: number;
  readonly command: string;
  /** Where the directory, or something around it, is mounted there. */
  readonly mountPoint: string;
}

/** At most one process per mount namespace that would not see a mount on `directory`. */
export function findBlindNamespaces(directory: string): BlindNamespace[] {
  const inside = locate(readMountTable(), directory);
  if (inside === undefined) return [];
  const seen = new Set([namespaceOf('self')]);
  const blind: BlindNamespace[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    const namespace = namespaceOf(name);
    if (namespace === undefined || seen.has(namespace)) continue;
    seen.add(namespace);
    const found = blindMount(name, inside);
    if (found !== undefined) {
      blind.push({ pid: Number(name), command: commandOf(name), mountPoint: found.mountPoint });
    }
  }
  return blind;
}

interface Inside {
  readonly device: string;
  /** Path within the file system. */
  readonly path: string;
  /** Peer group of the mount here; null when mounts on it do not propagate. */
  readonly peerGroup: string | null;
}

/** Which file system `directory` is on, and where in it. */
function locate(table: readonly MountEntry[], directory: string): Inside | undefined {
  const entry = table
    .filter(({ mountPoint }) => isWithin(directory, mountPoint))
    .toSorted((one, other) => one.mountPoint.length - other.mountPoint.length)
    .at(-1);
  if (entry === undefined) return undefined;
  const path = join(entry.root, relative(entry.mountPoint, directory));
  const shared = entry.propagation.find((text) => text.startsWith('shared:'));
  return { device: entry.device, path, peerGroup: shared?.slice('shared:'.length) ?? null };
}

function blindMount(process: string, inside: Inside): MountEntry | undefined {
  try {
    const visible = readMountTable(process).filter(
      ({ device, root }) =>
        device === inside.device && (isWithin(inside.path, root) || isWithin(root, inside.path)),
    );
    const { peerGroup } = inside;
    const receives = visible.some(
      ({ propagation }) =>
        propagation.includes(`shared:${peerGroup}`) || propagation.includes(`master:${peerGroup}`),
    );
    return receives ? undefined : visible.at(-1);
  } catch {
    // The process has ended meanwhile.
    return undefined;
  }
}

function namespaceOf(process: string): string | undefined {
  try {
    return readlinkSync(`/proc/${process}/ns/mnt`);
  } catch {
    return undefined;
  }
}

function commandOf(process: string): string {
  try {
    return readFileSync(`/proc/${process}/comm`, 'utf8').trim();
  } catch {
    return '?';
  }
}
