// npm run demo [-- --app ledger|postgresql] [--mode sync|memory|async] [--profile default|fast] [--json]
import { Command, CommanderError, Option } from 'commander';
import { messageOf } from '../../src/core/errors.ts';
import { formatDurationMs } from '../../src/core/units.ts';
import { Lab } from '../lab.ts';
import type { DemoApplication } from './application.ts';
import { LedgerApplication } from './ledger-application.ts';
import { PostgresqlApplication } from './postgresql-application.ts';
import { type Mode, type Outcome, playScenario, type Profile } from './scenario.ts';
import { Timeline } from './timeline.ts';

interface DemoOptions {
  readonly app: 'ledger' | 'postgresql';
  readonly mode: Mode;
  readonly profile: Profile;
  readonly seconds: string;
  readonly after: string;
  readonly json?: boolean;
  readonly keepLab?: boolean;
  readonly rejoin?: boolean;
  readonly rounds: string;
  readonly checkpoints: 'never' | 'always' | 'alternate';
}

const program = new Command('demo')
  .description(
    'a server loses its power under load, another one takes over by itself: what was acknowledged, what was lost',
  )
  .addOption(
    new Option('--app <name>', 'what is protected')
      .choices(['ledger', 'postgresql'])
      .default('ledger'),
  )
  .addOption(
    new Option('--mode <mode>', 'when a commit returns')
      .choices(['sync', 'memory', 'async'])
      .default('sync'),
  )
  .addOption(
    new Option('--profile <name>', 'timers: how soon a silent server counts as dead')
      .choices(['default', 'fast'])
      .default('default'),
  )
  .option('--seconds <n>', 'work before the power cut', '8')
  .option('--after <n>', 'seconds of work on the second server', '4')
  .option('--json', 'print the table as one JSON object on the last line')
  .option('--rejoin', 'boot the first server again, as the standby')
  .option('--rounds <n>', 'play it so often, each time in a new lab, and sum up', '1')
  .addOption(
    new Option('--checkpoints <when>', 'PostgreSQL: a CHECKPOINT every 2 s in which rounds')
      .choices(['never', 'always', 'alternate'])
      .default('never'),
  )
  .option('--keep-lab', 'leave the lab running (see: npm run lab -- status --name demo)')
  .exitOverride();

function duration(ms: number | null): string {
  return ms === null ? 'not said' : formatDurationMs(ms);
}

function table(outcome: Outcome): string {
  const verdict = outcome.lostCommits === 0 ? 'none' : String(outcome.lostCommits);
  const rows: [string, string | number][] = [
    ['application, mode, timers', `${outcome.app}, ${outcome.mode}, ${outcome.profile}`],
    ['commits acknowledged before the cut', outcome.ackedCommits],
    ['commits acknowledged after it', outcome.ackedAfterTakeover],
    ['commits lost', verdict],
    ['integrity of the data', outcome.integrity],
    ['time without service', formatDurationMs(outcome.outageMs)],
    ['power cut to noticed', duration(outcome.detectionMs)],
    ['power cut to taken over', duration(outcome.takeoverMs)],
    ['commits per second before the cut', outcome.commitsPerSecond],
    ...Object.entries(outcome.details),
  ];
  if (outcome.lostCommits > 0) rows.push(['oldest lost commit', `${outcome.lostTailMs} ms old`]);
  const width = Math.max(...rows.map(([name]) => name.length));
  return rows.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`).join('\n');
}

/** In `sync` mode nothing may be lost; in the others the data must at least be sound. */
function isGood(outcome: Outcome): boolean {
  return outcome.integrity === 'ok' && (outcome.mode !== 'sync' || outcome.lostCommits === 0);
}

/** Leaves through the exit handlers, which take the lab down. */
function interrupted(): void {
  process.exit(130);
}

async function playRound(options: DemoOptions, round: number): Promise<Outcome> {
  const timeline = new Timeline((line) => console.error(line));
  const checkpoints =
    options.checkpoints === 'always' || (options.checkpoints === 'alternate' && round % 2 === 1);
  const application: DemoApplication =
    options.app === 'postgresql'
      ? new PostgresqlApplication({ checkpoints })
      : new LedgerApplication();
  const keep = options.keepLab === true;
  const name = keep ? { name: 'demo' } : {};
  const lab = await Lab.up({ keep, ...name });
  try {
    timeline.note(`lab "${lab.name}": servers a and b, a client, a gateway, two networks`);
    const outcome = await playScenario(lab, application, timeline, {
      mode: options.mode,
      profile: options.profile,
      workMs: Number(options.seconds) * 1000,
      afterMs: Number(options.after) * 1000,
      rejoin: options.rejoin === true,
    });
    if (!isGood(outcome)) timeline.note(`logs of all hosts: ${await lab.saveLogs()}`);
    return outcome;
  } catch (failure) {
    timeline.note(`failed: ${messageOf(failure)}`);
    timeline.note(`logs of all hosts: ${await lab.saveLogs()}`);
    throw failure;
  } finally {
    if (!keep) await lab.down();
  }
}

async function demo(options: DemoOptions): Promise<boolean> {
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const outcomes: Outcome[] = [];
  for (let round = 0; round < Number(options.rounds); round += 1) {
    const outcome = await playRound(options, round);
    outcomes.push(outcome);
    console.error(`\n${table(outcome)}\n`);
    if (options.json === true) console.log(JSON.stringify(outcome));
  }
  const good = outcomes.filter((outcome) => isGood(outcome)).length;
  if (outcomes.length > 1) {
    const outages = outcomes.map(({ outageMs }) => outageMs).toSorted((one, other) => one - other);
    const median = outages[Math.floor((outages.length - 1) / 2)] ?? 0;
    console.error(
      `${good} of ${outcomes.length} rounds were good; time without service: ` +
        `median ${formatDurationMs(median)}, worst ${formatDurationMs(outages.at(-1) ?? 0)}`,
    );
  }
  return good === outcomes.length;
}

try {
  program.parse();
  process.exitCode = (await demo(program.opts<DemoOptions>())) ? 0 : 1;
} catch (thrown) {
  if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? 0 : 2;
  else {
    console.error(`demo: ${messageOf(thrown)}`);
    process.exitCode = 1;
  }
}
