// Checks of the machine. Each answers what it found and, when that is not enough, what to do.
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readdirSync,
  readFileSync,
  statfsSync,
} from 'node:fs';
import { release } from 'node:os';
import { delimiter, join } from 'node:path';
import { AgentCatalog } from '../agents/catalog.ts';
import { isNowayout, NOWAYOUT_REMEDY } from '../cluster/fencing/watchdog.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { formatBytes, GiB } from '../core/units.ts';
import { tryUrgency } from '../linux/scheduling.ts';
import { createTimedWrite } from '../linux/timed-write.ts';
import { tryListen } from '../linux/try-listen.ts';
import { agentFaults } from './agent-checks.ts';
import { checkFileSystem } from './directory-checks.ts';
import { readJsonFile } from './durable-file.ts';
import { groupStateSchema } from './group-state.ts';
import { readIdentity } from './identity.ts';
import { readNodeConfig } from './node-config.ts';
import { isLocked } from './process-lock.ts';
import { groupPaths, type ServicePaths } from './service-paths.ts';
import { readDefinition } from './stored-definition.ts';

export interface Finding {
  readonly check: string;
  readonly level: 'ok' | 'warning' | 'error';
  readonly found: string;
  readonly remedy: string | null;
}

const DESCRIPTORS_MIN = 4096;
const DESCRIPTORS_GOOD = 20_000;
const STATE_FREE_BYTES_MIN = 2 * GiB;
/** A machine that was never set is at the epoch or at its build date. */
const CLOCK_MIN_MS = Date.UTC(2025, 0, 1);

/** Runs all checks. */
export async function runDoctor(paths: ServicePaths): Promise<Finding[]> {
  return [
    checkRoot(),
    checkKernel(),
    checkUrgency(),
    checkLastLook(),
    checkWatchdog(),
    checkFuse(),
    checkFuseFeature('FUSE passthrough', 'reads go through the service instead of at native speed'),
    checkFuseFeature('FUSE resend', 'calls in flight are lost when a group process is killed'),
    checkDescriptors(),
    ...checkPrograms(),
    checkClock(),
    ...(await tried(`state in ${paths.state}`, () => [checkStateDirectory(paths)])),
    checkNode(paths),
    ...(await tried('service', async () => checkPorts(paths))),
    ...(await tried(`groups in ${paths.groups}`, async () => checkGroupAgents(paths))),
  ];
}

/** What cannot be looked at is a finding too, and the others are told all the same. */
async function tried(
  check: string,
  look: () => Finding[] | Promise<Finding[]>,
): Promise<Finding[]> {
  try {
    return await look();
  } catch (thrown) {
    return [bad('error', check, messageOf(thrown), 'run this as root; else look at that disk')];
  }
}

function ok(check: string, found: string): Finding {
  return { check, level: 'ok', found, remedy: null };
}

function bad(level: 'warning' | 'error', check: string, found: string, remedy: string): Finding {
  return { check, level, found, remedy };
}

function checkRoot(): Finding {
  const uid = process.getuid?.() ?? -1;
  if (uid === 0) return ok('user', 'root');
  return bad('error', 'user', `uid ${uid}`, 'run Understudy as root: it mounts file systems');
}

/** `6.9.3-arch1` → [6, 9]. */
export function parseKernelVersion(text: string): [number, number] {
  const match = /^(\d+)\.(\d+)/.exec(text);
  return [Number(match?.[1] ?? 0), Number(match?.[2] ?? 0)];
}

function isKernelAtLeast(major: number, minor: number): boolean {
  const [ownMajor, ownMinor] = parseKernelVersion(release());
  return ownMajor > major || (ownMajor === major && ownMinor >= minor);
}

function checkKernel(): Finding {
  if (isKernelAtLeast(5, 6)) return ok('kernel', release());
  return bad('error', 'kernel', release(), 'install a kernel of version 5.6 or later');
}

/** Heartbeats of a machine that is overloaded are late without real-time scheduling. */
function checkUrgency(): Finding {
  const check = 'real-time scheduling';
  const urgency = tryUrgency();
  if (urgency === undefined) return ok(check, 'permitted');
  const remedy =
    'failover works without, but heartbeats can be late under load: allow it ("LimitRTPRIO=infinity" in the unit, no "cpu" control group without real-time budget)';
  return bad('warning', check, urgency, remedy);
}

function checkLastLook(): Finding {
  const check = 'last look at the lease';
  const { isExact } = createTimedWrite(new Float64Array(1));
  if (isExact) return ok(check, 'together with the answer (restartable sequence)');
  const remedy =
    'a server frozen within the fifth of a microsecond between look and answer still sends that answer; x86-64 with a C library of 2.35 or later does not';
  return bad('warning', check, 'right before the answer', remedy);
}

function checkWatchdog(): Finding {
  const device = '/dev/watchdog';
  if (isNowayout(device)) {
    const found = `${device} cannot be stopped (nowayout), and is not used`;
    return bad('warning', 'watchdog', found, NOWAYOUT_REMEDY);
  }
  if (existsSync(device)) return ok('watchdog', device);
  const remedy =
    'load the driver of the board\'s watchdog, or "modprobe softdog": a server that hangs is then reset before the other one takes over';
  return bad('warning', 'watchdog', 'no device', remedy);
}

function checkFuse(): Finding {
  const remedy =
    'load the module: "modprobe fuse" (and "echo fuse > /etc/modules-load.d/fuse.conf")';
  if (!existsSync('/dev/fuse')) return bad('error', '/dev/fuse', 'missing', remedy);
  try {
    closeSync(openSync('/dev/fuse', 'r+'));
    return ok('/dev/fuse', 'can be opened');
  } catch (thrown) {
    return bad('error', '/dev/fuse', messageOf(thrown), remedy);
  }
}

