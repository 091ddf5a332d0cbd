// Agents of a group with real processes: order, deadlines, giving up, probes, restarts in place.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { AgentCatalog } from '../agents/catalog.ts';
import { livingProcess } from '../agents/sdk/process-table.ts';
import type { AgentDefinition } from './agent-definition.ts';
import { AgentSupervision, type SupervisionOptions } from './agent-supervision.ts';
import type { GroupDefinition } from './group-definition.ts';

const PATIENCE_MS = 25_000;

let top = '';
let supervision: AgentSupervision | undefined;
let events: string[] = [];
let reports: string[] = [];
let killed = 0;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-agents-'));
  events = [];
  reports = [];
  killed = 0;
});
afterEach(() => {
  supervision?.close();
  rmSync(top, { recursive: true, force: true });
});

function agent(
  name: string,
  parameters: Record<string, string>,
  change: Partial<AgentDefinition> = {},
): AgentDefinition {
  return {
    use: 'command',
    name,
    after: [],
    watchesOnly: false,
    startTimeoutMs: 10_000,
    stopTimeoutMs: 10_000,
    probeIntervalMs:
      parameters['probe'] === undefined && parameters['run'] === undefined ? null : 100,
    probeTimeoutMs: 5000,
    restarts: { limit: 2, withinMs: 600_000 },
    parameters,
    ...change,
  };
}

function supervise(
  agents: AgentDefinition[],
  change: Partial<SupervisionOptions> = {},
  failover: object | null = {},
): AgentSupervision {
  const definition = { name: 'shop', agents, directories: [], addresses: [], failover };
  supervision = new AgentSupervision({
    definition: definition as unknown as GroupDefinition,
    catalog: new AgentCatalog(join(top, 'agents')),
    logDirectory: top,
    runtimeDirectory: join(top, 'run'),
    role: () => 'primary',
    isMounted: async () => true,
    isExcused: async () => false,
    killAll: async () => {
      killed += 1;
      return null;
    },
    onReport: (state, why) => reports.push(why === '' ? state : `${state}: ${why}`),
    onAllStarted: () => undefined,
    emit: (_level, code, message) => events.push(`${code} ${message}`),
    ...change,
  });
  return supervision;
}

const log = (name = 'db'): string => readFileSync(join(top, `shop.${name}.log`), 'utf8').trim();

function isAlive(pid: number): boolean {
  return livingProcess(pid) !== undefined;
}

function pidOf(name: string): number {
  const file = join(top, 'run', 'shop', name, 'program.json');
  return (JSON.parse(readFileSync(file, 'utf8')) as { pid: number }).pid;
}

