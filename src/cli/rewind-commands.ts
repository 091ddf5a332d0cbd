// Commands about earlier states of a copy: rewind list|mark|browse|restore.
import { resolve } from 'node:path';
import type { Command } from 'commander';
import type { RewindList, RewindState, RewindWish } from '../mirror/rewind.ts';
import type { Outcome } from '../service/node-protocol.ts';
import type { Marked } from '../service/rewind.ts';
import { parseRewindWish } from '../service/rewind-wish.ts';
import { callApi, runOperation, segment } from './admin.ts';
import { exitCode, print, table, warn } from './output.ts';

interface Json {
  readonly json?: boolean;
}

export function addRewindCommands(program: Command): void {
  const rewind = program
    .command('rewind')
    .description('earlier states of the copy: look at them, or go back to one');
  rewind
    .command('list')
    .description('show which moments can be reached, and bookmarks')
    .argument('<group>')
    .option('--json', 'print JSON')
    .action(async (group: string, { json = false }: Json) => {
      print(json, await callApi<RewindList>({ method: 'GET', path: pathOf(group) }), listText);
    });
  rewind
    .command('mark')
    .description('give a name to the present moment')
    .argument('<group>')
    .argument('<name>')
    .option('--quiesce', 'the agents bring their data to a state worth it before')
    .option('--json', 'print JSON')
    .action(async (group: string, name: string, options: Json & { quiesce?: boolean }) => {
      const { quiesce = false, json = false } = options;
      const marked = await runOperation<Marked>({
        method: 'POST',
        path: `${pathOf(group)}/marks`,
        body: { name, quiesce },
      });
      print(json, marked, markText);
    });
  addBrowse(rewind);
  addRestore(rewind);
}

function addBrowse(rewind: Command): void {
  rewind
    .command('browse')
    .description('make a directory with the data as of a moment; the group goes on')
    .argument('<group>')
    .requiredOption('--at <moment>', 'time, bookmark or record number')
    .requiredOption('--to <dir>', 'empty directory on this node, best on the disk of the copy')
    .option('--json', 'print JSON')
    .action(async (group: string, options: Json & { at: string; to: string }) => {
      const to = resolve(options.to);
      const state = await runOperation<RewindState>({
        method: 'POST',
        path: `${pathOf(group)}/browse`,
        body: { wish: wishOf(options.at), to },
      });
      print(options.json ?? false, { ...state, to }, () => `${to} is as of ${stateText(state)}`);
    });
}

function addRestore(rewind: Command): void {
  rewind
    .command('restore')
    .description('make this node the primary with the data as of a moment')
    .argument('<group>')
    .requiredOption('--at <moment>', 'time, bookmark or record number')
    .option('--force', 'everything written after that moment is given up')
    .option('--json', 'print JSON')
    .action(async (group: string, options: Json & { at: string; force?: boolean }) => {
      const { force = false, json = false } = options;
      const outcome = await runOperation<Outcome & { state: RewindState }>({
        method: 'POST',
        path: `${pathOf(group)}/restore`,
        body: { wish: wishOf(options.at), force },
      });
      const { state, epoch, warnings } = outcome;
      const sentence = `this node is the primary of group "${group}" (epoch ${epoch}), as of ${stateText(state)}`;
      print(json, outcome, () => sentence);
      warn(json, warnings);
      if (warnings.length > 0) process.exitCode = exitCode.failed;
    });
}

const pathOf = (group: string): string => `/groups/${segment(group)}/rewind`;

const wishOf = (at: string): RewindWish => parseRewindWish(at, new Date());

export function stateText({ sequence, at }: RewindState): string {
  return at === null
    ? `record ${sequence}, of a time that is not known`
    : `${at} (record ${sequence})`;
}

function markText({ name, sequence, at, exact }: Marked): string {
  const what = `bookmark "${name}" is record ${sequence}, ${at}`;
  return exact ? what : `${what}; the primary did not answer, so this is what the copy has of it`;
}

/** For people. */
export function listText({ from, to, bookmarks }: RewindList): string {
  if (from === null || to === null) return 'nothing is kept: no earlier moment can be reached';
  const range = `reaches from ${stateText(from)} to ${stateText(to)}`;
  if (bookmarks.length === 0) return range;
  const rows = bookmarks.map(({ name, sequence, at, kept }) => [
    name,
    String(sequence),
    at ?? '',
    kept ? 'yes' : 'too old',
  ]);
  return `${range}\n\n${table([['bookmark', 'record', 'made at', 'reached'], ...rows])}`;
}
