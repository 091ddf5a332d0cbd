// Commands about groups: group create|list|show|delete, switchover, takeover, yield.
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type Command, Option } from 'commander';
import { UnderstudyError } from '../core/errors.ts';
import type { ProposedGroup } from '../agents/discovery/proposal.ts';
import type { GroupDefinition } from '../service/group-definition.ts';
import { readGroupFile } from './read-yaml.ts';
import type { Outcome } from '../service/node-protocol.ts';
import type { Accepted } from '../service/safety-accept.ts';
import type { GroupStatus, ServiceStatus } from '../service/status.ts';
import { callApi, runOperation, segment } from './admin.ts';
import { addEditCommand } from './edit-command.ts';
import { createStopped, discovered } from './discover-command.ts';
import { exitCode, print, warn } from './output.ts';
import { groupsText, scanText } from './status-text.ts';

const WAIT_INTERVAL_MS = 500;
/** Agents are asked on both nodes. */
const CHECK_TIMEOUT_MS = 120_000;

interface Json {
  readonly json?: boolean;
}

interface CreateOptions extends Json {
  readonly file?: string;
  readonly fromDiscovery?: string;
  readonly stopRunning?: boolean;
  readonly name?: string;
  readonly dir?: readonly string[];
  readonly standbyDir?: readonly string[];
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly mode?: string;
  readonly peer?: string;
  readonly seed?: boolean;
  readonly wait?: boolean;
  readonly allowEmptyMatch?: boolean;
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

export function addGroupCommands(program: Command): void {
  const group = program
    .command('group')
    .description('create, show, change and delete protection groups');
  addCreate(group);
  group
    .command('list')
    .description('show all groups')
    .option('--json', 'print JSON')
    .action(async ({ json = false }: Json) => {
      print(json, await callApi<GroupStatus[]>({ method: 'GET', path: '/groups' }), groupsText);
    });
  group
    .command('show')
    .description('show all about one group')
    .argument('<group>')
    .option('--json', 'print JSON')
    .action(async (name: string, { json = false }: Json) => {
      const shown = await callApi({ method: 'GET', path: `/groups/${segment(name)}` });
      print(json, shown, (value) => JSON.stringify(value, null, 2));
    });
  addEditCommand(group);
  group
    .command('delete')
    .description('end the protection; the data stays on both nodes')
    .argument('<group>')
    .option('--force', 'also when the other node does not answer')
    .option('--json', 'print JSON')
    .action(async (name: string, { json = false, force = false }: Json & { force?: boolean }) => {
      const path = `/groups/${segment(name)}`;
      await runOperation({ method: 'DELETE', path, query: { force } });
      print(json, { deleted: name }, () => `group "${name}" is deleted; its data is where it was`);
    });
  addRoleCommands(program);
}

function addCreate(group: Command): void {
  group
    .command('create')
    .description('protect directories of this node')
    .option('--file <yaml>', 'the group as YAML ("-" reads standard input)')
    .option('--from-discovery <name>', 'a group that "understudy discover" proposes')
    .option('--stop-running', 'stop what discovery found first; the group starts it again')
    .option('--name <name>', 'name of the group')
    .option('--dir <path>', 'directory to protect (may be repeated)', collect)
    .option('--standby-dir <path>', 'the same directory on the other node, if elsewhere', collect)
    .option('--include <pattern>', 'only files that match (may be repeated)', collect)
    .option('--exclude <pattern>', 'not what matches (may be repeated)', collect)
    .addOption(
      new Option('--mode <mode>', 'what a commit waits for').choices(['sync', 'memory', 'async']),
    )
    .option('--peer <node>', 'name of the other node')
    .option('--seed', 'use data that is on the other node already as a base')
    .option('--allow-empty-match', 'accept include patterns that match nothing yet')
    .option('--wait', 'wait until the copy is complete')
    .option('--json', 'print JSON')
    .action(create);
}

/** Commands to the machine of a managed group that take nothing but its name. */
const SIMPLE_COMMANDS = [
  ['pause', 'begin maintenance: nothing moves or restarts by itself until "resume"', 'paused'],
  ['resume', 'end maintenance', 'no longer paused'],
  [
    'clear-failures',
    'let an application be tried again here that failed too often',
    'its failures are forgotten',
  ],
] as const;

function addRoleCommands(program: Command): void {
  program
    .command('switchover')
    .description('make the other node the primary; nothing is lost')
    .argument('<group>')
    .option('--to <node>', 'the node that is to be primary')
    .option('--json', 'print JSON')
    .action(async (name: string, { to, json = false }: Json & { to?: string }) => {
      const body = to === undefined ? {} : { to };
      const outcome = await changeRole<Outcome>(name, 'switchover', body);
      report(json, `group "${name}" is switched over`, outcome);
    });
  program
    .command('takeover')
    .description('make this node the primary without the other one')
    .argument('<group>')
    .option('--force', 'the other node is off or does not serve, I am sure')
    .option('--accept-stale', 'acknowledged commits that are known to be missing here are given up')
    .option('--accept-incomplete', 'also with a copy that was never complete')
    .option('--accept-halted', 'with a copy as of before its applying was halted')
    .option('--json', 'print JSON')
    .action(takeover);
  for (const [command, description, sentence] of SIMPLE_COMMANDS) {
    program
      .command(command)
      .description(description)
      .argument('<group>')
      .option('--json', 'print JSON')
      .action(async (name: string, { json = false }: Json) => {
        const outcome = await callApi<Outcome>({
          method: 'POST',
          path: `/groups/${segment(name)}/${command}`,
        });
        print(json, outcome, () => `group "${name}": ${sentence}`);
      });
  }
  program
    .command('accept')
    .description(
      'let a group go on that was halted because its files were gone, removed or rewritten',
    )
    .argument('<group>')
    .option('--json', 'print JSON')
    .action(async (name: string, { json = false }: Json) => {
      const accepted = await changeRole<Accepted>(name, 'accept', {});
      print(json, accepted, ({ what }) => `group "${name}" goes on: ${what}`);
    });
  program
    .command('yield')
    .description('end a split brain: give up the data of this node for that of the other')
    .argument('<group>')
    .option('--force', 'what was written here since the takeover may be overwritten')
    .option('--json', 'print JSON')
    .action(async (name: string, { force = false, json = false }: Json & { force?: boolean }) => {
      const outcome = await changeRole<Outcome>(name, 'yield', { force });
      report(json, `this node is now the standby of group "${name}"`, outcome);
    });
}

async function changeRole<T>(name: string, what: string, body: object): Promise<T> {
  return runOperation<T>({ method: 'POST', path: `/groups/${segment(name)}/${what}`, body });
}

interface TakeoverFlags {
  readonly force?: boolean;
  readonly acceptStale?: boolean;
  readonly acceptIncomplete?: boolean;
  readonly acceptHalted?: boolean;
}

async function takeover(name: string, options: Json & TakeoverFlags): Promise<void> {
  const { json = false, ...flags } = options;
  const outcome = await changeRole<Outcome>(name, 'takeover', flags);
  report(json, `this node is now the primary of group "${name}"`, outcome);
}

/** An outcome with warnings was done, but not all of it: exit code 1. */
function report(json: boolean, sentence: string, outcome: Outcome): void {
  print(json, outcome, ({ epoch }) => `${sentence} (epoch ${epoch})`);
  warn(json, outcome.warnings);
  if (outcome.warnings.length > 0) process.exitCode = exitCode.failed;
}

interface Created {
  readonly definition: GroupDefinition;
  readonly warnings: readonly string[];
}

async function create(options: CreateOptions): Promise<void> {
  const { json = false, wait = false, fromDiscovery, stopRunning = false } = options;
  const found = fromDiscovery === undefined ? undefined : await discovered(fromDiscovery);
  const body = {
    ...inputFrom(options, found?.group),
    allowEmptyMatch: options.allowEmptyMatch ?? false,
  };
  const check = async (): Promise<unknown> =>
    callApi({ method: 'POST', path: '/groups/check', body, timeoutMs: CHECK_TIMEOUT_MS });
  const make = async (): Promise<Created> =>
    runOperation<Created>({ method: 'POST', path: '/groups', body });
  const created =
    found === undefined
      ? await make()
      : await createStopped(found, stopRunning, { check, create: make });
  const { name } = created.definition;
  if (!json) {
    console.log(`group "${name}" is created; the first copy runs while you work`);
    warn(json, created.warnings);
  }
  const group = wait ? await waitForCopy(name, json) : undefined;
  if (json) print(true, { ...created, ...(group === undefined ? {} : { group }) }, () => '');
}

/** What flags are added to; a file adds addresses and the like to what discovery proposes. */
function inputFrom(
  options: CreateOptions,
  found: ProposedGroup | undefined,
): { input: unknown; origin: string } {
  const { file } = options;
  const base: Record<string, unknown> = {
    ...found,
    ...(file === undefined ? {} : readGroupFile(file)),
  };
  const { name, mode, peer, seed } = options;
  return {
    input: {
      ...base,
      ...(name === undefined ? {} : { name }),
      ...(peer === undefined ? {} : { peer }),
      ...(seed === true ? { seed } : {}),
      ...(mode === undefined
        ? {}
        : { replication: { ...(base['replication'] as object | undefined), mode } }),
      ...pathsFrom(options),
    },
    origin: file ?? (found === undefined ? 'command line' : 'discovery'),
  };
}

function pathsFrom(options: CreateOptions): object {
  if (options.dir === undefined) return {};
  const { dir, standbyDir = [], include, exclude } = options;
  return {
    paths: dir.map((path, index) => ({
      // Relative ones are meant from here, not from where the service runs.
      dir: resolve(path),
      ...(standbyDir[index] === undefined ? {} : { standbyDir: standbyDir[index] }),
      ...(include === undefined ? {} : { include }),
      ...(exclude === undefined ? {} : { exclude }),
    })),
  };
}

async function waitForCopy(name: string, json: boolean): Promise<GroupStatus> {
  const isLive = !json && process.stderr.isTTY;
  for (;;) {
    const status = await callApi<ServiceStatus>({ method: 'GET', path: '/status' });
    const group = status.groups.find((candidate) => candidate.name === name);
    if (group === undefined) {
      throw new UnderstudyError('GROUP_UNKNOWN', `group "${name}" was deleted meanwhile`);
    }
    if (group.copy === 'up-to-date') {
      if (isLive) process.stderr.write('\n');
      if (!json) console.log(`the copy on "${group.standby ?? '?'}" is complete`);
      return group;
    }
    const { scan } = group;
    if (isLive && scan !== null) process.stderr.write(`\r\x1b[K${scanText(scan)}`);
    await sleep(WAIT_INTERVAL_MS);
  }
}
