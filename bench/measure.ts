// What every suite shares: medians, ratios, and results as JSON and as a table for people.
import { mkdirSync, writeFileSync } from 'node:fs';
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

/** Writes `bench/results/<suite>.json` and returns the table as Markdown. */
export function report(suite: string, rows: readonly Row[], notes: readonly string[]): string {
  const directory = join(import.meta.dirname, 'results');
  mkdirSync(directory, { recursive: true });
  const machine = { cores: cpus().length, processor: cpus()[0]?.model ?? '', kernel: release() };
  const result = { suite, at: new Date().toISOString(), machine, notes, rows };
  writeFileSync(join(directory, `${suite}.json`), `${JSON.stringify(result, undefined, 2)}\n`);
  return table(rows);
}

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
