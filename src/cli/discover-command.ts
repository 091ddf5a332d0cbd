// understudy discover: which applications this node has, each with a group that would protect it.
import type { Command } from 'commander';
import { stringify } from 'yaml';
import type { Proposal, ProposedGroup } from '../agents/discovery/proposal.ts';
import { UnderstudyError } from '../core/errors.ts';
import { livingProcess } from '../agents/sdk/process-table.ts';
import { withPool } from './agent-pool.ts';
import { print } from './output.ts';

const STOP_TIMEOUT_MS = 60_000;

export function addDiscoverCommand(program: Command): void {
  program
    .command('discover')
    .description('find databases and services of this node, and propose a group for each')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: { json?: boolean }) => {
      print(json, await proposals(), discoveryText);
    });
}

/** Loaded only here: it brings the databases' drivers with it, and the service loads all commands. */
async function proposals(): Promise<readonly Proposal[]> {
  const { discover } = await import('../agents/discovery/discover.ts');
  return discover();
}

/**
 * The group that discovery proposes under that name. What runs has its files open already: it is stopped by
 * its proposed agents when `stopRunning`. Errors: DISCOVERY_UNKNOWN, DISCOVERY_RUNS.
 */
export async function discoveredGroup(name: string, stopRunning: boolean): Promise<ProposedGroup> {
  const all = await proposals();
  const found = all.find(({ group }) => group.name === name);
  if (found === undefined) {
    const names = all.map(({ group }) => group.name).join(', ');
    throw new UnderstudyError(
      'DISCOVERY_UNKNOWN',
      `discovery proposes no group "${name}" on this node (it proposes: ${names || 'none'}): see "understudy discover"`,
    );
  }
  if (!found.isRunning) return found.group;
  const running = `${found.title} (process ${found.pid ?? '?'}) runs and has files open in ${found.group.paths.map(({ dir }) => dir).join(', ')}`;
  if (!stopRunning) {
    throw new UnderstudyError(
      'DISCOVERY_RUNS',
      `${running}: stop it first, or add --stop-running; the group starts it again`,
    );
  }
  const failure = await stopProposed(found.group);
  if (failure === undefined && !isAlive(found.pid)) return found.group;
  throw new UnderstudyError(
    'DISCOVERY_RUNS',
    `${running} and could not be stopped by its agent: ${failure ?? 'it still runs'}. Stop it as it was started`,
  );
}

/** Stops the application through the agents that would keep it; why that failed, or undefined. */
async function stopProposed(group: ProposedGroup): Promise<string | undefined> {
  return await withPool({}, async (pool) => {
    for (const [index, { use, ...parameters }] of [...group.agents.entries()].toReversed()) {
      const agent = { use, name: `${use}-${index}`, parameters };
      const outcome = await pool.invoke(agent, 'stop', {
        role: 'primary',
        directories: group.paths.map(({ dir }) => dir),
        addresses: [],
        timeoutMs: STOP_TIMEOUT_MS,
        signal: new AbortController().signal,
      });
      if (outcome.kind !== 'done') return outcome.why;
    }
    return undefined;
  });
}

function isAlive(pid: number | null): boolean {
  return pid !== null && livingProcess(pid) !== undefined;
}

export function discoveryText(found: readonly Proposal[]): string {
  if (found.length === 0) {
    return 'nothing was found that listens and keeps data: write the group by hand (docs/agents.md)';
  }
  const parts = found.map(({ title, found: what, notes, group }) =>
    [
      `# ${title}: ${what}`,
      ...notes.map((note) => `#   note: ${note}`),
      `#   understudy group create --from-discovery ${group.name}`,
      stringify(group).trimEnd(),
      '# addresses: [{ ip: 192.0.2.10/24, interface: eth0 }]',
      '# failover: { automatic: true, arbiter: gateway }',
    ].join('\n'),
  );
  return parts.join('\n---\n');
}
