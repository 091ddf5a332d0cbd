// Commands about agents: agent list|show|new|test. They need no service: an agent is tried before there is a
// group.
import { randomBytes } from 'node:crypto';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { Command } from 'commander';
import { AgentPool } from '../agents/agent-pool.ts';
import { AgentCatalog, type CatalogEntry } from '../agents/catalog.ts';
import type { AgentDescription } from '../agents/host/host-protocol.ts';
import { ApplicationProcesses } from '../agents/trial/application-processes.ts';
import { Trial, type Verdict } from '../agents/trial/trial.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { formatDurationMs } from '../core/units.ts';
import { resolveAgents } from '../service/agent-definition.ts';
import { parseYaml } from '../service/node-config.ts';
import { servicePaths } from '../service/service-paths.ts';
import { exitCode, print, table } from './output.ts';

const TEMPLATES = join(import.meta.dirname, '../agents/templates');
const KIT = join(import.meta.dirname, '../agents/sdk.ts');
const NAME_PATTERN = /^[a-z][a-z0-9-]{0,39}$/;
const MARK = 'UNDERSTUDY_AGENT_TEST';

interface Json {
  readonly json?: boolean;
}

interface TestOptions extends Json {
  readonly params?: string;
  readonly directory?: readonly string[];
  readonly processes?: string;
  readonly force?: boolean;
}

function collect(value: string, before: readonly string[] = []): string[] {
  return [...before, value];
}

