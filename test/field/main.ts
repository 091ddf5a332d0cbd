// npm run field-test -- [--only NAME…] [--rounds 5] [--json] [--write]
//
// Progress goes to standard error, the table (or JSON) to standard output. Exit code 0 when every round of every
// line was as designed.
import { readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError, Option } from 'commander';
import { messageOf, UnderstudyError } from '../../src/core/errors.ts';
import { Bed } from './bed.ts';
import { allLines, longLines } from './lines/all.ts';
import { type LineSummary, markdown, summarise, textTable } from './report.ts';
import { describeEvents, playRound } from './round.ts';
import type { FieldLine, RoundResult } from './types.ts';

const RESULTS = fileURLToPath(new URL('results.json', import.meta.url));
const PAGE = fileURLToPath(new URL('../../docs/field-test.md', import.meta.url));
const ROUNDS_MAX = 1000;

interface Options {
  readonly only?: readonly string[];
  readonly rounds: string;
  readonly profile: 'default' | 'fast';
  readonly json?: boolean;
  readonly write?: boolean;
  readonly events?: boolean;
}

const program = new Command('field-test')
  .description('plays accidents in the lab with real processes, and counts what was lost')
  .option(
    '--only <names...>',
    `lines to play: ${[...allLines, ...longLines].map(({ name }) => name).join(', ')}`,
  )
  .option('--rounds <n>', 'how often each', '5')
  .addOption(
    new Option('--profile <profile>', 'timers of the group')
      .choices(['default', 'fast'])
      .default('default'),
  )
  .option('--json', 'print results as one JSON object')
  .option('--write', 'write docs/field-test.md from these results and the kept ones')
  .option('--events', 'show what the nodes said in every round')
  .exitOverride();

function say(text: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)}  ${text}`);
}

const USUAL = 'sync gateway';

function kindOf({ mode, arbiter }: FieldLine): string {
  return `${mode ?? 'sync'} ${arbiter ?? 'gateway'}`;
}

/** Keeps a bed for as long as its rounds are good, also from line to line. */
class Beds {
  #bed: Bed | undefined;
  #kind: string | undefined;

  async for(line: FieldLine, profile: Options['profile']): Promise<Bed> {
    const { mode = 'sync', arbiter = 'gateway' } = line;
    const kind = kindOf(line);
    if (this.#bed !== undefined && this.#kind === kind) return this.#bed;
    await this.discard();
    this.#bed = await Bed.up({ mode, profile, arbiter });
    this.#kind = kind;
    return this.#bed;
  }

  async discard(): Promise<void> {
    const bed = this.#bed;
    this.#bed = undefined;
    await bed?.down();
  }
}

async function playLine(beds: Beds, line: FieldLine, options: Options): Promise<RoundResult[]> {
  const results: RoundResult[] = [];
  for (let round = 1; round <= Number(options.rounds); round += 1) {
    const bed = await beds.for(line, options.profile);
    const note = (text: string): void => say(`  ${line.name} ${round}: ${text}`);
    const result = await playRound(bed, line, round, note);
    results.push(result);
    const { findings, outageMs, noticedMs, acknowledged, lost, moved, logs } = result;
    note(
      `${findings.length === 0 ? 'as designed' : 'NOT AS DESIGNED'}: ${moved ? 'moved' : 'stayed'}, ` +
        `noticed ${noticedMs ?? '-'} ms, outage ${outageMs} ms, commits ${acknowledged}, lost ${lost}`,
    );
    for (const finding of findings) note(`- ${finding}`);
    if (logs !== null) note(`logs: ${logs}`);
    if (findings.length > 0 || options.events === true) {
      note(describeEvents(result.events, result.struckAt));
    }
    if (findings.length > 0) await beds.discard();
  }
  return results;
}

function keep(played: readonly LineSummary[]): LineSummary[] {
  let kept: LineSummary[] = [];
  try {
    kept = JSON.parse(readFileSync(RESULTS, 'utf8')) as LineSummary[];
  } catch {
    // The first time.
  }
  const all = new Map([...kept, ...played].map((summary) => [summary.name, summary]));
  const ordered = [...allLines, ...longLines].flatMap(({ name }) => all.get(name) ?? []);
  writeFileSync(RESULTS, `${JSON.stringify(ordered, null, 2)}\n`);
  const machine = `${cpus().length} cores, Linux ${release()}, Node.js ${process.version}`;
  writeFileSync(PAGE, markdown(ordered, machine));
  return ordered;
}

/** Lines of another mode or arbiter come last: they need another lab. */
function choose(only: readonly string[] | undefined): readonly FieldLine[] {
  const names = only?.flatMap((text) => text.split(','));
  const known = [...allLines, ...longLines];
  const unknown = names?.find((name) => !known.some((line) => line.name === name));
  if (unknown === undefined) {
    const chosen =
      names === undefined ? allLines : known.filter(({ name }) => names.includes(name));
    return [
      ...chosen.filter((line) => kindOf(line) === USUAL),
      ...chosen.filter((line) => kindOf(line) !== USUAL),
    ];
  }
  const list = known.map(({ name }) => name).join(', ');
  throw new UnderstudyError('USAGE', `there is no line "${unknown}"; there are: ${list}`);
}

/** Leaves through the exit handlers, which take the lab down. */
function interrupted(): void {
  process.exit(130);
}

async function play(options: Options): Promise<boolean> {
  const rounds = Number(options.rounds);
  if (!Number.isInteger(rounds) || rounds < 1 || rounds > ROUNDS_MAX) {
    throw new UnderstudyError('USAGE', `--rounds is a number from 1 to ${ROUNDS_MAX}`);
  }
  process.once('SIGINT', interrupted).once('SIGTERM', interrupted);
  const beds = new Beds();
  const summaries: LineSummary[] = [];
  const all: RoundResult[] = [];
  try {
    for (const line of choose(options.only)) {
      say(`${line.name}: ${line.fault}`);
      const results = await playLine(beds, line, options);
      all.push(...results);
      summaries.push(summarise(line, results, options.profile));
      // At once: a run takes an hour, and may be ended.
      if (options.write === true) keep(summaries);
    }
  } finally {
    await beds.discard();
  }
  console.log(
    options.json === true
      ? JSON.stringify({ lines: summaries, rounds: all })
      : textTable(summaries),
  );
  return summaries.every(({ good, rounds: played }) => good === played);
}

try {
  program.parse();
  process.exitCode = (await play(program.opts<Options>())) ? 0 : 1;
} catch (thrown) {
  if (thrown instanceof CommanderError) process.exitCode = thrown.exitCode === 0 ? 0 : 2;
  else {
    const isUsage = thrown instanceof UnderstudyError && thrown.code === 'USAGE';
    console.error(`field-test: ${messageOf(thrown)}`);
    process.exitCode = isUsage ? 2 : 1;
  }
}
