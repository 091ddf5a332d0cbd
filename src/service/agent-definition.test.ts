// The agents of a group, as people write them.
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type AgentDefinition, longestWayMs, resolveAgents } from './agent-definition.ts';
import { parseYaml } from './node-config.ts';
import { type PoolBed, poolBed } from './fixtures/pool-bed.ts';

let bed: PoolBed;
let pool: PoolBed['pool'];

beforeAll(() => {
  bed = poolBed();
  ({ pool } = bed);
});
afterAll(() => bed.remove());

async function resolve(yaml: string): Promise<AgentDefinition[]> {
  return resolveAgents(parseYaml(yaml, 'g.yaml') as { use: string }[], 'g.yaml', pool);
}

test('defaults come from the agent, then from the group; what is left are parameters', async () => {
  const [first, second, third] = await resolve(`
- { use: command, start: systemctl start shop, timeout: 2m }
- { use: command, name: web, probe: /usr/bin/web, after: [], probeInterval: 500ms, stopTimeout: 7s,
    restarts: { limit: 1 } }
- { use: command, stop: "true", probe: "true", startTimeout: 3s, restarts: { within: 1h } }
`);
  expect(first).toEqual({
    use: 'command',
    name: 'command 1',
    after: [],
    watchesOnly: false,
    startTimeoutMs: 120_000,
    stopTimeoutMs: 120_000,
    // Nothing can be asked.
    probeIntervalMs: null,
    probeTimeoutMs: 5000,
    restarts: { limit: 3, withinMs: 600_000 },
    parameters: { start: 'systemctl start shop' },
  });
  expect(second).toMatchObject({
    name: 'web',
    after: [],
    watchesOnly: true,
    stopTimeoutMs: 7000,
    probeIntervalMs: 500,
    restarts: { limit: 1, withinMs: 600_000 },
  });
  expect(third).toMatchObject({
    after: ['web'],
    probeIntervalMs: 2000,
    startTimeoutMs: 3000,
    restarts: { limit: 3, withinMs: 3_600_000 },
    parameters: { stop: 'true', probe: 'true' },
  });
});

test.each([
  ['- { use: comand }', 'AGENT_UNKNOWN', /no agent "comand" \(known: .*command/],
  [
    '- { use: command, strt: x }',
    'GROUP_INVALID',
    /agents\[0\].*"strt".*allowed: start, stop, probe/,
  ],
  ['- { use: command, start: 3 }', 'GROUP_INVALID', /agent "command 1" \(command\).* in "start"/],
  ['- { use: command, start: x, timeout: soon }', 'DURATION_INVALID', /"soon"/],
  ['- { use: command, start: x, probeInterval: 2x }', 'DURATION_INVALID', /"2x"/],
  ['- { use: command, probe: x, probeInterval: 2 }', 'GROUP_INVALID', /its unit, for example "2s"/],
  ['- { use: command, probe: x, probeInterval: 1ms }', 'GROUP_INVALID', /in "probeIntervalMs"/],
  ['- { use: command, start: x, restarts: { limt: 1 } }', 'GROUP_INVALID', /"limt" in "restarts"/],
  ['- { use: command, start: x, after: [db] }', 'GROUP_INVALID', /comes after "db", which the/],
  [
    '[{ use: command, name: a, after: [b] }, { use: command, name: b, after: [a] }]',
    'GROUP_INVALID',
    /"a" comes after itself/,
  ],
  ['[{ use: command, name: a }, { use: command, name: a }]', 'GROUP_INVALID', /the same name/],
])('%s', async (yaml, code, message) => {
  await expect(resolve(yaml)).rejects.toMatchObject({
    code,
    message: expect.stringMatching(message),
  });
});

test('a group may take as long as its agents one after the other, as far as they wait', async () => {
  const agents = await resolve(`
- { use: command, name: db, timeout: 60s }
- { use: command, name: web, timeout: 30s, after: [db] }
- { use: command, name: mail, timeout: 80s, after: [] }
`);
  expect(longestWayMs(agents, 'startTimeoutMs')).toBe(90_000);
});
