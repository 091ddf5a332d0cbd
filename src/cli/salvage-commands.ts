// Commands about what this node had alone and kept aside: salvage list|show|export|remove.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { UnderstudyError } from '../core/errors.ts';
import { formatBytes } from '../core/units.ts';
import type { SalvageEntry } from '../mirror/salvage/salvage-report.ts';
import type { SalvageListItem, SalvageShown } from '../service/salvage.ts';
import { callApi, runOperation, segment } from './admin.ts';
import { print, printable, table } from './output.ts';

const RANGES_MAX = 4;

interface Json {
  readonly json?: boolean;
}

export function addSalvageCommands(program: Command): void {
  const salvage = program
    .command('salvage')
    .description('what only this node had when the other one replaced it');
  salvage
    .command('list')
    .description('show what is kept on this node')
    .argument('<group>')
    .option('--json', 'print JSON')
    .action(async (group: string, { json = false }: Json) => {
      print(json, await listOf(group), listText);
    });
  salvage
    .command('show')
    .description('show which files, and where they differ')
    .argument('<group>')
    .argument('[name]', 'default: the newest')
    .option('--json', 'print JSON')
    .action(async (group: string, name: string | undefined, { json = false }: Json) => {
      const path = await pathOf(group, name);
      print(json, await callApi<SalvageShown>({ method: 'GET', path }), showText);
    });
  salvage
    .command('export')
    .description('copy what is kept to a directory')
    .argument('<group>')
    .argument('[name]', 'default: the newest')
    .requiredOption('--to <dir>', 'empty directory on this node')
    .option('--json', 'print JSON')
    .action(async (group: string, name: string | undefined, options: Json & { to: string }) => {
      const done = await runOperation<{ name: string; to: string }>({
        method: 'POST',
        path: `${await pathOf(group, name)}/export`,
        body: { to: resolve(options.to) },
      });
      print(options.json ?? false, done, (value) => `${value.name} is in ${value.to}`);
    });
  salvage
    .command('remove')
    .description('remove what is kept, for good')
    .argument('<group>')
    .argument('<name>')
    .option('--json', 'print JSON')
    .action(async (group: string, name: string, { json = false }: Json) => {
      const path = await pathOf(group, name);
      const done = await callApi<{ name: string }>({ method: 'DELETE', path });
      print(json, done, (value) => `${value.name} is removed`);
    });
}

async function listOf(group: string): Promise<SalvageListItem[]> {
  return callApi({ method: 'GET', path: `/groups/${segment(group)}/salvages` });
}

/** Of the newest, when there is no name. */
async function pathOf(group: string, name: string | undefined): Promise<string> {
  const chosen = name ?? (await listOf(group))[0]?.name;
  if (chosen !== undefined) return `/groups/${segment(group)}/salvages/${segment(chosen)}`;
  throw new UnderstudyError(
    'SALVAGE_UNKNOWN',
    `this node has kept nothing aside of group ${group}: what a node had alone is kept on that node`,
  );
}

/** For people. */
export function listText(list: readonly SalvageListItem[]): string {
  if (list.length === 0) return 'this node has kept nothing aside';
  const rows = list.map((item) => {
    if ('fault' in item) return [item.name, '-', '-', '-', item.fault];
    const { counts } = item;
    const kept = counts.none === 0 ? 'yes' : `all but ${counts.none}`;
    return [item.name, item.at, String(counts.paths), formatBytes(counts.changedBytes), kept];
  });
  return table([['NAME', 'REPLACED AT', 'PATHS', 'DIFFERED', 'KEPT'], ...rows]);
}

export function showText(shown: SalvageShown): string {
  const { name, group, at, epoch, since, counts, entries, notListed, path } = shown;
  const lines = [
    `${name}: what this node had of group ${group} and the primary of epoch ${epoch} replaced at ${at}`,
    since === null
      ? 'everything that differed is here, also what only was older here'
      : `what this node changed after ${since} is here; what both nodes had before that is not`,
    `${counts.paths} paths, ${formatBytes(counts.changedBytes)} differed: ${counts.whole} whole, ${counts.ranges} in part, ${counts.attributes} attributes only, ${counts.none} not kept`,
    `files: ${path}/files${counts.ranges === 0 ? '' : `, parts: ${path}/ranges`}`,
    '',
    table([['PATH', 'HOW', 'KEPT', 'SIZE HERE', 'SIZE THERE', 'DIFFERED'], ...entries.map(row)]),
  ];
  if (notListed > 0) lines.push(`… and ${notListed} more, see ${path}/report.json`);
  return lines.join('\n');
}

function row({ path, kind, kept, own, other, ranges, hasMoreRanges }: SalvageEntry): string[] {
  const shown = ranges.slice(0, RANGES_MAX).map(([from, to]) => `${from}-${to}`);
  const more = hasMoreRanges || ranges.length > RANGES_MAX ? ' …' : '';
  const there = other === null ? '-' : String(other.size);
  return [printable(path), kind, kept, String(own.size), there, `${shown.join(' ')}${more}`];
}
