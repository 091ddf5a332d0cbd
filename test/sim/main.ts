// npm run sim -- [--schedules N] [--first SEED] [--jobs N] [--seconds N] [--stop] [--json]   many
// npm run sim -- --seed N [--trace] [--events]                         one, exactly as it was
// --bug NAME puts a mistake in on purpose. --timings permitted draws any that a group may have.
// --stop ends with the first violation.
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { Command, InvalidArgumentError, Option } from 'commander';
import { runSchedule } from './run.ts';
import { addTotals, emptyTotals, type Totals } from './totals.ts';
import { type Bugs, noBugs } from './world.ts';
import type { FromSimWorker, SimWorkerData } from './worker.ts';

const BUGS: Readonly<Record<string, Bugs>> = {
  'drop-lease-check': { ...noBugs, dropLeaseCheck: true },
  'skip-epoch-check': { ...noBugs, skipEpochCheck: true },
  'promote-while-syncing': { ...noBugs, promoteWhileSyncing: true },
};
const FAILURES_SHOWN = 10;

interface Options {
  readonly schedules: number;
  readonly first: number;
  readonly jobs: number;
  readonly seconds: number;
  readonly seed?: number;
  readonly trace: boolean;
  readonly events: boolean;
  readonly bug?: string;
  readonly timings: 'usual' | 'permitted';
  readonly stop: boolean;
  readonly json: boolean;
}

function whole(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`It is a whole number from ${least} on.`);
  };
}

const values = new Command('sim')
  .description('random faults on two simulated nodes; every rule is looked at after every event')
  .option('--schedules <n>', 'how many', whole(1), 10_000)
  .option('--first <seed>', 'seed of the first one; the next ones follow', whole(0), 1)
  .option('--jobs <n>', 'at the same time', whole(1), availableParallelism())
  .option('--seconds <n>', 'end after so long', whole(1), 1e9)
  .option('--seed <n>', 'one schedule, exactly as it was', whole(0))
  .option('--trace', 'with --seed: what happened and why', false)
  .option('--events', 'with --seed: the same, and every event of both machines', false)
  .addOption(new Option('--bug <name>', 'a mistake put in on purpose').choices(Object.keys(BUGS)))
  .addOption(
    new Option('--timings <kind>', 'what is drawn: usual ones, or any that a group may have')
      .choices(['usual', 'permitted'])
      .default('usual'),
  )
  .option('--stop', 'end with the first violation', false)
  .option('--json', 'print results as one JSON object', false)
  .parse()
  .opts<Options>();

const permitted = values.timings === 'permitted';
const bugs = (): Bugs => (values.bug === undefined ? noBugs : (BUGS[values.bug] ?? noBugs));

function one(seed: number): void {
  const result = runSchedule({
    seed,
    bugs: bugs(),
    permitted,
    traceEvents: values.events,
    ...(values.trace || values.events ? { traceTo: (line: string) => console.log(line) } : {}),
  });
  console.log(JSON.stringify({ ...result, counts: Object.fromEntries(result.counts) }));
  process.exitCode = result.violation === undefined ? 0 : 1;
}

async function many(): Promise<void> {
  const { schedules, first, seconds: secondsMax } = values;
  const jobs = Math.min(values.jobs, Math.ceil(schedules / 100));
  const started = performance.now();
  const totals = emptyTotals();
  const say = (line: string): void => {
    if (!values.json) console.log(line);
  };
  const progress = setInterval(() => say(`… ${describe(totals, started)}`), 5000);
  const share = Math.ceil(schedules / jobs);
  const work = Array.from({ length: jobs }, async (_, job) => {
    const from = first + job * share;
    const count = Math.min(share, first + schedules - from);
    const stopAtFirst = values.stop;
    const data = { first: from, count, bugs: bugs(), permitted, secondsMax, stopAtFirst };
    await runWorker(data, totals);
  });
  await Promise.all(work);
  clearInterval(progress);
  say(`seeds ${first} to ${first + schedules - 1}, ${jobs} jobs`);
  say(describe(totals, started));
  for (const line of report(totals)) say(line);
  if (values.json) console.log(JSON.stringify(forJson(totals)));
  process.exitCode = totals.violations === 0 ? 0 : 1;
}

/** What `--json` prints. */
export type SimSummary = ReturnType<typeof forJson>;

function forJson({ byRule, counts, takeoversMs, ...totals }: Totals) {
  const takeovers = takeoversMs.toSorted((a, b) => a - b);
  return {
    ...totals,
    byRule: Object.fromEntries(byRule),
    counts: Object.fromEntries(counts),
    takeoverMedianMs: takeovers[Math.floor(takeovers.length / 2)] ?? null,
    takeoverMaxMs: takeovers.at(-1) ?? null,
  };
}

async function runWorker(data: SimWorkerData, totals: Totals): Promise<void> {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { workerData: data });
  worker.on('message', (message: FromSimWorker) => addTotals(totals, message));
  await new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', (code) => {
      if (code === 0) resolve();
      else reject(new Error(`a worker ended with ${code}`));
    });
  });
}

function describe(totals: Totals, started: number): string {
  const seconds = (performance.now() - started) / 1000;
  const rate = Math.round(totals.schedules / seconds);
  return `${totals.schedules} schedules in ${seconds.toFixed(1)} s (${rate}/s), ${totals.violations} violations`;
}

function report(totals: Totals): string[] {
  const hours = totals.virtualMs / 3_600_000;
  const takeovers = totals.takeoversMs.toSorted((a, b) => a - b);
  const at = (part: number): string =>
    (takeovers[Math.floor(takeovers.length * part)] ?? 0).toFixed(0);
  return [
    `${hours.toFixed(1)} virtual hours, ${totals.acknowledged} commits acknowledged, ${totals.promotions} promotions`,
    `power-off to promoted: ${takeovers.length} cases, median ${at(0.5)} ms, 99 % ${at(0.99)} ms`,
    [...totals.counts]
      .toSorted()
      .map(([code, count]) => `${code} ${count}`)
      .join(', '),
    ...[...totals.byRule].map(([rule, count]) => `  ${rule}: ${count}`),
    ...totals.failures
      .slice(0, FAILURES_SHOWN)
      .map(({ seed, message }) => `  seed ${seed}: ${message}`),
  ];
}

if (values.seed !== undefined) one(values.seed);
else await many();
