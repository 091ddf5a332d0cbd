// The file systems below the protected directories: how much is free, whether they can be written.
//
// The filter is mounted over a protected directory; the state of the disk is that of the file system
// beneath it, which a kernel that has met errors turns read-only.
import { randomBytes } from 'node:crypto';
import { open, rm, statfs } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../../core/errors.ts';
import { formatBytes } from '../../core/units.ts';
import {
  isFilterMount,
  isReadOnly,
  leftoverMounts,
  type MountEntry,
  mountUnder,
  readMountTable,
} from '../../linux/mount-table.ts';
import { type Agent, type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { abortable, since } from './support/connection.ts';
import { absolutePath } from './support/parameters.ts';

const percent = z.number().min(0).max(100);

const parameters = z.strictObject({
  paths: z
    .array(absolutePath)
    .max(64)
    .optional()
    .describe('Directories to look at; default: the protected ones'),
  warnFreePercent: percent
    .default(10)
    .describe('Below so much free space (percent) the state is "degraded"'),
  failFreePercent: percent
    .default(0)
    .describe(
      'At or below so much free space (percent) the state is "failed" and the group moves; 0: never, as the copy on the other node is as big',
    ),
  writeTest: z
    .boolean()
    .default(false)
    .describe('Deep check: each probe writes, syncs and removes a file .understudy-probe-*'),
});

export type DiskParameters = z.infer<typeof parameters>;

interface Finding {
  readonly state: ProbeResult['state'];
  readonly sentence: string;
  readonly freePercent: number;
  readonly freeBytes: number;
}

export const disk: Agent<DiskParameters> = defineAgent({
  name: 'disk',
  title: 'Disk',
  description:
    'Free space and read-only state of the file systems of the protected directories; if wanted writes a file',
  parameters,
  defaults: { probeIntervalMs: 10_000, probeTimeoutMs: 5000 },
  probe,
});

const RANK = { ok: 0, degraded: 1, stopped: 2, failed: 3 } as const;

async function probe(given: DiskParameters, context: AgentContext): Promise<ProbeResult> {
  const paths = given.paths ?? context.directories;
  const from = performance.now();
  const mounts = readMountTable();
  const findings: Finding[] = [];
  for (const path of paths) {
    findings.push(await abortable(context.signal, look(path, given, mounts)));
  }
  const [worst] = findings.toSorted((one, other) => RANK[other.state] - RANK[one.state]);
  if (worst === undefined) return { state: 'ok', sentence: 'there is no directory to look at' };
  const least = findings.toSorted((one, other) => one.freePercent - other.freePercent)[0] ?? worst;
  const measures = {
    freePercent: least.freePercent,
    freeMiB: Math.round(least.freeBytes / 1024 / 1024),
    lookMs: since(from),
  };
  const sentence = findings
    .filter(({ state }) => state === worst.state)
    .map((finding) => finding.sentence)
    .join('; ');
  return { state: worst.state, sentence, measures };
}

async function look(
  path: string,
  given: DiskParameters,
  mounts: readonly MountEntry[],
): Promise<Finding> {
  let freePercent = 0;
  let freeBytes = 0;
  const finding = (state: Finding['state'], sentence: string): Finding => ({
    state,
    sentence,
    freePercent,
    freeBytes,
  });
  const filters = filtersOn(path, mounts);
  try {
    const { bavail, blocks, bsize } = await statfs(path);
    freeBytes = bavail * bsize;
    freePercent = blocks === 0 ? 100 : Math.round((bavail / blocks) * 1000) / 10;
  } catch (failure) {
    return finding('failed', `${path} cannot be looked at: ${messageOf(failure)}`);
  }
  const beneath = mountUnder(mounts, path, (mount) => filters.has(mount));
  if (beneath !== undefined && isReadOnly(beneath)) {
    const where = beneath.mountPoint === path ? '' : ` (${beneath.mountPoint})`;
    return finding('failed', `the file system of ${path}${where} is read-only`);
  }
  if (given.writeTest) {
    const why = await writeTest(path);
    if (why !== undefined) return finding('failed', `${path} cannot be written: ${why}`);
  }
  const free = `${path} has ${freePercent} % free (${formatBytes(freeBytes)})`;
  if (given.failFreePercent > 0 && freePercent <= given.failFreePercent) {
    return finding('failed', `${free}, the least is ${given.failFreePercent} %`);
  }
  if (freePercent < given.warnFreePercent) {
    return finding('degraded', `${free}, below ${given.warnFreePercent} %`);
  }
  return finding('ok', free);
}

/** A filter that is mounted over it, and what a standby left below that. */
function filtersOn(path: string, mounts: readonly MountEntry[]): Set<MountEntry> {
  const ours = leftoverMounts(mounts, path);
  return new Set(ours[0] !== undefined && isFilterMount(ours[0]) ? ours : []);
}

async function writeTest(directory: string): Promise<string | undefined> {
  const file = join(directory, `.understudy-probe-${randomBytes(4).toString('hex')}`);
  try {
    const handle = await open(file, 'wx', 0o600);
    try {
      await handle.writeFile('probe\n');
      await handle.sync();
    } finally {
      await handle.close();
    }
    return undefined;
  } catch (failure) {
    return messageOf(failure);
  } finally {
    await rm(file, { force: true }).catch(() => undefined);
  }
}
