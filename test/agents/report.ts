// What the rounds come to: test/agents/results.json, and the tables in docs/agents.md between their marks.
import { readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { applications, PROBE_INTERVAL_MS, PROBE_TIMEOUT_MS } from './applications.ts';
import type { BuiltinResult } from './builtins.ts';
import type { ContractResult } from './ocf-contract.ts';
import { faults, type FaultName, type RoundResult } from './round.ts';

const RESULTS = fileURLToPath(new URL('results.json', import.meta.url));
const PAGE = fileURLToPath(new URL('../../docs/agents.md', import.meta.url));

/** For the probe's own end, and the event in the log of a node that has half a core. */
const TELLING_MS = 500;

interface Results {
  readonly rounds: readonly RoundResult[];
  readonly ocf: readonly ContractResult[];
  readonly builtins: readonly BuiltinResult[];
}

const NONE: Results = { rounds: [], ocf: [], builtins: [] };

export function readResults(): Results {
  try {
    return { ...NONE, ...(JSON.parse(readFileSync(RESULTS, 'utf8')) as Partial<Results>) };
  } catch {
    return NONE;
  }
}

const keyOf = ({ application, fault, round }: RoundResult): string =>
  `${application} ${fault} ${round}`;

/** Keeps results: newer ones take the place of those of the same round or agent. */
export function keepResults(played: Partial<Results>): void {
  const before = readResults();
  const rounds = new Map(
    [...before.rounds, ...(played.rounds ?? [])].map((one) => [keyOf(one), one]),
  );
  const ocf = new Map([...before.ocf, ...(played.ocf ?? [])].map((one) => [one.agent, one]));
  const builtins = new Map(
    [...before.builtins, ...(played.builtins ?? [])].map((one) => [one.use, one]),
  );
  const all: Results = {
    rounds: [...rounds.values()],
    ocf: [...ocf.values()],
    builtins: [...builtins.values()],
  };
  writeFileSync(RESULTS, `${JSON.stringify(all, null, 1)}\n`);
  writePage('applications', applicationTable(all.rounds));
  writePage('ocf', ocfTable(all.ocf));
  writePage('builtins', builtinTable(all.builtins));
}

function spread(values: readonly (number | null)[]): string {
  const ordered = values.filter((value) => value !== null).toSorted((one, other) => one - other);
  const middle = ordered[Math.floor((ordered.length - 1) / 2)];
  const worst = ordered.at(-1);
  if (middle === undefined || worst === undefined) return '-';
  return `${(middle / 1000).toFixed(1)} / ${(worst / 1000).toFixed(1)}`;
}

export function applicationTable(rounds: readonly RoundResult[]): string {
  const limitMs = PROBE_INTERVAL_MS + PROBE_TIMEOUT_MS + TELLING_MS;
  const rows = applications.flatMap(({ name, title }) =>
    (Object.keys(faults) as FaultName[]).flatMap((fault) => {
      const played = rounds.filter((one) => one.application === name && one.fault === fault);
      if (played.length === 0) return [];
      const good = played.filter(({ findings }) => findings.length === 0).length;
      const inTime = played.filter(({ noticedMs }) => noticedMs !== null && noticedMs <= limitMs);
      const cells = [
        title,
        faults[fault].title,
        `${good} of ${played.length}`,
        spread(played.map(({ noticedMs }) => noticedMs)),
        `${inTime.length} of ${played.length}`,
        spread(played.map(({ restartMs }) => restartMs)),
        spread(played.map(({ movedMs }) => movedMs)),
        String(played.reduce((sum, { lost }) => sum + lost, 0)),
      ];
      return [`| ${cells.join(' | ')} |`];
    }),
  );
  const findings = rounds
    .filter((one) => one.findings.length > 0)
    .map((one) => `- ${keyOf(one)}: ${one.findings.join('; ')}`);
  return [
    '| application | accident | as designed | noticed s | in time | serves in place s | serves on the other node s | lost |',
    '|---|---|---|---|---|---|---|---|',
    ...rows,
    '',
    ...(findings.length === 0
      ? ['Every round was as designed.']
      : ['Rounds that were not as designed:', '', ...findings]),
  ].join('\n');
}

export function ocfTable(results: readonly ContractResult[]): string {
  const rows = results.map((one) => {
    const verdict = one.findings.length === 0 ? 'as designed' : one.findings.join('; ');
    const cells = [
      `\`${one.agent}\`${one.isStandIn === true ? ' (stand-in application)' : ''}`,
      one.parameters,
      one.startMs,
      one.monitorMs,
      one.stopMs,
      one.afterKill.replaceAll('|', '/').slice(0, 120),
      verdict.replaceAll('|', '/'),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  return [
    '| agent | parameters | start ms | monitor ms | stop ms | monitor after it was destroyed | verdict |',
    '|---|---|---|---|---|---|---|',
    ...rows,
  ].join('\n');
}

/** What `agent test` said: how many checks, and its words when the application is there, hangs, and is gone. */
export function builtinTable(results: readonly BuiltinResult[]): string {
  const rows = results.map(({ use, application, isStandIn, verdicts }) => {
    const count = (kind: string): number =>
      verdicts.filter(({ verdict }) => verdict === kind).length;
    const words = (...checks: readonly string[]): string => {
      const found = verdicts.find(({ check }) => checks.includes(check));
      return found === undefined ? '-' : found.sentence.replaceAll('|', '/').slice(0, 140);
    };
    const cells = [
      `\`${use}\``,
      isStandIn && !application.startsWith('stand-in') ? `${application} (stand-in)` : application,
      `${count('passed')} / ${count('failed')} / ${count('skipped')}`,
      words('probe when started', 'probe'),
      words('probe when hung', 'notices that it hangs'),
      words('probe when killed', 'notices that it was killed', 'notices: full'),
    ];
    return `| ${cells.join(' | ')} |`;
  });
  const failures = results.flatMap(({ use, verdicts }) =>
    verdicts.flatMap(({ check, verdict, sentence }) =>
      verdict === 'failed' ? [`- \`${use}\`, ${check}: ${sentence}`] : [],
    ),
  );
  return [
    '| `use` | application | passed / failed / skipped | when it runs | when it hangs (SIGSTOP) | when it is gone (SIGKILL) |',
    '|---|---|---|---|---|---|',
    ...rows,
    ...(failures.length === 0 ? [] : ['', 'Failed:', '', ...failures]),
  ].join('\n');
}

function writePage(mark: string, text: string): void {
  const page = readFileSync(PAGE, 'utf8');
  const [from, to] = [`<!-- ${mark}: begin -->`, `<!-- ${mark}: end -->`];
  const [before = '', rest = ''] = page.split(from, 2);
  const [, after = ''] = rest.split(to, 2);
  writeFileSync(PAGE, `${before}${from}\n${text}\n${to}${after}`);
}