async function until(isTrue: () => boolean): Promise<void> {
  const deadline = performance.now() + PATIENCE_MS;
  while (!isTrue()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${events.join('\n')}`);
    await sleep(10);
  }
}

async function pidFrom(file: string): Promise<number> {
  await until(() => existsSync(file) && readFileSync(file, 'utf8').trim() !== '');
  return Number(readFileSync(file, 'utf8').trim());
}

test('commands run in order, stop in reverse, and know why they are called', async () => {
  const all = join(top, 'all');
  const say = (name: string): string =>
    `echo ${name} $UNDERSTUDY_GROUP $UNDERSTUDY_ACTION >> ${all}`;
  const agents = supervise([
    agent('db', { start: say('db'), stop: say('db') }),
    agent('web', { start: say('web'), stop: say('web') }, { after: ['db'] }),
  ]);
  await agents.start();
  await agents.stop();
  expect(readFileSync(all, 'utf8').trim().split('\n')).toEqual([
    'db shop start',
    'web shop start',
    'web shop stop',
    'db shop stop',
  ]);
});

test('a start that is given up is killed with its children, and nothing else is started', async () => {
  const controller = new AbortController();
  const child = join(top, 'child');
  const agents = supervise([
    agent('db', { start: `sleep 60 & echo $! > ${child}; wait` }),
    agent('web', { start: `touch ${join(top, 'web')}` }, { after: ['db'] }),
  ]);
  const refused = expect(agents.start(controller.signal)).rejects.toMatchObject({
    code: 'AGENT_ABORTED',
    details: { agent: 'db', action: 'start' },
  });
  const pid = await pidFrom(child);
  expect(isAlive(pid)).toBe(true);
  controller.abort();
  await refused;
  await until(() => !isAlive(pid));
  expect(existsSync(join(top, 'web'))).toBe(false);
});

test('given up before it began: the command never runs', async () => {
  const touched = join(top, 'touched');
  const start = supervise([agent('db', { start: `touch ${touched}` })]).start(AbortSignal.abort());
  await expect(start).rejects.toMatchObject({ code: 'AGENT_ABORTED' });
  expect(existsSync(touched)).toBe(false);
});

test('a command that is late is killed with its children', async () => {
  const child = join(top, 'child');
  const stop = `sleep 60 & echo $! > ${child}; wait`;
  const agents = supervise([agent('db', { stop }, { stopTimeoutMs: 300 })]);
  await expect(agents.stop()).rejects.toThrow(/not stop: .*within 300 ms.* See .*shop\.db\.log/);
  const pid = await pidFrom(child);
  await until(() => !isAlive(pid));
});

test('each probe says how it ended and what it printed, and nothing is restarted without a machine', async () => {
  const agents = supervise(
    [
      agent('good', { probe: 'echo fine' }),
      agent('none', { start: 'true' }),
      agent('bad', { probe: 'echo connection; echo refused >&2; exit 3' }),
      agent('killed', { probe: 'kill -9 $$' }),
      agent('slow', { probe: 'echo waiting; sleep 60' }, { probeTimeoutMs: 400 }),
      agent('flood', { probe: 'yes no | head -c 20000000; exit 1' }, { probeTimeoutMs: 1000 }),
      agent('leaver', { probe: `sleep 30 & echo $! > ${join(top, 'child')}; exit 1` }),
    ],
    {},
    null,
  );
  await agents.start();
  await until(() => agents.view.every(({ name, seen }) => seen !== null || name === 'none'));
  const seen = Object.fromEntries(agents.view.map((one) => [one.name, one.seen]));
  expect(seen['good']).toMatchObject({ state: 'ok', sentence: expect.stringContaining('fine') });
  expect(seen['bad']).toMatchObject({ state: 'failed' });
  expect(seen['bad']?.sentence).toMatch(/exit code 3 \(refused\)/);
  expect(seen['killed']?.sentence).toContain('SIGKILL');
  expect(seen['slow']).toMatchObject({ state: 'hung' });
  expect(seen['slow']?.sentence).toMatch(/not done within 400 ms.*waiting/);
  expect(seen['flood']?.sentence.length).toBeLessThan(2000);
  expect(seen['leaver']?.state).toBe('failed');
  expect(agents.history['good']?.length).toBeGreaterThan(0);
  expect(events.filter((event) => event.startsWith('AGENT_RESTARTED'))).toEqual([]);
  agents.close();
  process.kill(await pidFrom(join(top, 'child')), 'SIGKILL');
});

test('a program that is killed is started again in place, one that is frozen too', async () => {
  const agents = supervise([
    agent('db', { run: 'echo up; exec sleep 1000' }, { use: 'supervised' }),
    agent('web', { run: 'exec sleep 1000' }, { use: 'supervised', after: ['db'] }),
  ]);
  const runs = (): boolean =>
    agents.view.every(({ phase, seen }) => phase === 'running' && seen?.state === 'ok');
  await agents.start();
  await until(runs);
  const [first, web] = [pidOf('db'), pidOf('web')];
  process.kill(first, 'SIGKILL');
  await until(() => events.some((event) => event.includes('1 of 2')));
  await until(runs);
  expect(pidOf('db')).not.toBe(first);
  // What depends on it was restarted with it.
  expect(pidOf('web')).not.toBe(web);
  process.kill(pidOf('web'), 'SIGSTOP');
  await until(() => events.some((event) => event.includes('stopped by a signal')));
  await until(runs);
  expect(log()).toBe('up\nup');
  await agents.stop();
  expect(isAlive(web)).toBe(false);
  expect(agents.view.map(({ phase }) => phase)).toEqual(['stopped', 'stopped']);
}, 60_000);

test('after the limit it is reported, for the other node to take over', async () => {
  const agents = supervise([
    agent(
      'db',
      { probe: 'echo the table is gone; exit 1' },
      { restarts: { limit: 1, withinMs: 60_000 } },
    ),
  ]);
  await agents.start();
  await until(() => reports.length > 0);
  expect(reports[0]).toMatch(/^failed: agent "db": .*the table is gone/);
  expect(events.filter((event) => event.startsWith('AGENT_RESTARTED'))).toHaveLength(1);
  expect(events.filter((event) => event.startsWith('AGENT_FAILED'))).toHaveLength(1);
});

test('a stop that hangs in a restart is answered by force', async () => {
  const flag = join(top, 'flag');
  const agents = supervise([
    agent(
      'db',
      { start: `touch ${flag}`, stop: 'sleep 60', probe: `test -e ${flag}` },
      { stopTimeoutMs: 200 },
    ),
  ]);
  await agents.start();
  rmSync(flag);
  await until(() => killed === 1);
  await until(() => existsSync(flag) && agents.view[0]?.phase === 'running');
  expect(events.some((event) => event.startsWith('STOP_ESCALATED'))).toBe(true);
});

test('nothing is started before its directories are there', async () => {
  let isMounted = false;
  const started = join(top, 'started');
  const agents = supervise([agent('db', { start: `touch ${started}` }, { startTimeoutMs: 500 })], {
    isMounted: async (signal) => {
      while (!isMounted && !signal.aborted) await sleep(10);
      return isMounted;
    },
  });
  await expect(agents.start()).rejects.toThrow(/did not start: the directories .* not mounted/);
  expect(existsSync(started)).toBe(false);
  const starting = agents.start();
  await sleep(100);
  isMounted = true;
  await starting;
  expect(existsSync(started)).toBe(true);
});

test('a failure that will pass is none', async () => {
  const agents = supervise([agent('db', { probe: 'false' })], { isExcused: async () => true });
  await agents.start();
  await until(() => (agents.history['db']?.length ?? 0) > 2);
  expect(events).toEqual([]);
  expect(reports).toEqual([]);
});

test('quiesced in the reverse order, for a moment', async () => {
  mkdirSync(join(top, 'agents'));
  const said = join(top, 'said');
  const say = (what: string): string => `appendFileSync('${said}', context.agent + ' ${what}\\n')`;
  writeFileSync(
    join(top, 'agents', 'till.ts'),
    `import { appendFileSync } from 'node:fs';
import { defineAgent, z } from 'understudy/agent';
export default defineAgent({
  name: 'till', title: 'Till', description: 'For a test', parameters: z.looseObject({}),
  async probe() { return { state: 'ok', sentence: 'open' }; },
  async quiesce({ stuck }, context) { if (stuck) throw new Error('it is busy'); ${say('quiet')}; },
  async resume(given, context) { ${say('resumed')}; },
});
`,
  );
  const one = agent('db', {}, { use: 'till' });
  const agents = supervise([one, agent('web', {}, { use: 'till', after: ['db'] })]);
  await agents.questions.quiesce();
  await agents.questions.resume();
  expect(readFileSync(said, 'utf8').trim().split('\n')).toEqual([
    'web quiet',
    'db quiet',
    'db resumed',
    'web resumed',
  ]);
  supervision?.close();
  const stuck = supervise([agent('db', { stuck: 'yes' }, { use: 'till' })]);
  await expect(stuck.questions.quiesce()).rejects.toThrow(/"db" .* did not quiesce: it is busy/);
}, 60_000);

test('agents that cannot be used here: said of each, never called, in the way of no stop', async () => {
  const stopped = join(top, 'stopped');
  const agents = supervise(
    [
      agent('web', { start: 'true', stop: `touch ${stopped}` }),
      agent('db', { start: 'true' }, { fault: 'written by another version' }),
      agent('till', {}, { use: 'till', after: ['web'] }),
    ],
    {},
    null,
  );
  agents.prepare();
  await expect(agents.start()).rejects.toMatchObject({
    code: 'AGENT_FAILED',
    message: expect.stringMatching(/"db" .* did not start: written by another version/),
  });
  expect(agents.faults).toEqual([
    expect.stringMatching(/"db" of group "shop": written/),
    expect.stringMatching(/"till" of group "shop": there is no agent "till"/),
  ]);
  expect(agents.view.map(({ fault }) => fault)).toEqual([
    null,
    'written by another version',
    expect.stringContaining('no agent "till"'),
  ]);
  expect(await agents.questions.reasonsAgainst()).toEqual([
    'agent "db": written by another version',
    expect.stringMatching(/^agent "till": there is no agent "till"/),
  ]);
  await agents.stop();
  expect(existsSync(stopped)).toBe(true);
  // A program that is not there is no process that was lost.
  expect(events.filter((event) => event.startsWith('AGENT_PROCESS_LOST'))).toEqual([]);
});

test('the service ends while an agent starts: the command is given up, nothing is reported', async () => {
  const begun = join(top, 'begun');
  const agents = supervise([agent('db', { start: `echo $$ > ${begun}; sleep 1000` })]);
  const started = agents.start();
  await until(() => existsSync(begun));
  const pid = Number(readFileSync(begun, 'utf8'));
  agents.giveUpStart();
  await expect(started).rejects.toMatchObject({ code: 'AGENT_ABORTED' });
  await until(() => !isAlive(pid));
  expect([reports, events]).toEqual([[], []]);
  agents.close();
  await expect(agents.start()).rejects.toMatchObject({ code: 'AGENT_ABORTED' });
});

test('a log that cannot be written does not keep an application from being stopped', async () => {
  mkdirSync(join(top, 'logs'));
  writeFileSync(join(top, 'logs', 'file'), '');
  const stopped = join(top, 'stopped');
  const agents = supervise([agent('db', { stop: `echo unheard; touch ${stopped}` })], {
    logDirectory: join(top, 'logs', 'file'),
  });
  await agents.stop();
  expect(existsSync(stopped)).toBe(true);
});

test('agents that were replaced before their socket was there open none in the place of the new ones', async () => {
  mkdirSync(join(top, 'run'));
  const first = supervise([agent('till', {}, { use: 'heartbeat' })]);
  first.prepare();
  first.close();
  await sleep(500);
  expect(existsSync(join(top, 'run', 'shop.sock'))).toBe(false);
  const second = supervise([agent('till', {}, { use: 'heartbeat' })]);
  second.prepare();
  await until(() => existsSync(join(top, 'run', 'shop.sock')));
});
