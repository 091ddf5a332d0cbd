// What a run of the torture found, for people and as JSON.
import { describeStep } from './plan.ts';
import type { StepResult } from './types.ts';

/** What draws the same faults again. */
export interface RunName {
  readonly seed: number;
  readonly only: readonly string[] | undefined;
}

export interface FaultSummary {
  readonly name: string;
  readonly count: number;
  readonly worstOutageMs: number;
  readonly worstCatchUpMs: number;
  readonly findings: number;
}

/** One line for each fault; a step with two faults counts for both. */
export function summarise(results: readonly StepResult[]): FaultSummary[] {
  const names = new Set(results.flatMap(({ step }) => step.faults.map(({ name }) => name)));
  return [...names].toSorted().map((name) => {
    const own = results.filter(({ step }) => step.faults.some((fault) => fault.name === name));
    return {
      name,
      count: own.length,
      worstOutageMs: Math.max(...own.map(({ outageMs }) => outageMs)),
      worstCatchUpMs: Math.max(...own.map(({ catchUpMs }) => catchUpMs)),
      findings: own.filter(({ findings }) => findings.length > 0).length,
    };
  });
}

export function textReport(run: RunName, results: readonly StepResult[], tookMs: number): string {
  const rows = summarise(results).map((fault) => [
    fault.name,
    String(fault.count),
    seconds(fault.worstOutageMs),
    seconds(fault.worstCatchUpMs),
    String(fault.findings),
  ]);
  const heading = ['fault', 'times', 'worst outage', 'worst catch-up', 'findings'];
  const widths = heading.map((_, column) =>
    Math.max(...[heading, ...rows].map((row) => row[column]?.length ?? 0)),
  );
  const lines = [heading, ...rows].map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const bad = results.filter(({ findings }) => findings.length > 0);
  const commits = results.reduce((sum, result) => sum + result.commits, 0);
  return [
    ...lines,
    '',
    ...bad.flatMap((result) => findingText(run, result)),
    `seed ${run.seed}: ${results.length} steps in ${Math.round(tookMs / 60_000)} min, ` +
      `${commits} acknowledged transfers, ${bad.length === 0 ? 'no finding' : `${bad.length} steps with findings`}`,
  ].join('\n');
}

function findingText({ seed, only }: RunName, { step, findings, evidence }: StepResult): string[] {
  return [
    `FINDING in step ${step.index}: ${describeStep(step)}`,
    ...findings.map((finding) => `  - ${finding}`),
    `  replay: npm run torture -- --seed ${seed}${only === undefined ? '' : ` --only ${only.join(',')}`} --from ${step.index} --until ${step.index}`,
    ...(evidence === null ? [] : [`  logs, journals, events: ${evidence}`]),
    '',
  ];
}

export const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;