export function addAgentCommands(program: Command): void {
  const agent = program.command('agent').description('agents: what knows an application');
  agent
    .command('list')
    .description('all agents of this node')
    .option('--json', 'print JSON')
    .action(list);
  agent
    .command('show')
    .description('what an agent watches, and its parameters')
    .argument('<name>')
    .option('--json', 'print JSON')
    .action(show);
  agent
    .command('new')
    .description('write an agent of your own, to be changed')
    .argument('<name>')
    .option('--program', 'a shell script with exit codes instead of a TypeScript module')
    .option('--json', 'print JSON')
    .action(create);
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

/** A pool without a service; its files are removed after. */
export async function withPool<T>(
  env: Readonly<Record<string, string>>,
  work: (pool: AgentPool, catalog: AgentCatalog) => Promise<T>,
): Promise<T> {
  const top = mkdtempSync(join(tmpdir(), 'understudy-agent-'));
  const catalog = new AgentCatalog(servicePaths(process.env).agents);
  const pool = new AgentPool({
    group: 'agent-test',
    catalog,
    logDirectory: top,
    runtimeDirectory: join(top, 'run'),
    env,
    pauseMsMax: 0,
    onTrouble: () => undefined,
  });
  try {
    return await work(pool, catalog);
  } finally {
    pool.close();
    rmSync(top, { recursive: true, force: true });
  }
}

interface Listed {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Its file; null for one that comes with Understudy. */
  readonly path: string | null;
  readonly fault: string | null;
}

async function list({ json = false }: Json): Promise<void> {
  const listed = await withPool({}, async (pool, catalog) => {
    const { agents, faults } = catalog.list();
    const found = agents.map(async (entry) => describeForList(pool, entry));
    const broken = faults.map(({ path, fault }) => ({
      name: '-',
      title: '',
      description: '',
      path,
      fault,
    }));
    return [...(await Promise.all(found)), ...broken];
  });
  print(json, listed, listText);
}

async function describeForList(pool: AgentPool, { name, path }: CatalogEntry): Promise<Listed> {
  try {
    const { title, description } = await pool.describe(name);
    return { name, title, description, path, fault: null };
  } catch (thrown) {
    return { name, title: '', description: '', path, fault: messageOf(thrown) };
  }
}

function listText(listed: readonly Listed[]): string {
  const rows = listed.map(({ name, title, description, path, fault }) => [
    name,
    title,
    fault === null ? description : `! ${fault}`,
    path ?? 'built in',
  ]);
  return table([['AGENT', 'TITLE', 'WHAT IT DOES', 'FROM'], ...rows]);
}

async function show(name: string, { json = false }: Json): Promise<void> {
  const description = await withPool({}, async (pool) => described(pool, name));
  print(json, description, showText);
}

async function described(pool: AgentPool, name: string): Promise<AgentDescription> {
  try {
    return await pool.describe(name);
  } catch (thrown) {
    if (thrown instanceof UnderstudyError) throw thrown;
    throw new UnderstudyError('AGENT_FILE_UNUSABLE', `agent "${name}": ${messageOf(thrown)}`, {
      cause: thrown,
    });
  }
}

/** The part of JSON Schema that is worth a table. */
interface Property {
  readonly type?: string;
  readonly enum?: readonly unknown[];
  readonly default?: unknown;
  readonly description?: string;
}

export function showText(agent: AgentDescription): string {
  const { name, title, description, defaults, excludes, functions } = agent;
  const properties = Object.entries(
    (agent.parameters['properties'] ?? {}) as Record<string, Property>,
  );
  const required = (agent.parameters['required'] ?? []) as readonly string[];
  const rows = properties.map(([key, property]) => [
    key,
    property.enum?.join(' | ') ?? property.type ?? '',
    valueText(property, required.includes(key)),
    property.description ?? '',
  ]);
  const times = Object.entries(defaults).flatMap(([key, ms]) =>
    ms === undefined ? [] : [`${key.replace(/Ms$/, '')} ${formatDurationMs(ms)}`],
  );
  return [
    `${name}: ${title}`,
    description,
    '',
    rows.length === 0
      ? 'no parameters'
      : table([['PARAMETER', 'TYPE', 'DEFAULT', 'MEANING'], ...rows]),
    '',
    ...(times.length === 0 ? [] : [`default times: ${times.join(', ')}`]),
    ...(excludes.length === 0 ? [] : [`needs no copy: ${excludes.join(', ')}`]),
    `functions: ${['probe', ...functions].join(', ')}`,
  ].join('\n');
}

function valueText({ default: value }: Property, isRequired: boolean): string {
  if (value !== undefined) return JSON.stringify(value);
  return isRequired ? '(required)' : '';
}

function create(
  name: string,
  { program = false, json = false }: Json & { program?: boolean },
): void {
  if (!NAME_PATTERN.test(name)) {
    throw new UnderstudyError(
      'AGENT_NAME_INVALID',
      `"${name}" cannot be the name of an agent: lower-case letters, digits and hyphens, 40 at most`,
    );
  }
  const { agents } = servicePaths(process.env);
  const taken = new AgentCatalog(agents).list().agents.find((one) => one.name === name);
  const path = join(agents, program ? name : `${name}.ts`);
  if (taken !== undefined || existsSync(path)) {
    const where =
      taken === undefined || taken.path !== null ? path : 'one that comes with Understudy';
    throw new UnderstudyError('AGENT_EXISTS', `there is an agent "${name}" already: ${where}`);
  }
  mkdirSync(agents, { recursive: true, mode: 0o755 });
  const template = readFileSync(join(TEMPLATES, program ? 'program.sh' : 'module.ts'), 'utf8');
  writeFileSync(path, template.replaceAll('AGENT_NAME', name), { mode: 0o644 });
  if (program) chmodSync(path, 0o755);
  else tellEditors(agents);
  const next = `change it, then run "understudy agent test ${name} --params FILE"`;
  print(json, { name, path }, () => `${path} is written: ${next}`);
}

/** Editors find the types of the kit by this; nothing else reads it. */
function tellEditors(directory: string): void {
  const path = join(directory, 'tsconfig.json');
  if (existsSync(path)) return;
  const compilerOptions = {
    target: 'ES2024',
    module: 'NodeNext',
    moduleDetection: 'force',
    strict: true,
    noEmit: true,
    allowImportingTsExtensions: true,
    skipLibCheck: true,
    paths: { 'understudy/agent': [KIT] },
  };
  writeFileSync(path, `${JSON.stringify({ compilerOptions }, null, 2)}\n`, { mode: 0o644 });
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
    const verdicts = await trial.run();
    return { agent: name, passed: verdicts.every(({ verdict }) => verdict !== 'failed'), verdicts };
  });
  print(json, tested, summary);
  if (!tested.passed) process.exitCode = exitCode.failed;
}

async function refuseRunning(
  trial: Trial,
  watchesOnly: boolean,
  { force = false }: TestOptions,
): Promise<void> {
  if (force || watchesOnly || !(await trial.answers())) return;
  throw new UnderstudyError(
    'AGENT_TEST_NEEDS_FORCE',
    'the application runs, and the test stops, freezes and kills it: add --force if that may be',
  );
}

function readParameters(file: string | undefined): Record<string, unknown> {
  if (file === undefined) return {};
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new UnderstudyError('FILE_UNREADABLE', `cannot read ${file}: ${messageOf(cause)}`, {
      cause,
    });
  }
  const value = parseYaml(text, file) ?? {};
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
