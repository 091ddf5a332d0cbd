// Commands of agents: deadlines, giving up, probes; with real processes.
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AgentContext, probeAgents, startAgents, stopAgents } from './agent-runner.ts';
import type { AgentDefinition } from './group-definition.ts';

let top = '';
let context: AgentContext;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-agents-'));
  context = { group: 'shop', role: 'primary', logFile: join(top, 'log') };
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

function agent(change: Partial<AgentDefinition>): AgentDefinition {
  const base = { use: 'command', name: 'db', start: null, stop: null, timeoutMs: 10_000 } as const;
  return { ...base, probe: null, probeIntervalMs: 2000, probeTimeoutMs: 5000, ...change };
}

function say(name: string): string {
  return `echo ${name} $UNDERSTUDY_GROUP $UNDERSTUDY_ACTION`;
}

function isAlive(pid: number): boolean {
  try {
    // A zombie is dead: its parent has just not looked yet.
    return !readFileSync(`/proc/${pid}/stat`, 'utf8').includes(') Z ');
  } catch {
    return false;
  }
}

async function pidFrom(file: string): Promise<number> {
  const deadline = performance.now() + 10_000;
  while (!existsSync(file) || readFileSync(file, 'utf8').trim() === '') {
    if (performance.now() > deadline) throw new Error(`no pid in ${file}`);
    await sleep(10);
  }
  return Number(readFileSync(file, 'utf8').trim());
}

test('commands run in order, stop in reverse, and know why they are called', async () => {
  const agents = ['db', 'web'].map((name) => agent({ name, start: say(name), stop: say(name) }));
  await startAgents(agents, context);
  await stopAgents(agents, context);
  expect(readFileSync(context.logFile, 'utf8').trim().split('\n')).toEqual([
    'db shop start',
    'web shop start',
    'web shop stop',
    'db shop stop',
  ]);
});

test('a start that is given up is killed with its children, and nothing else is started', async () => {
  const controller = new AbortController();
  const child = join(top, 'child');
  const agents = [
    agent({ start: `sleep 60 & echo $! > ${child}; wait` }),
    agent({ name: 'web', start: `touch ${join(top, 'web')}` }),
  ];
  const starting = startAgents(agents, { ...context, signal: controller.signal });
  const refused = expect(starting).rejects.toMatchObject({
    code: 'AGENT_ABORTED',
    details: { agent: 'db', action: 'start' },
  });
  const pid = await pidFrom(child);
  expect(isAlive(pid)).toBe(true);
  const since = performance.now();
  controller.abort();
  await refused;
  expect(performance.now() - since).toBeLessThan(2000);
  await sleep(50);
  expect(isAlive(pid)).toBe(false);
  expect(existsSync(join(top, 'web'))).toBe(false);
});

test('given up before it began: the command never runs', async () => {
  const touched = join(top, 'touched');
  const start = startAgents([agent({ start: `touch ${touched}` })], {
    ...context,
    signal: AbortSignal.abort(),
  });
  await expect(start).rejects.toMatchObject({ code: 'AGENT_ABORTED' });
  expect(existsSync(touched)).toBe(false);
});

test('a command that is late is killed with its children', async () => {
  const child = join(top, 'child');
  const slow = agent({ stop: `sleep 60 & echo $! > ${child}; wait`, timeoutMs: 300 });
  await expect(stopAgents([slow], context)).rejects.toThrow(/not stop: .*within 300 ms/);
  const pid = await pidFrom(child);
  await sleep(50);
  expect(isAlive(pid)).toBe(false);
});

test('probes run side by side; each says how it ended and what it printed', async () => {
  const agents = [
    agent({ name: 'good', probe: 'sleep 0.3; echo fine' }),
    agent({ name: 'none' }),
    agent({ name: 'bad', probe: 'echo connection; echo refused >&2; exit 3' }),
    agent({ name: 'killed', probe: 'kill -9 $$' }),
    agent({ name: 'slow', probe: 'echo waiting; sleep 60', probeTimeoutMs: 400 }),
  ];
  const since = performance.now();
  const results = await probeAgents(agents, context);
  expect(performance.now() - since).toBeLessThan(3000);
  expect(results.map(({ agent: name, state }) => `${name} ${state}`)).toEqual([
    'good ok',
    'bad failed',
    'killed failed',
    'slow hung',
  ]);
  const [good, bad, killed, slow] = results;
  expect(good?.why).toBe('');
  expect(bad?.why).toMatch(/"bad" failed: it ended with exit code 3 \(.*refused/);
  expect(killed?.why).toContain('it ended with SIGKILL');
  expect(slow?.why).toContain('it was not done within 400 ms (waiting)');
  expect(existsSync(context.logFile)).toBe(false);
});

test('a probe that floods its output, or leaves a child behind, costs no memory and no time', async () => {
  const flood = agent({ name: 'flood', probe: 'yes no | head -c 20000000; exit 1' });
  const child = join(top, 'child');
  const leaver = agent({ name: 'leaver', probe: `sleep 30 & echo $! > ${child}; exit 1` });
  const since = performance.now();
  const [flooded, left] = await probeAgents([flood, leaver], context);
  expect(performance.now() - since).toBeLessThan(10_000);
  expect(flooded?.state).toBe('failed');
  expect(flooded?.why.length).toBeLessThan(2000);
  expect(left?.state).toBe('failed');
  process.kill(await pidFrom(child), 'SIGKILL');
});

test('a probe can be given up', async () => {
  const controller = new AbortController();
  const probing = probeAgents([agent({ probe: 'sleep 60' })], {
    ...context,
    signal: controller.signal,
  });
  const refused = expect(probing).rejects.toMatchObject({ code: 'AGENT_ABORTED' });
  controller.abort();
  await refused;
});

test('a log that cannot be written does not keep an application from being stopped', async () => {
  writeFileSync(join(top, 'file'), '');
  const stopped = join(top, 'stopped');
  await stopAgents([agent({ stop: `echo unheard; touch ${stopped}` })], {
    ...context,
    logFile: join(top, 'file', 'log'),
  });
  expect(existsSync(stopped)).toBe(true);
});
