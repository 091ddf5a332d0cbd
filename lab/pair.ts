// Two hosts of a lab as a pair of nodes, by the command line, as an operator would do it.
import { UnderstudyError } from '../src/core/errors.ts';
import type { LabHost } from './host.ts';
import type { Lab } from './lab.ts';
import { askGroup, askStatus, type GroupSummary } from './node-admin.ts';
import { waitUntil } from './run.ts';

const DAEMON_TIMEOUT_MS = 20_000;

/** Runs `understudy … --json` on a host and returns what it printed. */
export async function understudy(
  host: LabHost,
  argv: readonly string[],
  options: { timeoutMs?: number; input?: string; acceptWarnings?: boolean } = {},
): Promise<unknown> {
  const { acceptWarnings = false, ...rest } = options;
  const result = await host.exec(['understudy', ...argv, '--json'], rest);
  const wasDone = result.code === 0 || (acceptWarnings && result.stdout.includes('"warnings"'));
  if (wasDone) return JSON.parse(result.stdout) as unknown;
  const said = [result.stderr.trim(), result.stdout.trim()].filter((text) => text !== '');
  throw new UnderstudyError(
    'LAB_UNDERSTUDY_FAILED',
    `on ${host.name}: "understudy ${argv.join(' ')}" failed (${result.code ?? 'no end in time'}): ${said.join('; ')}`,
  );
}

/** Makes two hosts nodes that trust each other. */
export async function pairNodes(
  lab: Lab,
  names: readonly [string, string] = ['a', 'b'],
): Promise<void> {
  const [first, second] = [lab.host(names[0]), lab.host(names[1])];
  await makeNodes([first, second]);
  const { token } = (await understudy(first, ['invite'])) as { token: string };
  await understudy(second, ['join', token]);
}

/** Makes hosts nodes that know nobody yet. */
export async function makeNodes(hosts: readonly LabHost[]): Promise<void> {
  for (const host of hosts) {
    await understudy(host, [
      'init',
      '--name',
      host.name,
      '--address',
      host.address('lan'),
      '--replication-address',
      host.address('sync'),
    ]);
  }
  for (const host of hosts) await waitForDaemon(host);
}

/** Waits until the service of a node answers. */
export async function waitForDaemon(host: LabHost): Promise<void> {
  const answers = async (): Promise<boolean> => (await askStatus(host)) !== undefined;
  if (await waitUntil(answers, DAEMON_TIMEOUT_MS, 100)) return;
  throw new UnderstudyError(
    'LAB_DAEMON_SILENT',
    `understudyd on ${host.name} does not answer: see ${host.logDirectory}/understudyd.log`,
  );
}

/** Waits until the standby has a complete copy and follows the primary. */
export async function waitForCopy(
  primary: LabHost,
  name: string,
  timeoutMs: number,
): Promise<GroupSummary> {
  let last: GroupSummary | undefined;
  const isComplete = async (): Promise<boolean> => {
    last = await askGroup(primary, name);
    return last?.copy === 'up-to-date' && last.link === 'connected' && !last.alone;
  };
  if ((await waitUntil(isComplete, timeoutMs, 100)) && last !== undefined) return last;
  throw new UnderstudyError(
    'LAB_COPY_INCOMPLETE',
    `the copy of group "${name}" is not complete in time: copy ${last?.copy}, link ${last?.link}` +
      ` (${last?.linkReason ?? 'no reason given'}), alone ${last?.alone}`,
  );
}
