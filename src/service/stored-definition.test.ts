// Definitions that another version wrote: the group goes on, whatever its agents are.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { resolveAgents } from './agent-definition.ts';
import { defineGroup, parseGroupInput } from './group-definition.ts';
import { readDefinition, readStoredAgents } from './stored-definition.ts';
import { type PoolBed, poolBed } from './fixtures/pool-bed.ts';

let bed: PoolBed;
let top = '';
let pool: PoolBed['pool'];

beforeEach(() => {
  bed = poolBed();
  ({ pool, top } = bed);
});
afterEach(() => bed.remove());

const input = parseGroupInput({ name: 'shop', paths: [{ dir: '/srv/shop' }] }, 'test');
const options = { peerId: 'ab'.repeat(8), port: 7441, origin: 'test', agents: [] };

/** The definition file with these agents in it, read. */
function read(agents: unknown, change: object = {}): ReturnType<typeof readDefinition> {
  const path = join(top, 'definition.json');
  writeFileSync(path, JSON.stringify({ ...defineGroup(input, options), agents, ...change }));
  return readDefinition(path);
}

/** As the version before there were others than commands wrote them. */
const FORMER = [
  {
    use: 'command',
    name: 'database',
    start: 'systemctl start db',
    stop: 'systemctl stop db',
    timeoutMs: 90_000,
    probe: 'db-ping',
    probeIntervalMs: 3000,
    probeTimeoutMs: 4000,
  },
  { use: 'command', name: 'web', start: null, stop: null, timeoutMs: 60_000, probe: null },
];

test('commands of the first version do what they did', async () => {
  const inputs = [
    {
      use: 'command',
      name: 'database',
      start: 'systemctl start db',
      stop: 'systemctl stop db',
      timeout: '90s',
      probe: 'db-ping',
      probeInterval: '3s',
      probeTimeout: '4s',
    },
    { use: 'command', name: 'web' },
  ];
  // The same as if they were written today.
  expect(read(FORMER)?.agents).toEqual(await resolveAgents(inputs, 'test', pool));
});

test('what this version writes is read as it is', async () => {
  const inputs = [
    { use: 'http', url: 'http://127.0.0.1/' },
    { use: 'disk', after: [] },
  ];
  const agents = await resolveAgents(inputs, 'test', pool);
  expect(read(agents)?.agents).toEqual(agents);
}, 30_000);

test.each([
  ['of a later version', { use: 'oracle9', name: 'db', shards: 3 }, 'oracle9', 'db', /"after"/],
  ['without a name', { use: 'command', start: 'x' }, 'command', 'agent 2', /"name" is missing/],
  ['that is no object', 'till', 'unknown', 'agent 2', /expected object/],
  [
    'with a name that is taken',
    { ...FORMER[0] },
    'command',
    'agent 2',
    /there are two agents "database"/,
  ],
])(
  'one %s: its group is read, and it says why it cannot be used',
  async (_, value, use, name, why) => {
    const definition = read([FORMER[0], value, { ...FORMER[1], name: 'after it' }]);
    expect(definition?.directories).toHaveLength(1);
    const [first, agent, last] = definition?.agents ?? [];
    expect([first?.fault, last?.fault]).toEqual([undefined, undefined]);
    expect(agent).toMatchObject({
      use,
      name,
      after: ['database'],
      fault: expect.stringMatching(why),
    });
    expect(agent?.fault).toMatch(/another version .* is mirrored, and its application has to be/);
    expect(last?.after).toEqual([name]);
    // Nobody tries to find out by calling it.
    const present = agent ?? { use, name, parameters: {} };
    expect(pool.faultOf(present)).toBe(agent?.fault);
    const context = { role: 'primary', directories: [], addresses: [], timeoutMs: 1000 } as const;
    const { signal } = new AbortController();
    expect(await pool.invoke(present, 'start', { ...context, signal })).toMatchObject({
      kind: 'unusable',
      why: agent?.fault,
    });
    // Written and read again it is the same; a version that knows it finds all that there was.
    expect(read(definition?.agents)?.agents).toEqual(definition?.agents);
    expect(agent?.parameters).toEqual(typeof value === 'string' ? { value } : value);
  },
);

test('what could not be understood before is looked at again', () => {
  const [unusable] = readStoredAgents([{ use: 'command', name: 'x' }]);
  expect(unusable?.fault).toMatch(/./);
  const [again] = readStoredAgents([{ ...unusable, parameters: FORMER[0] }]);
  expect(again).toEqual(readStoredAgents([FORMER[0]])[0]);
});

test('names of agents that are not there any more are not waited for', () => {
  const [first, second] = readStoredAgents(FORMER);
  const again = readStoredAgents([first, { ...second, after: ['gone', 'database'] }]);
  expect(again[1]?.after).toEqual(['database']);
});

test('a definition that is damaged otherwise is still none', () => {
  expect(() => read(FORMER, { groupId: 'x' })).toThrow(/cannot be used: .*groupId/);
  expect(() => read('none')).toThrow(/cannot be used: .*agents/);
});
