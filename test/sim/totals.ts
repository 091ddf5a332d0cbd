// Sums over many schedules.
import type { RunResult } from './run.ts';

export interface Totals {
  schedules: number;
  violations: number;
  virtualMs: number;
  acknowledged: number;
  promotions: number;
  readonly takeoversMs: number[];
  readonly byRule: Map<string, number>;
  readonly counts: Map<string, number>;
  readonly failures: { readonly seed: number; readonly rule: string; readonly message: string }[];
}

/** Failures kept with their sentence; all are counted. */
const FAILURES_MAX = 100;

export function emptyTotals(): Totals {
  return {
    schedules: 0,
    violations: 0,
    virtualMs: 0,
    acknowledged: 0,
    promotions: 0,
    takeoversMs: [],
    byRule: new Map(),
    counts: new Map(),
    failures: [],
  };
}

export function addResult(totals: Totals, result: RunResult): void {
  totals.schedules += 1;
  totals.virtualMs += result.virtualMs;
  totals.acknowledged += result.acknowledged;
  totals.promotions += result.promotions;
  if (result.takeoverMs !== null) totals.takeoversMs.push(result.takeoverMs);
  addCounts(totals.counts, result.counts);
  const { violation } = result;
  if (violation === undefined) return;
  totals.violations += 1;
  const rule = `${violation.rule} (${result.arbiter})`;
  totals.byRule.set(rule, (totals.byRule.get(rule) ?? 0) + 1);
  if (totals.failures.length < FAILURES_MAX) {
    totals.failures.push({ seed: result.seed, rule: violation.rule, message: violation.message });
  }
}

export function addTotals(totals: Totals, more: Totals): void {
  totals.schedules += more.schedules;
  totals.violations += more.violations;
  totals.virtualMs += more.virtualMs;
  totals.acknowledged += more.acknowledged;
  totals.promotions += more.promotions;
  totals.takeoversMs.push(...more.takeoversMs);
  totals.failures.push(...more.failures);
  addCounts(totals.byRule, more.byRule);
  addCounts(totals.counts, more.counts);
}

function addCounts(into: Map<string, number>, more: ReadonlyMap<string, number>): void {
  for (const [what, count] of more) into.set(what, (into.get(what) ?? 0) + count);
}
