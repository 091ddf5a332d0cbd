// The command `limit`: how much of the line a group's replication may use.
import type { Command } from 'commander';
import { UnderstudyError } from '../core/errors.ts';
import { formatRate } from '../core/units.ts';
import { windowFromText } from '../service/bandwidth-input.ts';
import type { LimitView } from '../service/limits.ts';
import { callAdmin } from './admin.ts';
import { print } from './output.ts';

interface LimitOptions {
  readonly schedule?: readonly string[];
  readonly json?: boolean;
}

export function addLimitCommands(program: Command): void {
  program
    .command('limit')
    .description('show or change how much bandwidth replication may use; no restart')
    .argument('<group>')
    .argument('[rate]', 'for example 50Mbit/s, or "unlimited"; without it, show the limit')
    .option(
      '--schedule <window>',
      'another limit at certain times, for example "mon-fri 08:00-18:00 20Mbit/s" (may be repeated)',
      (value: string, before: readonly string[] = []) => [...before, value],
    )
    .option('--json', 'print JSON')
    .action(limit);
}

async function limit(
  group: string,
  rate: string | undefined,
  { schedule, json = false }: LimitOptions,
): Promise<void> {
  const input = inputFrom(rate, schedule);
  const params = { group, ...(input === undefined ? {} : { bandwidth: input }) };
  print(json, await callAdmin<LimitView>('limit', params), limitText);
}

function inputFrom(rate: string | undefined, schedule: readonly string[] | undefined): unknown {
  if (schedule === undefined) return rate;
  if (rate !== undefined) return { default: rate, schedule: schedule.map(windowFromText) };
  throw new UnderstudyError(
    'BANDWIDTH_INVALID',
    'a schedule needs the limit that holds outside of it: write for example "understudy limit shop unlimited --schedule …"',
  );
}

export function limitText(view: LimitView): string {
  const lines = view.lines.map((line, index) =>
    index === 0 ? `limit: ${line}` : `       ${line}`,
  );
  if (view.inForce === null)
    return [...lines, 'no primary answers: it takes this over when it runs'].join('\n');
  const { node, why } = view.inForce;
  const now =
    view.wireBytesPerSecond === null ? '' : ` (sends ${formatRate(view.wireBytesPerSecond)} now)`;
  const late = view.isTaken ? '' : '; the new limit holds there within some seconds';
  return [...lines, `in force on node ${node}: ${why}${now}${late}`].join('\n');
}
