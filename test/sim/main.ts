// npm run sim -- [--schedules N] [--first SEED] [--jobs N] [--seconds N] [--stop] [--json]   many
// npm run sim -- --seed N [--trace] [--events]                         one, exactly as it was
// --bug NAME puts a mistake in on purpose. --stop ends with the first violation.
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { Worker } from 'node:worker_threads';
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

const { values } = parseArgs({
  options: {
    schedules: { type: 'string', default: '10000' },
    first: { type: 'string', default: '1' },
    jobs: { type: 'string' },
    seed: { type: 'string' },
    trace: { type: 'boolean', default: false },
    events: { type: 'boolean', default: false },
    bug: { type: 'string' },
    seconds: { type: 'string' },
    stop: { type: 'boolean', default: false },
    json: { type: 'boolean', default: false },
  },
});

function bugs(): Bugs {
  if (values.bug === undefined) return noBugs;
  const found = BUGS[values.bug];
  if (found !== undefined) return found;
  console.error(`no such bug: choose one of ${Object.keys(BUGS).join(', ')}`);
  process.exit(2);
}

function one(seed: number): void {
  const result = runSchedule({
    seed,
    bugs: bugs(),
    traceEvents: values.events,
    ...(values.trace || values.events ? { traceTo: (line: string) => console.log(line) } : {}),
  });
  console.log(JSON.stringify({ ...result, counts: Object.fromEntries(result.counts) }));
  process.exitCode = result.violation === undefined ? 0 : 1;
}

async function many(): Promise<void> {
  const schedules = Number(values.schedules);
  const first = Number(values.first);
  const secondsMax = Number(values.seconds ?? 1e9);
  const jobs = Math.min(Number(values.jobs ?? availableParallelism()), Math.ceil(schedules / 100));
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
    await runWorker({ first: from, count, bugs: bugs(), secondsMax, stopAtFirst }, totals);
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

if (values.seed !== undefined) one(Number(values.seed));
else await many();
