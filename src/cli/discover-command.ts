// understudy discover: which applications this node has, each with a group that would protect it.
import type { Command } from 'commander';
import { stringify } from 'yaml';
import type { Proposal, ProposedGroup } from '../agents/discovery/proposal.ts';
import { UnderstudyError } from '../core/errors.ts';
import { print } from './output.ts';

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

/** The group that discovery proposes under that name. Errors: DISCOVERY_UNKNOWN. */
export async function discoveredGroup(name: string): Promise<ProposedGroup> {
  const all = await proposals();
  const found = all.find(({ group }) => group.name === name);
  if (found !== undefined) return found.group;
  const names = all.map(({ group }) => group.name).join(', ');
  throw new UnderstudyError(
    'DISCOVERY_UNKNOWN',
    `discovery proposes no group "${name}" on this node (it proposes: ${names || 'none'}): see "understudy discover"`,
  );
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
