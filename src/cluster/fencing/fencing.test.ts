// Fencing with real agents: the one of the test directory, and two of the package fence-agents.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { FenceAgent, type FenceDevice } from './fence-agent.ts';
import { Fencer } from './fencer.ts';

const AGENT = join(import.meta.dirname, 'fixtures/fence_test');
const SECRET = 'Sup3rGeheim';
let directory = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'fencing-'));
  writeFileSync(join(directory, 'secret'), `${SECRET}\n`, { mode: 0o600 });
});
afterEach(() => rmSync(directory, { recursive: true }));

function device(
  name: string,
  behaviour = 'works',
  changes: Partial<FenceDevice> = {},
): FenceDevice {
  const file = join(directory, name);
  writeFileSync(file, 'on');
  return {
    agent: AGENT,
    options: { device: file, behaviour },
    secretFiles: { password: join(directory, 'secret') },
    action: 'off',
    timeoutMs: 5000,
    ...changes,
  };
}

const logOf = (name: string): string => readFileSync(join(directory, `${name}.log`), 'utf8');
const stateOf = (name: string): string => readFileSync(join(directory, name), 'utf8').trim();

function fencer(require: 'any' | 'all', ...devices: FenceDevice[]): Fencer {
  return new Fencer({ devices, require, delayMs: 0 });
}

describe('one device', () => {
  test('off is confirmed by the status; the password came over standard input', async () => {
    const agent = new FenceAgent(device('pdu'));
    await agent.check();
    expect(await agent.status(1000)).toBe(true);
    expect(await agent.fence(5000)).toEqual({
      off: true,
      message: 'fence_test has switched it off',
    });
    expect(await agent.status(1000)).toBe(false);
    // No arguments: they would be seen by every user of the machine.
    expect(logOf('pdu').split('\n')[0]).toBe(`status password=${SECRET} `);
  });

  test('it ends a server for real', async () => {
    const server = spawn('sleep', ['60']);
    const exit = once(server, 'exit');
    const options = { device: join(directory, 'pdu'), plug: String(server.pid) };
    const agent = new FenceAgent(device('pdu', 'works', { options }));
    expect(await agent.fence(5000)).toMatchObject({ off: true });
    expect((await exit)[1]).toBe('SIGKILL');
  });

  test('reboot needs no confirmation by the status', async () => {
    const agent = new FenceAgent(device('pdu', 'works', { action: 'reboot' }));
    expect(await agent.fence(5000)).toMatchObject({ off: true });
    expect(stateOf('pdu')).toBe('on');
  });

  test('an agent that only says that it did is not believed', async () => {
    const agent = new FenceAgent(device('pdu', 'lies'));
    const answer = await agent.fence(5000);
    expect(answer.off).toBe(false);
    expect(answer.message).toContain('its power is still on');
  });

  test('a failure names the agent and why, and never the password', async () => {
    const answer = await new FenceAgent(device('pdu', 'fails')).fence(5000);
    expect(answer).toEqual({
      off: false,
      message: 'fence_test: "off" failed (exit code 1: Connection timed out, password ***)',
    });
    const error = await new FenceAgent(device('pdu', 'mute')).check().catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'FENCE_DEVICE_UNREACHABLE' });
    expect(String(error)).toContain('cannot log in with ***');
    expect(JSON.stringify(error.serialize())).not.toContain(SECRET);
  });

  test('an agent that hangs is ended, with what it has started', async () => {
    const start = performance.now();
    const answer = await new FenceAgent(device('pdu', 'hangs')).fence(300);
    expect(performance.now() - start).toBeLessThan(2000);
    expect(answer).toMatchObject({ off: false });
    expect(answer.message).toContain('no answer in time');
  });

  test('what an agent leaves in the background does not keep its answer', async () => {
    const start = performance.now();
    const agent = new FenceAgent(device('pdu', 'lingers'));
    expect(await agent.fence(5000)).toMatchObject({ off: true });
    expect(performance.now() - start).toBeLessThan(3000);
  });

  test.each([
    ['FENCE_AGENT_MISSING', { agent: 'fence_nothing' }, 'apt-get install fence-agents'],
    ['FENCE_AGENT_UNUSABLE', { agent: '/bin/true' }, 'action=metadata'],
    ['FENCE_OPTION_UNKNOWN', { options: { device: '/x', plugg: '1' } }, '"plugg"'],
    ['FENCE_OPTION_UNKNOWN', { options: { device: '/x', action: 'on' } }, '"action"'],
    ['FENCE_OPTION_MISSING', { options: {} }, '"device"'],
    ['FENCE_SECRET_UNREADABLE', { secretFiles: { password: '/none/such' } }, '/none/such'],
  ])('%s is found out when it is configured', async (code, changes, hint) => {
    await expect(new FenceAgent(device('pdu', 'works', changes)).check()).rejects.toMatchObject({
      code,
      message: expect.stringContaining(hint),
    });
  });

  test('a secret that others may read is refused', async () => {
    chmodSync(join(directory, 'secret'), 0o644);
    const agent = new FenceAgent(device('pdu'));
    await expect(agent.check()).rejects.toMatchObject({ code: 'FENCE_SECRET_UNREADABLE' });
    expect(await agent.fence(1000)).toMatchObject({ off: false });
  });
});

