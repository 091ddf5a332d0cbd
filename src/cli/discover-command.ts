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
    .argument('[name]', 'only the group of that name')
    .option('--json', 'print JSON')
    .action(async (name: string | undefined, { json = false }: { json?: boolean }) => {
      const found = name === undefined ? await proposals() : [await discovered(name)];
      print(json, found, discoveryText);
    });
}

/** Loaded only here: it brings the databases' drivers with it, and the service loads all commands. */
async function proposals(): Promise<readonly Proposal[]> {
  const { discover } = await import('../agents/discovery/discover.ts');
  return discover();
}

/** What discovery proposes under that name. Errors: DISCOVERY_UNKNOWN. */
export async function discovered(name: string): Promise<Proposal> {
  const all = await proposals();
  const found = all.find(({ group }) => group.name === name);
  if (found !== undefined) return found;
  const names = all.map(({ group }) => group.name).join(', ');
  throw new UnderstudyError(
    'DISCOVERY_UNKNOWN',
    `discovery proposes no group "${name}" on this node (it proposes: ${names || 'none'}): see "understudy discover"`,
  );
}

/**
 * Creates a group out of what was discovered. What runs has its files open already: its proposed agents stop it when
 * `stopRunning`, but only after `check` found nothing else in the way, so that no slip of the pen costs an
 * outage. Errors: DISCOVERY_RUNS, those of `check` and `create`.
 */
export async function createStopped<T>(
  found: Proposal,
  stopRunning: boolean,
  { check, create }: { check: () => Promise<unknown>; create: () => Promise<T> },
): Promise<T> {
  if (!found.isRunning) return create();
  try {
    await check();
  } catch (thrown) {
    refuseButForItself(found, thrown);
  }
  await stopFound(found, stopRunning);
  try {
    return await create();
  } catch (thrown) {
    if (!(thrown instanceof UnderstudyError)) throw thrown;
    const { code, message, details } = thrown;
    const stopped = `${found.title} was stopped for this and does not run now: start it as it was started before`;
    throw new UnderstudyError(code, `${message}. ${stopped}`, { details, cause: thrown });
  }
}

/** That the application uses its own directories is the one refusal that stopping it answers. */
function refuseButForItself({ title, pid }: Proposal, thrown: unknown): void {
  if (!(thrown instanceof UnderstudyError) || thrown.code !== 'DIRECTORY_BUSY') throw thrown;
  const { dir = 'a directory', processes } = thrown.details;
  if (!Array.isArray(processes)) return;
  const others = (processes as readonly string[]).filter(
    (one) => !isOf(pid, Number.parseInt(one, 10)),
  );
  if (others.length === 0) return;
  throw new UnderstudyError(
    'DIRECTORY_BUSY',
    `${dir} is in use by others than ${title} (${others.slice(0, 5).join('; ')}): stop them and try again`,
    { details: { dir, processes: others } },
  );
}

/** Whether `pid` is the process `application` or was started by it. */
function isOf(application: number | null, pid: number): boolean {
  for (let at = pid; at > 1; at = livingProcess(at)?.parent ?? 0) {
    if (at === application) return true;
  }
  return false;
}

/** Errors: DISCOVERY_RUNS. */
async function stopFound({ title, pid, group }: Proposal, stopRunning: boolean): Promise<void> {
  const running = `${title} (process ${pid ?? '?'}) runs and has files open in ${group.paths.map(({ dir }) => dir).join(', ')}`;
  if (!stopRunning) {
    throw new UnderstudyError(
      'DISCOVERY_RUNS',
      `${running}: add --stop-running, and the group starts it again. Or stop it yourself: ${keepFirst(group)}`,
    );
  }
  const failure = await stopProposed(group);
  if (failure === undefined && !isAlive(pid)) return;
  throw new UnderstudyError(
    'DISCOVERY_RUNS',
    `${running} and could not be stopped by its agent: ${failure ?? 'it still runs'}. Stop it as it was started: ${keepFirst(group)}`,
  );
}

/** What is stopped is found no more, unless it is a database in its usual place. */
function keepFirst({ name }: ProposedGroup): string {
  return `first "understudy discover ${name} > ${name}.yaml", which finds it only while it runs, then "understudy group create --file ${name}.yaml"`;
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
