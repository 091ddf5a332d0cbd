// Switching a host on: namespaces held by a process number 1, mounts, cables.
import { mkdirSync, readFileSync, readdirSync, statSync, writeFileSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { present } from '../src/core/assert.ts';
import { UnderstudyError } from '../src/core/errors.ts';
import type { ControlGroup } from './cgroup.ts';
import { joinArguments, namespaceArguments } from './enter.ts';
import { mountScript, type RunDirectory, unwantedMounts } from './mounts.ts';
import {
  cableBatch,
  hostBatch,
  hostsFile,
  interfaceOf,
  portOf,
  shapeArguments,
} from './network.ts';
import { childrenOf, type ProcessReference, programOf, referenceTo } from './process.ts';
import { must, start, waitUntil } from './run.ts';
import type { HostState, LabState } from './state.ts';

const START_TIMEOUT_MS = 10_000;
/** Ignoring SIGCHLD makes the kernel reap every orphan of the host (wait(2), NOTES). */
const INIT = ['env', '--ignore-signal=CHLD', 'sleep', 'infinity'];
const HOST_NAMESPACES = ['--pid', '--mount', '--net', '--uts', '--ipc', '--mount-proc'];
const UNSHARE_OPTIONS = ['--fork', '--kill-child', '--propagation', 'private'];

/**
 * Starts a process that does nothing but hold namespaces. A lab that belongs to a program
 * dies with it (PR_SET_PDEATHSIG), whatever ends that program.
 */
async function startHolder(
  lab: LabState,
  group: ControlGroup,
  unshare: readonly string[],
): Promise<number> {
  group.create();
  const deathSignal = lab.owner === null ? [] : ['setpriv', '--pdeathsig', 'KILL', '--'];
  const argv = [...joinArguments(group), ...deathSignal, 'unshare', ...unshare];
  const child = start(argv, { stdio: 'ignore', detached: true });
  const failure = new Promise<never>((_, reject) => {
    child.once('error', reject);
    child.once('exit', (code) => reject(holderEnded(code)));
  });
  child.unref();
  const pid = present(child.pid, 'number of the holder');
  const ready = waitUntil(() => holderIn(pid) !== undefined, START_TIMEOUT_MS, 2);
  failure.catch(() => {});
  if (!(await Promise.race([ready, failure]))) throw holderEnded(null);
  return present(holderIn(pid), 'holder');
}

/** The sleeping process: the child of `unshare --fork`, or the started process itself. */
function holderIn(pid: number): number | undefined {
  return [pid, ...childrenOf(pid)].find((candidate) => programOf(candidate) === 'sleep');
}

function holderEnded(code: number | null): UnderstudyError {
  return new UnderstudyError(
    'LAB_NAMESPACES_FAILED',
    `cannot create namespaces (unshare ended with ${code ?? 'no result in time'}): run as root`,
  );
}

/** Starts the switch: a network namespace of its own, so that the machine's network stays untouched. */
export async function startSwitchNamespace(
  lab: LabState,
  group: ControlGroup,
): Promise<ProcessReference> {
  const pid = await startHolder(lab, group, ['--net', '--', 'sleep', 'infinity']);
  return present(referenceTo(pid), 'switch');
}

/** Starts a host up to the point where programs can be started in it. */
export async function startHostNamespaces(
  lab: LabState,
  host: HostState,
  group: ControlGroup,
): Promise<ProcessReference> {
  const unshare = [...UNSHARE_OPTIONS, ...HOST_NAMESPACES, '--', ...INIT];
  const pid = await startHolder(lab, group, unshare);
  await mountAll(lab, host, pid);
  await connect(lab, host, pid);
  return present(referenceTo(pid), 'init');
}

async function mountAll(lab: LabState, host: HostState, pid: number): Promise<void> {
  const directory = join(lab.directory, host.name);
  mkdirSync(join(directory, 'disk'), { recursive: true });
  const hosts = join(directory, 'hosts');
  writeFileSync(hosts, hostsFile(lab));
  const script = mountScript({
    hostName: host.name,
    diskDirectory: join(directory, 'disk'),
    image: host.hasDisk ? join(directory, 'disk.img') : undefined,
    hostsFile: hosts,
    runDirectories: runDirectories(),
    unwanted: unwantedMounts(readFileSync(`/proc/${pid}/mountinfo`, 'utf8')),
    stateMountPointMissing: !existsSync('/var/lib/understudy'),
  });
  const enter = namespaceArguments(pid, ['mount', 'uts', 'net', 'pid']);
  await must([...enter, 'sh', '-eu', '-c', script]);
}

/** Directories that packages made in /run at boot, as their tmpfiles.d would. */
function runDirectories(): RunDirectory[] {
  const own = ['understudy', 'understudy-lab', 'netns', 'user', 'mount'];
  return readdirSync('/run', { withFileTypes: true })
    .filter((entry) => entry.isDirectory() && !own.includes(entry.name))
    .map(({ name }) => {
      const { mode, uid, gid } = statSync(join('/run', name));
      return { name, mode: (mode & 0o7777).toString(8), owner: `${uid}:${gid}` };
    });
}

async function connect(lab: LabState, host: HostState, pid: number): Promise<void> {
  const inSwitch = namespaceArguments(present(lab.switch, 'switch').pid, ['net']);
  const inHost = namespaceArguments(pid, ['net']);
  await must([...inSwitch, 'ip', '-batch', '-'], { input: cableBatch(lab, host, pid) });
  await must([...inHost, 'ip', '-batch', '-'], { input: hostBatch(lab, host) });
  for (const network of host.networks) {
    const rate = host.rates[network];
    if (rate === undefined) continue;
    await must([...inSwitch, 'tc', ...shapeArguments(portOf(host.name, network), rate)]);
    await must([...inHost, 'tc', ...shapeArguments(interfaceOf(network), rate)]);
  }
}
