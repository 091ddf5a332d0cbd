// Applications that report by themselves: over the socket, into the probe.
import { mkdirSync, mkdtempSync, rmSync, statSync } from 'node:fs';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { heartbeat } from '../agents/builtin/heartbeat.ts';
import type { AgentContext, ProbeResult } from '../agents/agent.ts';
import { probeResultSchema } from '../agents/invoke.ts';
import { HeartbeatSocket } from './agent-heartbeats.ts';

let top = '';
let path = '';
let socket: HeartbeatSocket;

beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'understudy-heartbeat-'));
  for (const name of ['till', 'box']) mkdirSync(join(top, name));
  path = join(top, 'shop.sock');
});
afterEach(() => {
  socket.close();
  rmSync(top, { recursive: true, force: true });
});

async function listen(...names: string[]): Promise<void> {
  socket = new HeartbeatSocket(
    path,
    names.map((name) => ({ name, runtimeDirectory: join(top, name) })),
  );
  await socket.listen(undefined);
}

async function post(body: string, url = '/heartbeat', method = 'POST'): Promise<[number, string]> {
  return new Promise((resolve, reject) => {
    const call = request({ socketPath: path, path: url, method }, (response) => {
      let text = '';
      response.on('data', (chunk: Buffer) => (text += chunk.toString()));
      response.once('end', () => {
        const { error } = JSON.parse(text === '' ? '{"error":""}' : text) as { error: string };
        resolve([response.statusCode ?? 0, error]);
      });
    });
    call.once('error', reject);
    call.end(body);
  });
}

const context = (name: string): AgentContext =>
  ({ runtimeDirectory: join(top, name) }) as AgentContext;

async function probe(name: string, given: object = {}): Promise<ProbeResult> {
  return heartbeat.probe(heartbeat.parameters.parse(given), context(name));
}

test('a report is what the probe says, until it is too old', async () => {
  await listen('till');
  expect(statSync(path).mode & 0o777).toBe(0o600);
  expect(await probe('till')).toMatchObject({ state: 'stopped' });
  await heartbeat.start?.(heartbeat.parameters.parse({}), context('till'));
  expect(await probe('till')).toMatchObject({
    state: 'ok',
    sentence: expect.stringContaining('not reported yet'),
  });
  await sleep(20);
  expect(await probe('till', { first: '1ms' })).toMatchObject({ state: 'failed' });

  expect(await post('')).toEqual([204, '']);
  expect(await probe('till')).toMatchObject({ state: 'ok' });
  const report = { state: 'degraded', sentence: 'the paper is low', measures: { sales: 12 } };
  expect(await post(JSON.stringify({ agent: 'till', ...report }))).toEqual([204, '']);
  expect(await probe('till')).toEqual(report);
  await sleep(50);
  expect(await probe('till', { every: '10ms', missed: 1 })).toMatchObject({
    state: 'failed',
    sentence: expect.stringMatching(/last report is .* old, one every 10ms is due/),
  });
  await heartbeat.stop?.(heartbeat.parameters.parse({}), context('till'));
  expect(await probe('till')).toMatchObject({ state: 'stopped' });
});

test('of several agents the one that is meant; what is wrong is said', async () => {
  await listen('till', 'box');
  expect(await post('{"agent":"box"}')).toEqual([204, '']);
  expect(await probe('box')).toMatchObject({ state: 'ok' });
  expect(await probe('till')).toMatchObject({ state: 'stopped' });
  expect(await post('{}')).toEqual([404, expect.stringContaining('"till", "box"')]);
  expect(await post('{"agent":"safe"}')).toEqual([404, expect.stringContaining('"till", "box"')]);
  expect(await post('{"state":"fine"}')).toEqual([400, expect.stringContaining('"state"')]);
  expect(await post('{"stat":"ok"}')).toEqual([400, expect.stringContaining('allowed: agent')]);
  expect(await post('garbage')).toEqual([400, expect.any(String)]);
  expect((await post('x'.repeat(20_000)))[0]).toBe(413);
  expect((await post('{}', '/other'))[0]).toBe(404);
  expect((await post('', '/heartbeat', 'PUT'))[0]).toBe(404);
});

test('what a probe may not say is not taken: the application would be neither well nor failed', async () => {
  await listen('till');
  const many = Object.fromEntries(Array.from({ length: 65 }, (_, index) => [`m${index}`, index]));
  for (const report of [
    { state: 'failed', sentence: ' \n' },
    { state: 'failed', measures: many },
    { state: 'failed', sentence: 'no paper', measures: { sales: 3 } },
  ]) {
    const [status] = await post(JSON.stringify(report));
    if (status !== 204) continue;
    expect(probeResultSchema.safeParse(await probe('till')).data?.state).toBe('failed');
  }
  expect(await probe('till')).toMatchObject({ sentence: 'no paper' });
});

test.each([[{ every: 'often' }], [{ missed: 0 }], [{ user: 'a b' }], [{ evry: '5s' }]])(
  '%j',
  (given) => {
    expect(heartbeat.parameters.safeParse(given).success).toBe(false);
  },
);
