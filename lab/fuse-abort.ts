// A FUSE mount whose server is gone or hangs holds whoever touches it, and with it the mount
// namespace and the disk of a dead host. Its connection is ended through the fusectl file system.
import { readFileSync } from 'node:fs';
import { mountNamespaceOf } from './process.ts';
import { run } from './run.ts';

/** Numbers of the FUSE connections mounted in the mount namespaces of `pids`. */
export function fuseConnectionsOf(pids: readonly number[]): number[] {
  const seen = new Set<string | undefined>();
  const connections = new Set<number>();
  for (const pid of pids) {
    const namespace = mountNamespaceOf(pid);
    if (namespace === undefined || seen.has(namespace)) continue;
    seen.add(namespace);
    for (const connection of fuseMountsIn(pid)) connections.add(connection);
  }
  // Wrappers on their way into the host are still in the machine's own namespace: not ours.
  for (const connection of fuseMountsIn(process.pid)) connections.delete(connection);
  return [...connections];
}

function fuseMountsIn(pid: number): number[] {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/mountinfo`, 'latin1');
  } catch {
    return [];
  }
  const connections: number[] = [];
  for (const line of text.split('\n')) {
    const [mount, source] = line.split(' - ');
    const type = source?.split(' ')[0] ?? '';
    if (type !== 'fuse' && type !== 'fuseblk' && !type.startsWith('fuse.')) continue;
    const device = mount?.split(' ')[2]?.split(':') ?? [];
    if (device[1] !== undefined) connections.push(Number(device[1]));
  }
  return connections;
}

/** Ends connections; those already gone are no error. The machine's own mounts stay as they are. */
export async function abortFuseConnections(connections: readonly number[]): Promise<void> {
  if (connections.length === 0) return;
  const script = `
    mount -t fusectl fusectl /sys/fs/fuse/connections 2>/dev/null
    for n in "$@"; do
      [ ! -e "/sys/fs/fuse/connections/$n/abort" ] || echo 1 > "/sys/fs/fuse/connections/$n/abort"
    done`;
  const unshare = ['unshare', '--mount', '--propagation', 'private'];
  await run([...unshare, 'sh', '-c', script, 'sh', ...connections.map(String)]);
}
