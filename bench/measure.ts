// What every suite shares: medians, ratios, and results as JSON and as a table for people.
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { cpus, release } from 'node:os';
import { join } from 'node:path';

/** One measured quantity; `values` are one per round, interleaved with those of the other rows. */
export interface Row {
  readonly suite: string;
  readonly name: string;
  readonly unit: string;
  readonly values: readonly number[];
  readonly median: number;
  /** Median divided by the median of the native row of the same suite; higher is better. */
  readonly ratio?: number;
  /** The floor or ceiling that the project has set itself, in words. */
  readonly target?: string;
  readonly met?: boolean;
}

export interface Target {
  readonly text: string;
  readonly holds: (median: number, ratio: number | undefined) => boolean;
}

export function median(values: readonly number[]): number {
  return percentile(values, 0.5);
}

/** Nearest-rank percentile; 0 of nothing. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
}

/** Makes a row; `native` is the median to compare with. */
export function row(
  what: { suite: string; name: string; unit: string; values: readonly number[] },
  native?: number,
  target?: Target,
): Row {
  const middle = median(what.values);
  const ratio = native === undefined || native === 0 ? undefined : middle / native;
  return {
    ...what,
    median: middle,
    ...(ratio === undefined ? {} : { ratio }),
    ...(target === undefined ? {} : { target: target.text, met: target.holds(middle, ratio) }),
  };
}

/** One run of a suite, as written to `bench/results/<suite>.json`. */
interface Result {
  readonly suite: string;
  /** When it was written, ISO 8601. */
  readonly at: string;
  readonly machine: {
    readonly cores: number;
    readonly processor: string;
    readonly kernel: string;
  };
  readonly rows: readonly Row[];
}

const RESULTS = join(import.meta.dirname, 'results');
const DOCUMENT = join(import.meta.dirname, '../docs/bench.md');

/** Writes the suite's results as JSON and returns the table as Markdown. */
export function report(suite: string, rows: readonly Row[]): string {
  mkdirSync(RESULTS, { recursive: true });
  const machine = { cores: cpus().length, processor: cpus()[0]?.model ?? '', kernel: release() };
  const result: Result = { suite, at: new Date().toISOString(), machine, rows };
  writeFileSync(join(RESULTS, `${suite}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
  return table(rows);
}

/** Writes `docs/bench.md` anew from the last results of each suite. */
export function writeDocument(suites: readonly string[]): void {
  const sections = suites.flatMap((suite) => {
    const file = join(RESULTS, `${suite}.json`);
    if (!existsSync(file)) return [];
    const { at, machine, rows } = JSON.parse(readFileSync(file, 'utf8')) as Result;
    const where = `${at.slice(0, 10)}, kernel ${machine.kernel}, ${machine.cores} cores`;
    return [`## ${suite}`, where, table(rows)];
  });
  writeFileSync(DOCUMENT, `${[...INTRODUCTION, ...sections].join('\n\n')}\n`);
}

const INTRODUCTION = [
  '# Bench',
  'Written by `npm run bench`: the last run of each suite. Both servers, the load and the disk ' +
    'images share the cores and the disk of one machine, so the work of the copy counts against ' +
    'us: **read ratios, not absolutes**. Native, ours and the peer alternate within a run, round ' +
    'by round. Disk images are written full beforehand; the database has run for 20 s before the ' +
    'first round. `passthrough_hp` is the C++ example of libfuse, without passthrough and splice.',
];

function table(rows: readonly Row[]): string {
  const lines = ['| what | unit | median | ratio | target | rounds |', '|---|---|---|---|---|---|'];
  for (const { name, unit, median: middle, ratio, target, met, values } of rows) {
    const verdict = target === undefined ? '' : `${target}: ${met === true ? 'met' : 'MISSED'}`;
    const share = ratio === undefined ? '' : ratio.toFixed(2);
    const rounds = values.length <= 8 ? values.map(short).join(' ') : `${values.length} samples`;
    lines.push(`| ${name} | ${unit} | ${short(middle)} | ${share} | ${verdict} | ${rounds} |`);
  }
  return lines.join('\n');
}

const short = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toFixed(2));
