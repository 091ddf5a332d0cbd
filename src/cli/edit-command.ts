// The command group edit: options for single keys, a file for all of them.
import { type Command, Option } from 'commander';
import type { GroupDefinition } from '../service/group-definition.ts';
import { callApi, segment } from './admin.ts';
import { parseNumber, print } from './output.ts';
import { readGroupFile } from './read-yaml.ts';

/** A process of either node may be replaced by another one, and on a busy machine that takes its time. */
const TIMEOUT_MS = 150_000;

interface EditOptions {
  readonly file?: string;
  readonly mode?: string;
  readonly syncTimeout?: string;
  readonly onStandbyLoss?: string;
  readonly linkTimeout?: string;
  readonly port?: number;
  readonly backlog?: string;
  readonly journal?: string;
  readonly compression?: string;
  readonly undo?: number;
  readonly guard?: string;
  readonly verify?: string;
  readonly bandwidth?: string;
  readonly json?: boolean;
}

export function addEditCommand(group: Command): void {
  group
    .command('edit')
    .description('change what may change while it runs, on both nodes')
    .argument('<group>')
    .option('--file <yaml>', 'keys as at its creation ("-" reads standard input)')
    .addOption(
      new Option('--mode <mode>', 'what a commit waits for').choices(['sync', 'memory', 'async']),
    )
    .option('--sync-timeout <duration>', 'a lost standby delays a commit no longer')
    .addOption(new Option('--on-standby-loss <what>', 'what then').choices(['continue', 'block']))
    .option('--link-timeout <duration>', 'without a byte for so long the link counts as dead')
    .option('--port <port>', 'of the replication stream', parseNumber)
    .option('--backlog <size>', 'most on the disk of the primary while the standby is away')
    .option('--journal <size>', "most in the standby's journal")
    .addOption(new Option('--compression <what>', 'on the link').choices(['auto', 'on', 'off']))
    .option('--undo <hours>', 'how far the copy can be taken back; 0: not at all', parseNumber)
    .addOption(
      new Option('--guard <what>', 'when files are encrypted').choices(['off', 'alarm', 'halt']),
    )
    .option('--verify <interval>', 'how often the copies are compared by themselves: 7d, or off')
    .option('--bandwidth <rate>', 'limit of what replication sends: 50Mbit/s, or unlimited')
    .option('--json', 'print JSON')
    .action(edit);
}

async function edit(name: string, options: EditOptions, command: Command): Promise<void> {
  const { file, json = false, verify, bandwidth, guard } = options;
  const base = file === undefined ? {} : readGroupFile(file);
  const replication = { ...(base['replication'] as object | undefined), ...replicationOf(options) };
  const body = {
    ...base,
    ...(Object.keys(replication).length === 0 ? {} : { replication }),
    ...(guard === undefined ? {} : { safety: { ...(base['safety'] as object), guard } }),
    ...(verify === undefined ? {} : { verify }),
    ...(bandwidth === undefined ? {} : { bandwidth }),
  };
  if (Object.keys(body).length === 0) {
    command.error(
      'error: nothing to change was named: "understudy group edit --help" shows what may',
    );
  }
  const changed = await callApi<{ definition: GroupDefinition }>({
    method: 'PATCH',
    path: `/groups/${segment(name)}`,
    body,
    timeoutMs: TIMEOUT_MS,
  });
  print(json, changed, () => `group "${name}" is changed on both nodes`);
}

/** Only what was given. */
function replicationOf(options: EditOptions): Record<string, unknown> {
  const { mode, syncTimeout, onStandbyLoss, linkTimeout, backlog, journal, compression } = options;
  const { port, undo } = options;
  const all = {
    mode,
    syncTimeout,
    onStandbyLoss,
    linkTimeout,
    backlog,
    journal,
    compression,
    port,
    undo: undo === undefined ? undefined : undo === 0 ? 'off' : { hours: undo },
  };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== undefined));
}
