// The command `limit`: how much of the line replication may use, of one group or of all groups of this node.
import type { Command } from 'commander';
import { UnderstudyError } from '../core/errors.ts';
import { formatRate } from '../core/units.ts';
import type { ApiCall } from '../service/admin-api/client.ts';
import { windowFromText } from '../service/bandwidth-input.ts';
import type { LimitView, NodeLimitView } from '../service/limits.ts';
import { callApi, segment } from './admin.ts';
import { print } from './output.ts';

interface LimitOptions {
  readonly node?: boolean;
  readonly schedule?: readonly string[];
  readonly json?: boolean;
}

export function addLimitCommands(program: Command): void {
  program
    .command('limit')
    .description('show or change how much bandwidth replication may use; no restart')
    .argument('[group]')
    .argument('[rate...]', 'for example 50Mbit/s, or "unlimited"; without it, show the limit')
    .option(
      '--node',
      'the limit that all groups of this node share: understudy limit --node 100Mbit/s',
    )
    .option(
      '--schedule <window>',
      'another limit at certain times, for example "mon-fri 08:00-18:00 20Mbit/s" (may be repeated)',
      (value: string, before: readonly string[] = []) => [...before, value],
    )
    .option('--json', 'print JSON')
    .action(limit);
}

async function limit(
  first: string | undefined,
  rest: readonly string[],
  { node = false, schedule, json = false }: LimitOptions,
  command: Command,
): Promise<void> {
  // `500 kbit/s` are two words for a shell.
  const words = node ? [...(first === undefined ? [] : [first]), ...rest] : rest;
  const rate = words.length === 0 ? undefined : words.join(' ');
  if (!node && first === undefined) {
    const usage = '"understudy limit GROUP [RATE]" or "understudy limit --node [RATE]"';
    command.error(`error: write ${usage}`);
  }
  const input = inputFrom(rate, schedule);
  const path = node ? '/node/limit' : `/groups/${segment(first ?? '')}/limit`;
  const call: ApiCall =
    input === undefined
      ? { method: 'GET', path }
      : { method: 'PUT', path, body: { bandwidth: input } };
  if (node) print(json, await callApi<NodeLimitView>(call), nodeLimitText);
  else print(json, await callApi<LimitView>(call), limitText);
}

function inputFrom(rate: string | undefined, schedule: readonly string[] | undefined): unknown {
  if (schedule === undefined) return rate;
  if (rate !== undefined) return { default: rate, schedule: schedule.map(windowFromText) };
  throw new UnderstudyError(
    'BANDWIDTH_INVALID',
    'a schedule needs the limit that holds outside of it: write for example "understudy limit shop unlimited --schedule …"',
  );
}

function setText(lines: readonly string[]): string[] {
  return lines.map((line, index) => `${index === 0 ? 'limit:' : '      '} ${line}`);
}

export function nodeLimitText({ node, lines, rate, shares }: NodeLimitView): string {
  const now = rate === null ? 'unlimited now' : `${formatRate(rate)} now`;
  const groups = shares.map(
    ({ group, share, sent }) => `  ${group}: ${formatRate(share)} (sends ${formatRate(sent)} now)`,
  );
  return [
    ...setText(lines),
    `node ${node}: ${now}, shared by the groups it is primary of`,
    ...groups,
  ].join('\n');
}

export function limitText(view: LimitView): string {
  const lines = setText(view.lines);
  if (view.inForce === null)
    return [...lines, 'no primary answers: it takes this over when it runs'].join('\n');
  const { node, why } = view.inForce;
  const now =
    view.wireBytesPerSecond === null ? '' : ` (sends ${formatRate(view.wireBytesPerSecond)} now)`;
  const late = view.isTaken ? '' : '; the new limit holds there within some seconds';
  return [...lines, `in force on node ${node}: ${why}${now}${late}`].join('\n');
}
