// npm run torture -- --minutes N [--seed S] [--only FAULT…] [--from K] [--until K] [--json FILE]
//
// Random faults of all kinds on a pair under load; after each, everything is compared and counted. The
// same seed draws the same faults with the same parameters. Progress goes to standard error, the table to
// standard output. Exit code 0 when nothing was found.
import { randomInt } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { Command, CommanderError, Option } from 'commander';
import { messageOf, UnderstudyError } from '../../src/core/errors.ts';
import { TortureBed } from './bed.ts';
import { allFaults, chooseFaults } from './faults.ts';
import { describeStep, planStep } from './plan.ts';
import { seconds, summarise, textReport } from './report.ts';
import { playStep } from './step.ts';
import type { StepResult } from './types.ts';

const MINUTES_MAX = 7 * 24 * 60;

interface Options {
  readonly minutes?: string;
  readonly seed?: string;
  readonly only?: readonly string[];
  readonly from: string;
  readonly until?: string;
  readonly mode: 'sync' | 'async';
  readonly json?: string;
  readonly plan?: boolean;
}

const program = new Command('torture')
  .description('random faults of all kinds on a pair under load')
  .option('--minutes <n>', 'how long; default 5, or until the step of --until')
  .option('--seed <n>', 'draws the faults; default: a random one, which is printed')
  .option('--only <faults...>', `draw only: ${allFaults.map(({ name }) => name).join(', ')}`)
  .option('--from <step>', 'leave out the steps before', '1')
  .option('--until <step>', 'end after this step')
  .addOption(
    new Option('--mode <mode>', 'of replication').choices(['sync', 'async']).default('sync'),
  )
  .option('--json <file>', 'write the whole report there')
  .option('--plan', 'show the steps only, up to --until')
  .exitOverride();

function say(text: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)}  ${text}`);
}

function numberOf(name: string, text: string, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= 1 && value <= most) return value;
  throw new UnderstudyError('USAGE', `--${name} is a number from 1 to ${most}`);
}

/** What a run is to do, checked. */
function read(options: Options) {
  const only = options.only?.flatMap((text) => text.split(','));
  const until =
    options.until === undefined ? undefined : numberOf('until', options.until, 1_000_000);
  const minutes = options.minutes ?? (until === undefined ? '5' : String(MINUTES_MAX));
  return {
    seed: numberOf('seed', options.seed ?? String(1 + randomInt(999_999)), 999_999_999),
    only,
    faults: chooseFaults(only),
    from: numberOf('from', options.from, 1_000_000),
    until: until ?? Number.POSITIVE_INFINITY,
    endsAt: Date.now() + numberOf('minutes', minutes, MINUTES_MAX) * 60_000,
    mode: options.mode,
  };
}
type Run = ReturnType<typeof read>;

function showPlan({ seed, from, until, faults }: Run): void {
  for (let index = from; index <= Math.min(until, from + 99); index += 1) {
    console.log(`${index}: ${describeStep(planStep(seed, index, faults))}`);
  }
}

async function torture(run: Run, onResult: (result: StepResult) => void): Promise<void> {
  const { seed, from, until, faults, endsAt, mode } = run;
  let bed: TortureBed | undefined;
  try {
    for (let index = from; index <= until && Date.now() < endsAt; index += 1) {
      if (bed === undefined) say('a fresh pair');
      bed ??= await TortureBed.up({ mode, seed });
      const step = planStep(seed, index, faults);
      say(`step ${index}: ${describeStep(step)}`);
      const note = (text: string): void => say(`  ${text}`);
      const result = await playStep(bed, step, { seed, note });
      onResult(result);
      const { findings, outageMs, catchUpMs, commits, moved } = result;
      say(
        `  ${findings.length === 0 ? 'good' : 'FINDING'}: outage ${seconds(outageMs)}, ` +
          `catch-up ${seconds(catchUpMs)}, ${commits} commits${moved ? ', moved' : ''}`,
      );
      for (const finding of findings) say(`  - ${finding}`);
      if (findings.length === 0) continue;
      await bed.down();
      bed = undefined;
    }
  } finally {
    await bed?.down();
  }
}

async function main(options: Options): Promise<number> {
  const run = read(options);
  if (options.plan === true) {
    showPlan(run);
    return 0;
  }
  // Leaves through the exit handlers, which take the lab down.
  for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, () => process.exit(130));
  const results: StepResult[] = [];
  const startedAt = Date.now();
  say(`seed ${run.seed}`);
  const write = (): void => {
    if (options.json === undefined) return;
    const report = {
      seed: run.seed,
      only: run.only ?? null,
      mode: run.mode,
      faults: summarise(results),
      steps: results,
    };
    writeFileSync(options.json, `${JSON.stringify(report, null, 2)}\n`);
  };
  await torture(run, (result) => {
    results.push(result);
    // At once: a run takes an hour, and may be ended.
    write();
  });
  console.log(textReport(run, results, Date.now() - startedAt));
  return results.every(({ findings }) => findings.length === 0) ? 0 : 1;
}

try {
  program.parse();
  process.exitCode = await main(program.opts<Options>());
} catch (thrown) {
  if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? 0 : 2;
  else {
    const isUsage = thrown instanceof UnderstudyError && thrown.code === 'USAGE';
    console.error(`torture: ${messageOf(thrown)}`);
    process.exitCode = isUsage ? 2 : 1;
  }
}
