// understudy agent test: an agent is tried against the real application, before there is a group.
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ApplicationProcesses } from '../agents/trial/application-processes.ts';
import { Trial, type Verdict } from '../agents/trial/trial.ts';
import { UnderstudyError } from '../core/errors.ts';
import { formatDurationMs } from '../core/units.ts';
import { resolveAgents } from '../service/agent-definition.ts';
import { readYaml } from './read-yaml.ts';
import { withPool } from './agent-pool.ts';
import { exitCode, print } from './output.ts';

const MARK = 'UNDERSTUDY_AGENT_TEST';

interface TestOptions {
  readonly json?: boolean;
  readonly params?: string;
  readonly directory?: readonly string[];
  readonly processes?: string;
  readonly force?: boolean;
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

export function addAgentTestCommand(agent: Command): void {
  agent
    .command('test')
    .description('stop, start, hang and kill the real application, and judge what the agent says')
    .argument('<name>')
    .option('--params <yaml>', 'its parameters, as in a group ("-" reads standard input)')
    .option(
      '--directory <path>',
      'a directory that the group would protect (may be repeated)',
      collect,
    )
    .option('--processes <command>', 'prints the process ids of the application')
    .option('--force', 'also when the application runs at present')
    .option('--json', 'print JSON')
    .action(test);
}

interface Tested {
  readonly agent: string;
  readonly passed: boolean;
  readonly verdicts: readonly Verdict[];
}

async function test(name: string, options: TestOptions): Promise<void> {
  const { json = false } = options;
  const mark = { name: MARK, value: randomBytes(12).toString('hex') };
  // Programs that agents start in this very process inherit it from here, the others from their host.
  process.env[MARK] = mark.value;
  const tested = await withPool({ [MARK]: mark.value }, async (pool): Promise<Tested> => {
    const input = { ...readParameters(options.params), use: name };
    const [agent] = await resolveAgents([input], options.params ?? 'command line', pool);
    if (agent === undefined) throw new UnderstudyError('AGENT_UNKNOWN', `no agent "${name}"`);
    const processes = new ApplicationProcesses({ pool, agent, command: options.processes, mark });
    const trial = new Trial({
      pool,
      agent,
      starts: !agent.watchesOnly,
      isProbed: agent.probeIntervalMs !== null,
      directories: (options.directory ?? []).map((path) => resolve(path)),
      addresses: [],
      processes,
      onVerdict: (verdict) => {
        if (!json) console.log(verdictText(verdict));
      },
    });
    await refuseRunning(trial, agent.watchesOnly, options);
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
      process.once(signal, () => {
        trial.thaw();
        process.kill(process.pid, signal);
      });
    }
    const verdicts = await trial.run();
    return { agent: name, passed: verdicts.every(({ verdict }) => verdict !== 'failed'), verdicts };
  });
  print(json, tested, summary);
  if (!tested.passed) process.exitCode = exitCode.failed;
}

async function refuseRunning(
  trial: Trial,
  watchesOnly: boolean,
  { force = false, processes }: TestOptions,
): Promise<void> {
  if (force || (watchesOnly && processes === undefined) || !(await trial.answers())) return;
  throw new UnderstudyError(
    'AGENT_TEST_NEEDS_FORCE',
    'the application runs, and the test stops, freezes and kills it: add --force if that may be',
  );
}

function readParameters(file: string | undefined): Record<string, unknown> {
  if (file === undefined) return {};
  const value = readYaml(file) ?? {};
  if (typeof value === 'object' && !Array.isArray(value)) return value as Record<string, unknown>;
  throw new UnderstudyError(
    'GROUP_INVALID',
    `${file} holds no parameters: write "key: value" lines`,
  );
}

const SIGNS = { passed: 'ok  ', failed: 'FAIL', skipped: 'skip' } as const;

function verdictText({ check, verdict, sentence, ms }: Verdict): string {
  const took = ms < 1 ? '' : formatDurationMs(ms);
  return `${SIGNS[verdict]}  ${check.padEnd(32)}${took.padStart(8)}  ${sentence}`;
}

function summary({ agent, passed, verdicts }: Tested): string {
  const count = (kind: Verdict['verdict']): number =>
    verdicts.filter(({ verdict }) => verdict === kind).length;
  const counts = `${count('passed')} passed, ${count('failed')} failed, ${count('skipped')} skipped`;
  return passed
    ? `\nagent "${agent}" keeps the contract (${counts})`
    : `\nagent "${agent}" does NOT keep the contract (${counts})`;
}
