// What a node has kept aside of its own data when another one's replaced it (mirror/salvage/): listed,
// shown, taken out, removed. Of this node only, whatever its role is by now.
import { mkdirSync, readdirSync } from 'node:fs';
import { UnderstudyError } from '../core/errors.ts';
import { isWithin } from '../linux/mount-table.ts';
import { startThread } from '../linux/threads.ts';
import type { SalvageReport, SalvageSummary } from '../mirror/salvage/salvage-report.ts';
import type { CloneTreeData, CloneTreeMessage } from '../mirror/salvage/clone-tree-worker.ts';
import type { NodeService } from './node-service.ts';

/** Paths told at once: an answer has a limit. */
const ENTRIES_TOLD_MAX = 500;
const RANGES_TOLD_MAX = 16;

export type SalvageListItem =
  | SalvageSummary
  /** Its report cannot be read. */
  | { readonly name: string; readonly fault: string };

export interface SalvageShown extends SalvageReport {
  /** Where it is on this node. */
  readonly path: string;
}

/** The newest first. Errors: GROUP_UNKNOWN. */
export function listSalvages(service: NodeService, group: string): SalvageListItem[] {
  const { salvages } = service.group(group);
  return salvages.names.map((name) => {
    try {
      const { entries: _, ...summary } = salvages.read(name);
      return summary;
    } catch (thrown) {
      const fault = thrown instanceof UnderstudyError ? thrown.message : String(thrown);
      return { name, fault };
    }
  });
}

/** Errors: SALVAGE_UNKNOWN, SALVAGE_DAMAGED. */
export function showSalvage(service: NodeService, group: string, name: string): SalvageShown {
  const { salvages } = service.group(group);
  const report = salvages.read(name);
  const entries = report.entries.slice(0, ENTRIES_TOLD_MAX).map((entry) => ({
    ...entry,
    ranges: entry.ranges.slice(0, RANGES_TOLD_MAX),
    hasMoreRanges: entry.hasMoreRanges || entry.ranges.length > RANGES_TOLD_MAX,
  }));
  const notListed = report.notListed + report.entries.length - entries.length;
  return { ...report, entries, notListed, path: salvages.path(name) };
}

/**
 * Copies a salvage to an empty directory: files with owners, modes, times and holes as they were.
 * Errors: SALVAGE_UNKNOWN, SALVAGE_TARGET_INVALID, CLONE_FAILED.
 */
export async function exportSalvage(
  service: NodeService,
  group: string,
  { name, to }: { name: string; to: string },
): Promise<{ name: string; to: string }> {
  const { salvages, definition } = service.group(group);
  const from = salvages.path(name);
  for (const { dir } of definition.directories) {
    if (isWithin(to, dir)) throw invalid(to, `it is within the protected directory ${dir}`);
  }
  // A salvage within itself would be copied without an end.
  const own = service
    .occupied()
    .find(({ dir, kind }) => kind === 'understudy' && isWithin(to, dir));
  if (own !== undefined) throw invalid(to, `it is within ${own.owner} (${own.dir})`);
  try {
    mkdirSync(to, { recursive: true, mode: 0o700 });
    if (readdirSync(to).length > 0) throw invalid(to, 'it is not empty');
  } catch (thrown) {
    if (thrown instanceof UnderstudyError) throw thrown;
    throw invalid(to, String(thrown));
  }
  await cloneTree({ from, to });
  return { name, to };
}

function invalid(to: string, why: string): UnderstudyError {
  const message = `${to} cannot be used: ${why}; name a directory that is empty or not there`;
  return new UnderstudyError('SALVAGE_TARGET_INVALID', message);
}

async function cloneTree(workerData: CloneTreeData): Promise<void> {
  const url = new URL('../mirror/salvage/clone-tree-worker.ts', import.meta.url);
  const worker = startThread(url, { workerData, name: 'salvage' });
  const message = await new Promise<CloneTreeMessage>((resolve, reject) => {
    worker.once('message', resolve);
    worker.once('error', reject);
    worker.once('exit', (code) => reject(new Error(`the copying thread ended (${code})`)));
  });
  if (message.type === 'failed') throw UnderstudyError.from(message.error);
}

/** For good. Errors: SALVAGE_UNKNOWN. */
export function removeSalvage(service: NodeService, group: string, name: string): { name: string } {
  const runtime = service.group(group);
  runtime.salvages.remove(name);
  const message = `salvage "${name}" of group ${group} was removed by hand`;
  runtime.emit('info', 'SALVAGE_REMOVED', message, { name });
  return { name };
}
