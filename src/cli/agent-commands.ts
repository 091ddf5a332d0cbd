// Commands about agents: agent list|show|new|test. They need no service: an agent is tried before there is a
// group.
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import type { AgentPool } from '../agents/agent-pool.ts';
import { AgentCatalog, type CatalogEntry } from '../agents/catalog.ts';
import type { AgentDescription } from '../agents/host/host-protocol.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { formatDurationMs } from '../core/units.ts';
import { servicePaths } from '../service/service-paths.ts';
import { described, withPool } from './agent-pool.ts';
import { addAgentTestCommand } from './agent-test-command.ts';
import { print, table } from './output.ts';

const TEMPLATES = join(import.meta.dirname, '../agents/templates');
const KIT = join(import.meta.dirname, '../agents/sdk.ts');
const NAME_PATTERN = /^[a-z][a-z0-9-]{0,39}$/;

interface Json {
  readonly json?: boolean;
}

export function addAgentCommands(program: Command): void {
  const agent = program.command('agent').description('agents: what knows an application');
  agent
    .command('list')
    .description('show all agents of this node')
    .option('--json', 'print JSON')
    .action(list);
  agent
    .command('show')
    .description('show what an agent watches, and its parameters')
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
  addAgentTestCommand(agent);
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
