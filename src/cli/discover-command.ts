// understudy discover: which applications this node has, each with a group that would protect it.
import type { Command } from 'commander';
import { stringify } from 'yaml';
import { discover } from '../agents/discovery/discover.ts';
import type { Proposal, ProposedGroup } from '../agents/discovery/proposal.ts';
import { UnderstudyError } from '../core/errors.ts';
import { print } from './output.ts';

export function addDiscoverCommand(program: Command): void {
  program
    .command('discover')
    .description('find databases and services of this node, and propose a group for each')
    .option('--json', 'print JSON')
    .action(({ json = false }: { json?: boolean }) => {
      print(json, discover(), discoveryText);
    });
}

/** The group that discovery proposes under that name. Errors: DISCOVERY_UNKNOWN. */
export function discoveredGroup(name: string): ProposedGroup {
  const proposals = discover();
  const found = proposals.find(({ group }) => group.name === name);
  if (found !== undefined) return found.group;
  const names = proposals.map(({ group }) => group.name).join(', ');
  throw new UnderstudyError(
    'DISCOVERY_UNKNOWN',
    `discovery proposes no group "${name}" on this node (it proposes: ${names || 'none'}): see "understudy discover"`,
  );
}

export function discoveryText(proposals: readonly Proposal[]): string {
  if (proposals.length === 0) {
    return 'nothing was found that listens and keeps data: write the group by hand (docs/agents.md)';
  }
  const parts = proposals.map(({ title, found, notes, group }) =>
    [
      `# ${title}: ${found}`,
      ...notes.map((note) => `#   note: ${note}`),
      `#   understudy group create --from-discovery ${group.name}`,
      stringify(group).trimEnd(),
      '# addresses: [{ ip: 192.0.2.10/24, interface: eth0 }]',
      '# failover: { automatic: true, arbiter: gateway }',
    ].join('\n'),
  );
  return parts.join('\n---\n');
}