function checkFuseFeature(name: string, without: string): Finding {
  if (isKernelAtLeast(6, 9)) return ok(name, `kernel ${release()} has it`);
  const remedy = `works without, but ${without}; for Debian 12: "apt install -t bookworm-backports linux-image-amd64"`;
  return bad('warning', name, `needs kernel 6.9, this is ${release()}`, remedy);
}

function checkDescriptors(): Finding {
  const line = readFileSync('/proc/self/limits', 'utf8')
    .split('\n')
    .find((text) => text.startsWith('Max open files'));
  const hard = Number(line?.trim().split(/\s{2,}/)[2] ?? 0) || Number.MAX_SAFE_INTEGER;
  const found = `hard limit ${hard}`;
  const remedy = 'raise it: "LimitNOFILE=65536" in the unit understudyd.service';
  if (hard < DESCRIPTORS_MIN) return bad('error', 'open files', found, remedy);
  if (hard < DESCRIPTORS_GOOD) return bad('warning', 'open files', found, remedy);
  return ok('open files', found);
}

const PROGRAMS: readonly { name: string; package: string }[] = [
  { name: 'mount', package: 'mount' },
  { name: 'umount', package: 'mount' },
];

function checkPrograms(): Finding[] {
  return PROGRAMS.map(({ name, package: from }) => {
    const path = findProgram(name);
    if (path !== undefined) return ok(`program ${name}`, path);
    return bad('error', `program ${name}`, 'not found', `install it: "apt install ${from}"`);
  });
}

function findProgram(name: string): string | undefined {
  const directories = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  return directories
    .filter((directory) => directory !== '')
    .map((directory) => join(directory, name))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

function checkClock(): Finding {
  const now = new Date();
  if (now.getTime() < CLOCK_MIN_MS) {
    const remedy = 'set it, and keep it: "apt install systemd-timesyncd"';
    return bad('warning', 'clock', now.toISOString(), remedy);
  }
  return ok('clock', now.toISOString());
}

function checkStateDirectory(paths: ServicePaths): Finding {
  const check = `state in ${paths.state}`;
  if (!existsSync(paths.state)) {
    return bad('warning', check, 'does not exist yet', 'run "understudy init"');
  }
  const { bavail, bsize } = statfsSync(paths.state);
  const free = bavail * bsize;
  try {
    checkFileSystem(paths.state);
  } catch (thrown) {
    return bad('warning', check, messageOf(thrown), 'put the state on ext4, xfs or btrfs');
  }
  if (free < STATE_FREE_BYTES_MIN) {
    const remedy = 'make room: journals and the backlog of an absent standby are kept there';
    return bad('warning', check, `${formatBytes(free)} free`, remedy);
  }
  return ok(check, `${formatBytes(free)} free, file handles and extended attributes work`);
}

function checkNode(paths: ServicePaths): Finding {
  try {
    const { name } = readNodeConfig(paths);
    return ok('node', `"${name}" (${readIdentity(paths).id})`);
  } catch (thrown) {
    const isNew = thrown instanceof UnderstudyError && thrown.code === 'NOT_INITIALISED';
    const level = isNew ? 'warning' : 'error';
    return bad(level, 'node', messageOf(thrown), 'run "understudy init" or correct the file named');
  }
}

async function checkPorts(paths: ServicePaths): Promise<Finding[]> {
  if (!existsSync(paths.nodeConfig) || !existsSync(paths.run)) return [];
  if (isLocked(paths.daemonLock)) return [ok('service', 'understudyd runs')];
  let config;
  try {
    config = readNodeConfig(paths);
  } catch {
    return [];
  }
  const { address, port } = config;
  const check = `port ${port}/tcp on ${address}`;
  const fault = await tryListen(address, port);
  if (fault === undefined) return [ok(check, 'free')];
  return [bad('error', check, fault.message, portRemedy(fault, paths.nodeConfig))];
}

/** An address that is none of this machine's is nobody's whom "ss" could name. */
export function portRemedy({ code }: NodeJS.ErrnoException, nodeConfig: string): string {
  const correct = `correct "address" and "port" in ${nodeConfig}`;
  if (code === 'EADDRINUSE') return `find who has it with "ss -ltnp", or ${correct}`;
  return `${correct}: "ip -br addr" shows the addresses of this machine`;
}

/** Of groups that exist here: a program may have gone since they were created. */
async function checkGroupAgents(paths: ServicePaths): Promise<Finding[]> {
  if (!existsSync(paths.groups)) return [];
  const places = { catalog: new AgentCatalog(paths.agents), paths };
  const findings = readdirSync(paths.groups).map(async (group): Promise<Finding[]> => {
    const check = `agents of group "${group}"`;
    try {
      const files = groupPaths(paths, group);
      const definition = readDefinition(files.definition);
      const state = readJsonFile(files.state, groupStateSchema);
      if (definition === undefined || state === undefined || definition.agents.length === 0) {
        return [];
      }
      const faults = await agentFaults(places, definition, state.role);
      if (faults.length === 0) return [ok(check, 'find what they need')];
      const remedy = 'make it as on the other node: the group could not be served here';
      return faults.map((fault) => bad('warning', check, fault, remedy));
    } catch (thrown) {
      return [bad('error', check, messageOf(thrown), 'see "understudy events"')];
    }
  });
  return (await Promise.all(findings)).flat();
}