describe('several devices', () => {
  test('any: the next one is tried when one fails, and none after one has confirmed', async () => {
    const any = fencer('any', device('ipmi', 'fails'), device('pdu'), device('third'));
    const answer = await any.fence(10_000);
    expect(answer).toMatchObject({ off: true });
    expect(answer.message).toContain('"off" failed');
    expect([stateOf('ipmi'), stateOf('pdu'), stateOf('third')]).toEqual(['on', 'off', 'on']);
  });

  test('all: two power supplies', async () => {
    const all = fencer('all', device('left'), device('right'));
    expect(await all.fence(10_000)).toMatchObject({ off: true });
    expect([stateOf('left'), stateOf('right')]).toEqual(['off', 'off']);
    const half = fencer('all', device('left'), device('right', 'lies'));
    expect(await half.fence(10_000)).toMatchObject({ off: false });
  });

  test('two calls at once are one', async () => {
    const any = fencer('any', device('pdu'));
    const [first, second] = await Promise.all([any.fence(5000), any.fence(5000)]);
    expect(second).toBe(first);
    expect(logOf('pdu').match(/^off /gm)?.length).toBe(1);
  });

  test('without a device nothing is off', async () => {
    expect(await fencer('any').fence(100)).toMatchObject({ off: false });
    expect(await fencer('all').fence(100)).toMatchObject({ off: false });
  });

  test('the delay is kept', async () => {
    const delayed = new Fencer({ devices: [device('pdu')], require: 'any', delayMs: 300 });
    const start = performance.now();
    expect(await delayed.fence(5000)).toMatchObject({ off: true });
    expect(performance.now() - start).toBeGreaterThanOrEqual(295);
  });
});

describe('agents of ClusterLabs', () => {
  test('fence_dummy: its device is a file', { timeout: 60_000 }, async () => {
    const file = join(directory, 'status');
    writeFileSync(file, 'on');
    const agent = new FenceAgent({
      agent: 'fence_dummy',
      options: { status_file: file, type: 'file' },
      secretFiles: {},
      action: 'off',
      timeoutMs: 20_000,
    });
    await agent.check();
    expect(await agent.status(10_000)).toBe(true);
    expect(await agent.fence(20_000)).toMatchObject({ off: true });
    expect(readFileSync(file, 'utf8')).toBe('off');
  });

  test('fence_ipmilan: a device that does not answer', { timeout: 60_000 }, async () => {
    const agent = new FenceAgent({
      agent: 'fence_ipmilan',
      options: { ip: '127.0.0.1', username: 'admin', lanplus: '1', login_timeout: '2' },
      secretFiles: { password: join(directory, 'secret') },
      action: 'off',
      timeoutMs: 20_000,
    });
    const error = await agent.check().catch((thrown) => thrown);
    expect(error).toMatchObject({ code: 'FENCE_DEVICE_UNREACHABLE' });
    expect(String(error)).not.toContain(SECRET);
  });
});
