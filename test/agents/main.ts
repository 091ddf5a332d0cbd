// npm run agents-test -- [--only NAME…] [--faults NAME…] [--rounds 5] [--first 1] [--ocf | --builtins] [--write]
//
// Real applications in the lab, hurt in every way: noticed, restarted in place, and after the limit served by the
// other node with their data. Progress goes to standard error, the table to standard output. Exit code 0 when every
// round was as designed.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { Command, CommanderError } from 'commander';
import { messageOf, UnderstudyError } from '../../src/core/errors.ts';
import { applications, type LabApplication } from './applications.ts';
import { AgentsBed, type Placed } from './bed.ts';
import type { BuiltinResult } from './builtins.ts';
import type { ContractResult } from './ocf-contract.ts';
import { applicationTable, builtinTable, keepResults, ocfTable } from './report.ts';
import { faults, type FaultName, playRound, type RoundResult } from './round.ts';

interface Options {
  readonly only?: readonly string[];
  readonly faults?: readonly string[];
  readonly rounds: string;
  readonly first: string;
  readonly ocf?: boolean;
  readonly builtins?: boolean;
  readonly write?: boolean;
}

const OCF = fileURLToPath(new URL('ocf.ts', import.meta.url));
const BUILTINS = fileURLToPath(new URL('builtins.ts', import.meta.url));
const names = applications.map(({ name }) => name);

const program = new Command('agents-test')
  .description('hurts real applications in the lab, and looks whether their agents notice')
  .option('--only <names...>', `applications: ${names.join(', ')}`)
  .option('--faults <names...>', `accidents: ${Object.keys(faults).join(', ')}`)
  .option('--rounds <n>', 'how often each', '5')
  .option('--first <n>', 'number of the first round', '1')
  .option('--ocf', 'play the contract with OCF resource agents instead')
  .option('--builtins', 'run "agent test" of every built-in agent instead')
  .option('--write', 'keep the results, and write them into docs/agents.md')
  .exitOverride();

function say(text: string): void {
  console.error(`${new Date().toISOString().slice(11, 19)}  ${text}`);
}

/** Errors: USAGE. */
function chosen<T extends string>(wanted: readonly string[] | undefined, known: readonly T[]): T[] {
  const list = wanted?.flatMap((text) => text.split(',')) ?? [...known];
  const strange = list.find((name) => !known.includes(name as T));
  if (strange === undefined) return known.filter((name) => list.includes(name));
  throw new UnderstudyError('USAGE', `there is no "${strange}"; there are: ${known.join(', ')}`);
}

function tell(result: RoundResult): void {
  const { application, fault, round, noticedMs, restartMs, movedMs, findings, said } = result;
  const verdict = findings.length === 0 ? 'as designed' : 'NOT AS DESIGNED';
  say(
    `${application} ${fault} ${round}: ${verdict}, noticed ${noticedMs ?? '-'} ms, ` +
      `in place ${restartMs ?? '-'} ms, moved ${movedMs ?? '-'} ms (${said.slice(0, 160)})`,
  );
  for (const finding of findings) say(`  - ${finding}`);
}

interface Course {
  readonly faults: readonly FaultName[];
  readonly first: number;
  readonly rounds: number;
  readonly results: RoundResult[];
  readonly write: boolean;
}

/** All rounds of one application on a bed; false when it is not whole after a bad one. */
async function playAll(bed: AgentsBed, placed: Placed, course: Course): Promise<void> {
  for (const fault of course.faults) {
    for (let round = course.first; round < course.first + course.rounds; round += 1) {
      const result = await playRound(bed, placed, { fault, round });
      tell(result);
      course.results.push(result);
      if (course.write) keepResults({ rounds: [result] });
      if (result.findings.length > 0) say(`  logs: ${await bed.lab.saveLogs()}`);
    }
  }
}

/** Each has a lab of its own: a full disk hurts whoever is on it, and five databases at once wait for a core. */
async function playApplications(list: readonly LabApplication[], course: Course): Promise<void> {
  for (const application of list) {
    const bed = await AgentsBed.up([application], say);
    try {
      for (const placed of bed.placed) await playAll(bed, placed, course);
    } finally {
      await bed.down();
    }
  }
}

/** What a script prints, one JSON value per line. */
function printed<T>(script: string, only: readonly string[] = []): T[] {
  const { stdout } = spawnSync(process.execPath, [script, ...only], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const lines = stdout.split('\n').filter((line) => line.startsWith('{'));
  return lines.map((line) => JSON.parse(line) as T);
}

function playBuiltins(write: boolean, only: readonly string[] | undefined): boolean {
  const builtins = printed<BuiltinResult>(BUILTINS, only);
  console.log(builtinTable(builtins));
  if (write) keepResults({ builtins });
  const verdicts = builtins.flatMap((one) => one.verdicts);
  return verdicts.length > 0 && verdicts.every(({ verdict }) => verdict !== 'failed');
}

function playOcf(write: boolean): boolean {
  const ocf = printed<ContractResult>(OCF);
  console.log(ocfTable(ocf));
  if (write) keepResults({ ocf });
  return ocf.length > 0 && ocf.every(({ findings }) => findings.length === 0);
}

/** Leaves through the exit handlers, which take the lab down. */
function interrupted(): void {
  process.exit(130);
}

async function play(options: Options): Promise<boolean> {
  const { ocf = false, builtins = false, write = false } = options;
  if (ocf) return playOcf(write);
  if (builtins) return playBuiltins(write, options.only);
  const wanted = chosen(options.only, names);
  const kinds = chosen(options.faults, Object.keys(faults) as FaultName[]);
  const results: RoundResult[] = [];
  const list = applications.filter(({ name }) => wanted.includes(name));
  const numbers = { first: Number(options.first), rounds: Number(options.rounds) };
  await playApplications(list, { faults: kinds, ...numbers, results, write });
  console.log(applicationTable(results));
  return results.every(({ findings }) => findings.length === 0);
}

process.once('SIGINT', interrupted);
process.once('SIGTERM', interrupted);
try {
  program.parse();
  process.exitCode = (await play(program.opts<Options>())) ? 0 : 1;
} catch (thrown) {
  if (!(thrown instanceof CommanderError)) console.error(messageOf(thrown));
  process.exitCode = thrown instanceof CommanderError && thrown.exitCode === 0 ? 0 : 2;
}
