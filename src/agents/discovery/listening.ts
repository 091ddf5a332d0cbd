// Who listens where on this machine: sockets of /proc/net, and the processes that hold them.
import { readdirSync, readFileSync, readlinkSync, statSync } from 'node:fs';
import { livingProcesses, type ProcessEntry } from '../sdk/process-table.ts';
import { commandLine, programOf, workingDirectory } from '../builtin/support/processes.ts';

/** TCP_LISTEN of the kernel; unix sockets: __SO_ACCEPTCON in their flags. */
const TCP_LISTEN = '0A';
const UNIX_LISTENS = 0x1_0000;
/** Of a systemd unit: `/system.slice/nginx.service`. */
const UNIT_PATTERN = /\/([A-Za-z0-9:_.@\\-]+\.service)(?:\/|$)/m;

export interface TcpPort {
  readonly port: number;
  /** Only from this machine. */
  readonly isLocal: boolean;
}

/** A program that listens; those that it started to share its sockets are not told apart. */
export interface Server {
  readonly pid: number;
  /** Path of its program. */
  readonly program: string;
  readonly arguments: readonly string[];
  readonly workingDirectory: string;
  readonly uid: number;
  readonly ports: readonly TcpPort[];
  /** Paths of Unix sockets. */
  readonly sockets: readonly string[];
  /** systemd unit that it belongs to. */
  readonly unit: string | undefined;
  /** Files that it has open for writing. */
  readonly writes: readonly string[];
}

/** All programs that listen at a TCP port or a Unix socket with a path, by process id. */
export function listeningServers(): Server[] {
  const tcp = new Map([...tcpSockets('tcp'), ...tcpSockets('tcp6')]);
  const unix = new Map(unixSockets());
  const processes = livingProcesses().map((entry) => ({ entry, files: openFiles(entry.pid) }));
  const holders = processes.filter(({ files }) =>
    files.some(({ inode }) => inode !== undefined && (tcp.has(inode) || unix.has(inode))),
  );
  const pids = new Set(holders.map(({ entry }) => entry.pid));
  const byPid = new Map(processes.map(({ entry }) => [entry.pid, entry]));
  return holders
    .filter(({ entry }) => !pids.has(entry.parent) && hasOurPaths(entry.pid))
    .flatMap(({ entry, files }) => {
      const inodes = files.flatMap(({ inode }) => (inode === undefined ? [] : [inode]));
      const ports = inodes.flatMap((inode) => tcp.get(inode) ?? []);
      const sockets = inodes.flatMap((inode) => unix.get(inode) ?? []);
      // What its children write belongs to it.
      const family = processes.filter((one) => isOfFamily(one.entry, entry.pid, byPid));
      const written = [entry, ...family.map((one) => one.entry)].flatMap(({ pid }) =>
        writtenBy(pid),
      );
      const server = serverOf(entry, { ports: uniquePorts(ports), sockets, written });
      return server === undefined ? [] : [server];
    });
}

/** Whether its paths mean the same here: those of a container lead to something else. */
function hasOurPaths(pid: number): boolean {
  try {
    const root = `/proc/${pid}/root`;
    const [its, ours] = [statSync(`${root}/`), statSync(readlinkSync(root))];
    return its.dev === ours.dev && its.ino === ours.ino;
  } catch {
    // It ended meanwhile.
    return false;
  }
}

function isOfFamily(
  entry: ProcessEntry,
  ancestor: number,
  byPid: ReadonlyMap<number, ProcessEntry>,
): boolean {
  let at: ProcessEntry | undefined = entry;
  for (let depth = 0; at !== undefined && depth < 8; depth += 1) {
    if (at.parent === ancestor) return true;
    at = byPid.get(at.parent);
  }
  return false;
}

function serverOf(
  { pid }: ProcessEntry,
  {
    ports,
    sockets,
    written,
  }: { ports: readonly TcpPort[]; sockets: readonly string[]; written: readonly string[] },
): Server | undefined {
  const program = programOf(pid);
  if (program === undefined) return undefined;
  return {
    pid,
    program,
    arguments: commandLine(pid),
    workingDirectory: workingDirectory(pid) ?? '/',
    uid: uidOf(pid),
    ports,
    sockets: [...new Set(sockets)],
    unit: unitOf(pid),
    writes: [...new Set(written)],
  };
}

function uniquePorts(ports: readonly TcpPort[]): TcpPort[] {
  const byPort = new Map<number, TcpPort>();
  for (const one of ports) {
    const known = byPort.get(one.port);
    byPort.set(one.port, { port: one.port, isLocal: one.isLocal && (known?.isLocal ?? true) });
  }
  return [...byPort.values()].toSorted((one, other) => one.port - other.port);
}

function tcpSockets(kind: 'tcp' | 'tcp6'): [string, TcpPort][] {
  return linesOf(`/proc/self/net/${kind}`).flatMap((line) => {
    const [, local = '', , state, , , , , , inode = ''] = line.trim().split(/\s+/);
    if (state !== TCP_LISTEN) return [];
    const [address = '', port = ''] = local.split(':');
    // 127.0.0.0/8 and ::1 in the byte order of the machine.
    const isLocal =
      kind === 'tcp' ? address.endsWith('7F') : address === '0'.repeat(24) + '01000000';
    return [[inode, { port: Number.parseInt(port, 16), isLocal }] as [string, TcpPort]];
  });
}

function unixSockets(): [string, string][] {
  return linesOf('/proc/self/net/unix').flatMap((line) => {
    const [, , , flags = '', , , inode = '', path = ''] = line.trim().split(/\s+/);
    const isListening = (Number.parseInt(flags, 16) & UNIX_LISTENS) !== 0;
    return isListening && path.startsWith('/') ? [[inode, path] as [string, string]] : [];
  });
}

function linesOf(file: string): string[] {
  try {
    return readFileSync(file, 'latin1').split('\n').slice(1);
  } catch {
    return [];
  }
}

interface OpenFile {
  readonly fd: string;
  readonly target: string;
  /** Of a socket. */
  readonly inode: string | undefined;
}

function openFiles(pid: number): OpenFile[] {
  let descriptors: string[];
  try {
    descriptors = readdirSync(`/proc/${pid}/fd`);
  } catch {
    return [];
  }
  return descriptors.flatMap((fd) => {
    try {
      const target = readlinkSync(`/proc/${pid}/fd/${fd}`);
      return [{ fd, target, inode: /^socket:\[(\d+)\]$/.exec(target)?.[1] }];
    } catch {
      return [];
    }
  });
}

function writtenBy(pid: number): string[] {
  return openFiles(pid)
    .filter(({ target, fd }) => target.startsWith('/') && isWritten(pid, fd))
    .map(({ target }) => target)
    .filter((target) => !target.endsWith(' (deleted)'));
}

function isWritten(pid: number, fd: string): boolean {
  try {
    const text = readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'latin1');
    const flags = Number.parseInt(/^flags:\s*(\d+)/m.exec(text)?.[1] ?? '0', 8);
    return (flags & 3) !== 0;
  } catch {
    return false;
  }
}

function uidOf(pid: number): number {
  try {
    return Number(/^Uid:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, 'latin1'))?.[1] ?? 0);
  } catch {
    return 0;
  }
}

function unitOf(pid: number): string | undefined {
  try {
    return UNIT_PATTERN.exec(readFileSync(`/proc/${pid}/cgroup`, 'latin1'))?.[1];
  } catch {
    return undefined;
  }
}
