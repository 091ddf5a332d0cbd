// "understudy upgrade": after another version was installed and the service restarted, processes that still run the former program are
// replaced, one after the other, while applications work. Standbys come first; a primary's process hands its mounts over
// (decision 12). What cannot be replaced now is left as it runs, and said with the way out.
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { GroupRuntime } from './group-runtime.ts';
import type { Role } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';

export interface UpgradePart {
  /** `failover`: the process that leads all managed groups of the node. */
  readonly kind: 'group' | 'failover';
  readonly group: string | null;
  readonly role: Role | null;
  /** Version that ran before; null: not known, or nothing runs. */
  readonly from: string | null;
  /** `due`: it would be replaced (only when asked what would happen). */
  readonly result: 'current' | 'replaced' | 'due' | 'refused' | 'failed';
  /** Why it was not replaced, as a sentence. */
  readonly why: string | null;
}

export interface UpgradeReport {
  readonly node: string;
  /** What processes of this node are to run. */
  readonly version: string;
  readonly installation: string;
  readonly parts: readonly UpgradePart[];
}

/** What a process tells of itself; processes of early versions tell nothing. */
export interface RunningProgram {
  readonly version: string | null;
  readonly installation: string | null;
}

export interface UpgradeOptions {
  /** Only say what would happen. */
  readonly check: boolean;
  readonly onProgress: (done: number, total: number) => void;
}

export async function upgrade(
  service: NodeService,
  { check, onProgress }: UpgradeOptions,
): Promise<UpgradeReport> {
  const installation = resolve(service.programs.primary, '../../..');
  const wanted = { version: versionOf(installation), installation };
  // Standbys first: nobody notices those, and a version that does not work shows there.
  const runtimes = [...service.groups.values()].toSorted((a, b) => rank(a) - rank(b));
  const parts: UpgradePart[] = [];
  for (const runtime of runtimes) {
    onProgress(parts.length, runtimes.length + 1);
    parts.push(await upgradeGroup(runtime, wanted, check));
  }
  onProgress(parts.length, runtimes.length + 1);
  const failover = await upgradeFailover(service, wanted, check);
  const all = failover === null ? parts : [...parts, failover];
  const replaced = all.filter(({ result }) => result === 'replaced').length;
  if (replaced > 0) {
    const sentence = `${replaced} ${replaced === 1 ? 'process runs' : 'processes run'} version ${wanted.version} now`;
    service.emit('info', 'UPGRADED', sentence);
  }
  return { node: service.config.name, ...wanted, parts: all };
}

const rank = ({ state }: GroupRuntime): number => (state.role === 'standby' ? 0 : 1);

function versionOf(installation: string): string {
  const text = readFileSync(join(installation, 'package.json'), 'utf8');
  return z.object({ version: z.string() }).parse(JSON.parse(text)).version;
}

async function upgradeGroup(
  runtime: GroupRuntime,
  wanted: RunningProgram,
  check: boolean,
): Promise<UpgradePart> {
  const { role } = runtime.state;
  const runs = runtime.phase === 'running' && runtime.process.isAlive;
  const program = runs ? programOf(await runtime.process.status().catch(() => ({}))) : null;
  const part = {
    kind: 'group',
    group: runtime.name,
    role,
    from: program?.version ?? null,
  } as const;
  // The next one to be started is of this version anyway.
  if (program === null || isSame(program, wanted)) return { ...part, result: 'current', why: null };
  try {
    if (check) await runtime.renewal.require();
    else await runtime.renew();
    return { ...part, result: check ? 'due' : 'replaced', why: null };
  } catch (thrown) {
    const isRefused = thrown instanceof UnderstudyError && thrown.code === 'RENEWAL_NOT_POSSIBLE';
    return { ...part, result: isRefused ? 'refused' : 'failed', why: messageOf(thrown) };
  }
}

/** It holds the leases: while this node is a primary, its end would be taken for the node's. */
async function upgradeFailover(
  service: NodeService,
  wanted: RunningProgram,
  check: boolean,
): Promise<UpgradePart | null> {
  const status = await service.failover.clusterStatus();
  if (status === null) return null;
  const program = programOf(status);
  const part = { kind: 'failover', group: null, role: null, from: program.version } as const;
  if (isSame(program, wanted)) return { ...part, result: 'current', why: null };
  const managed = [...service.groups.values()].filter(({ isManaged }) => isManaged);
  const served = managed.filter(({ state, isChanging }) => state.role === 'primary' || isChanging);
  const [first] = served;
  if (first !== undefined) {
    const why = `failover of this node goes on with the version before while it is the primary of ${served.map(({ name }) => `"${name}"`).join(', ')}: move there with "understudy switchover ${first.name}", then run this again here`;
    return { ...part, result: 'refused', why };
  }
  if (check) return { ...part, result: 'due', why: null };
  try {
    await service.failover.renewCluster();
    return { ...part, result: 'replaced', why: null };
  } catch (thrown) {
    return { ...part, result: 'failed', why: messageOf(thrown) };
  }
}

function programOf(status: Readonly<Record<string, unknown>>): RunningProgram {
  const { version, installation } = status;
  return {
    version: typeof version === 'string' ? version : null,
    installation: typeof installation === 'string' ? installation : null,
  };
}

function isSame(one: RunningProgram, other: RunningProgram): boolean {
  return one.version === other.version && one.installation === other.installation;
}
