// What the rounds of a line come to, as a table for the terminal and as docs/field-test.md.
import type { FieldLine, RoundResult } from './types.ts';

/** One line of the result, as it is kept in results.json. */
export interface LineSummary {
  readonly name: string;
  readonly fault: string;
  readonly expected: string;
  readonly rounds: number;
  readonly good: number;
  readonly moved: number;
  readonly noticedMs: Spread | null;
  readonly outageMs: Spread;
  readonly acknowledged: number;
  readonly lost: number;
  /** Whether the loss is what the line allows (mode `async`). */
  readonly mayLoseTail: boolean;
  /** Of rounds that were not as expected. */
  readonly findings: readonly string[];
  /** Median over the rounds. */
  readonly load: number;
  readonly profile: string;
  readonly playedAt: string;
}

export interface Spread {
  readonly median: number;
  readonly worst: number;
}

export function spreadOf(values: readonly number[]): Spread {
  const ordered = values.toSorted((one, other) => one - other);
  const middle = Math.floor((ordered.length - 1) / 2);
  return { median: ordered[middle] ?? 0, worst: ordered.at(-1) ?? 0 };
}

export function summarise(
  line: FieldLine,
  rounds: readonly RoundResult[],
  profile: string,
): LineSummary {
  const noticed = rounds.flatMap(({ noticedMs }) => (noticedMs === null ? [] : [noticedMs]));
  return {
    name: line.name,
    fault: line.fault,
    expected: line.expected,
    rounds: rounds.length,
    good: rounds.filter(({ findings }) => findings.length === 0).length,
    moved: rounds.filter(({ moved }) => moved).length,
    noticedMs: noticed.length === 0 ? null : spreadOf(noticed),
    outageMs: spreadOf(rounds.map(({ outageMs }) => outageMs)),
    acknowledged: rounds.reduce((sum, { acknowledged }) => sum + acknowledged, 0),
    lost: rounds.reduce((sum, { lost }) => sum + lost, 0),
    mayLoseTail: line.mayLoseTail === true,
    findings: rounds.flatMap(({ round, findings }) =>
      findings.map((finding) => `round ${round}: ${finding}`),
    ),
    load: Math.round(spreadOf(rounds.map(({ load }) => load)).median),
    profile,
    playedAt: new Date().toISOString(),
  };
}

const COLUMNS = [
  'line',
  'as designed',
  'moved',
  'noticed ms',
  'outage ms',
  'commits',
  'lost',
  'load',
];

function inWords({ median, worst }: Spread): string {
  return `${median} / ${worst}`;
}

function cells(summary: LineSummary): string[] {
  const { name, rounds, good, moved, noticedMs, outageMs, acknowledged, lost, load } = summary;
  return [
    name,
    `${good} of ${rounds}`,
    String(moved),
    noticedMs === null ? '-' : inWords(noticedMs),
    inWords(outageMs),
    String(acknowledged),
    String(lost),
    String(load),
  ];
}

/** For the terminal. */
export function textTable(summaries: readonly LineSummary[]): string {
  const rows = [COLUMNS, ...summaries.map((summary) => cells(summary))];
  const widths = COLUMNS.map((_, column) =>
    Math.max(...rows.map((row) => (row[column] ?? '').length)),
  );
  const text = rows.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd(),
  );
  const findings = summaries.flatMap(({ name, findings: all }) =>
    all.map((finding) => `${name}, ${finding}`),
  );
  return [...text, ...(findings.length === 0 ? [] : ['', ...findings])].join('\n');
}

function verdict(summary: LineSummary): string {
  if (summary.good < summary.rounds) return `**${summary.good} of ${summary.rounds}**`;
  return summary.lost > 0 && summary.mayLoseTail ? 'as designed (a tail)' : 'as designed';
}

/** docs/field-test.md */
export function markdown(summaries: readonly LineSummary[], machine: string): string {
  const rows = summaries.map((summary) => {
    const [, , moved, noticed, outage, commits, lost, load] = cells(summary);
    const what = [summary.name, summary.fault, summary.expected, `${moved} of ${summary.rounds}`];
    return `| ${[...what, noticed, outage, commits, lost, load, verdict(summary)].join(' | ')} |`;
  });
  const findings = summaries.flatMap(({ name, findings: all }) =>
    all.map((finding) => `- \`${name}\`, ${finding}`),
  );
  return `${[...HEAD, `Machine: ${machine}`, '', ...TABLE_HEAD, ...rows, ...TAIL].join('\n')}${
    findings.length === 0 ? '- none\n' : `${findings.join('\n')}\n`
  }`;
}

const HEAD = [
  '# Field test',
  '',
  'Written by `npm run field-test -- --write`. Each line is an accident in the lab (two servers, a client and a',
  'gateway in namespaces of their own, real processes, real disk images, real packets). The ledger of `examples/ledger`',
  'is the application; a client posts 60 transfers a second to the virtual address and writes down each that was',
  'acknowledged. Afterwards the database is opened and every one of them looked up, balances are computed anew from',
  'the transfers, and the trees of both nodes are compared with all metadata.',
  '',
  '- *noticed*: from the accident to the first event that names it. *outage*: longest time without an acknowledgement',
  '  as the client sees it. Both as median / worst, in milliseconds.',
  '- *moved*: rounds in which the standby became primary. *lost*: acknowledged transfers that are not there.',
  "- Arbiter `gateway`, mode `sync`, profile `default`, unless the line says otherwise. The application's own start",
  '  (a Node.js process) is part of every outage.',
  '- Both servers, the client, and the gateway share the cores of one machine, with whatever else runs there: times are',
  '  upper bounds. *load*: programs that wanted a core in the minute before (load average).',
  '',
];

const TABLE_HEAD = [
  '| line | accident | what has to happen | moved | noticed | outage | commits | lost | load | verdict |',
  '|---|---|---|---|---|---|---|---|---|---|',
];

const TAIL = ['', '## Rounds that were not as designed', '', ''];
