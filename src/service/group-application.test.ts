// The application of a group whose agents are replaced while they are being moved.
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentCatalog } from '../agents/catalog.ts';
import { GroupApplication, type GroupApplicationOptions } from './group-application.ts';
import { type GroupState, initialState } from './group-state.ts';

const PATIENCE_MS = 10_000;

let top = '';
let application: GroupApplication;
let agents: object[] = [];
let noted: boolean[] = [];
let state: GroupState;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-application-'));
  noted = [];
  state = initialState('primary', 1);
});
afterEach(() => {
  application.agents.close();
  rmSync(top, { recursive: true, force: true });
});

function agent(parameters: Record<string, string>): object {
  return {
    use: 'command',
    name: 'db',
    after: [],
    watchesOnly: false,
    startTimeoutMs: 60_000,
    stopTimeoutMs: 60_000,
    probeIntervalMs: null,
    probeTimeoutMs: 5000,
    restarts: { limit: 2, withinMs: 600_000 },
    parameters,
  };
}

function run(parameters: Record<string, string>): void {
  agents = [agent(parameters)];
  const options = {
    context: {
      catalog: new AgentCatalog(join(top, 'agents')),
      paths: { logs: top, agentsRun: join(top, 'run') },
    },
    definition: () => ({ name: 'shop', agents, directories: [], addresses: [], failover: {} }),
    state: () => state,
    noteState: (change: Partial<GroupState>) => {
      state = { ...state, ...change };
      if (change.agentsStarted !== undefined) noted.push(change.agentsStarted);
    },
    process: { isAlive: true },
    isRunning: () => true,
    areMountsThere: () => true,
    isClosed: () => false,
    isManaged: () => true,
    setTrouble: () => undefined,
    onReport: () => undefined,
    onReplaced: () => undefined,
    emit: () => undefined,
  };
  application = new GroupApplication(options as unknown as GroupApplicationOptions);
}

function replaceBy(parameters: Record<string, string>): void {
  agents = [agent(parameters)];
  application.replaceAgents();
}

const file = (name: string): string => join(top, name);
const hangAfter = (name: string): string => `touch ${file(name)}; sleep 600`;

async function untilThere(name: string): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!existsSync(file(name))) {
    if (performance.now() > deadline) throw new Error(`${name} is not there in time`);
    await sleep(10);
  }
}

test('agents that are replaced while they start: the new ones are started', async () => {
  run({ start: hangAfter('starting') });
  const started = application.start();
  await untilThere('starting');
  replaceBy({ start: `echo new > ${file('started')}` });
  expect(await started).toEqual([]);
  expect(readFileSync(file('started'), 'utf8')).toBe('new\n');
  expect(noted).toEqual([true]);
});

test('agents that are replaced while they stop: the new ones are stopped', async () => {
  run({ stop: hangAfter('stopping') });
  const stopped = application.stop();
  await untilThere('stopping');
  replaceBy({ stop: `echo new > ${file('stopped')}` });
  await stopped;
  expect(readFileSync(file('stopped'), 'utf8')).toBe('new\n');
  expect(noted).toEqual([false]);
});

test('what is left over mounts of before is stopped before it is started', async () => {
  const commands = { start: `echo start >> ${file('log')}`, stop: `echo stop >> ${file('log')}` };
  run(commands);
  expect(await application.start()).toEqual([]);
  expect(await application.start()).toEqual([]);
  application.agents.close();
  state = { ...state, generation: 2 };
  run(commands);
  expect(application.mayRun).toBe(true);
  expect(await application.start()).toEqual([]);
  expect(readFileSync(file('log'), 'utf8')).toBe('start\nstart\nstop\nstart\n');
  expect(state).toMatchObject({ agentsStarted: true, agentsBegun: { generation: 2 } });
});

test('nothing is left by another start of the machine', () => {
  state = { ...state, generation: 2, agentsBegun: { boot: 'another', generation: 1 } };
  run({});
  expect(application.mayRun).toBe(false);
});

test('what was given up is not begun again by the agents that come next', async () => {
  const control = new AbortController();
  run({ start: hangAfter('starting') });
  const started = application.start(control.signal);
  await untilThere('starting');
  control.abort();
  replaceBy({ start: `touch ${file('started')}` });
  expect(await started).toEqual([expect.stringContaining('was given up')]);
  expect(existsSync(file('started'))).toBe(false);
});
