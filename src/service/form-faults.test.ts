// Whatever is refused of a group or a limit, a form can show it where it was written.
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AddressesInput, resolveAddresses, resolveFailover } from '../cluster/settings.ts';
import { UnderstudyError } from '../core/errors.ts';
import { resolveAgents } from './agent-definition.ts';
import { defineBandwidth } from './bandwidth-input.ts';
import { defineGroup, parseGroupInput } from './group-definition.ts';
import { type PoolBed, poolBed } from './fixtures/pool-bed.ts';

let bed: PoolBed;
let pool: PoolBed['pool'];

beforeAll(() => {
  bed = poolBed();
  ({ pool } = bed);
});
afterAll(() => bed.remove());

/** The fields that a refusal names; it has a fault for each. */
async function fieldsOf(work: () => unknown): Promise<readonly string[]> {
  try {
    await work();
  } catch (thrown) {
    if (!(thrown instanceof UnderstudyError)) throw thrown;
    const { fields, faults } = thrown.details as Record<string, readonly string[]>;
    expect(faults).toHaveLength(fields?.length ?? -1);
    return fields ?? [];
  }
  throw new Error('nothing was refused');
}

function define(part: object): void {
  const input = parseGroupInput({ name: 'shop', paths: [{ dir: '/srv/shop' }], ...part }, 'test');
  defineGroup(input, { peerId: '0'.repeat(16), port: 7441, origin: 'test', agents: [] });
}

describe('a group', () => {
  test.each([
    [{ name: 'A B' }, 'name'],
    [{ paths: [{ dir: '/srv/a' }, { dir: 'srv' }] }, 'paths[1].dir'],
    [{ paths: [{ dir: '/srv/a', standbyDir: '/srv/../b' }] }, 'paths[0].standbyDir'],
    [{ replication: { mode: 'fast' } }, 'replication.mode'],
    [{ replication: { syncTimeout: 'soon' } }, 'replication.syncTimeout'],
    [{ replication: { journal: 'big' } }, 'replication.journal'],
    [{ replication: { journal: '1 MiB' } }, 'replication.journal'],
    [{ replication: { linkTimeout: '1ms' } }, 'replication.linkTimeout'],
    [{ replication: { undo: { hours: -1 } } }, 'replication.undo.hours'],
    [{ replication: { undo: { hours: 1e9 } } }, 'replication.undo.hours'],
    [{ replication: { undo: { diskPercent: 'much' } } }, 'replication.undo.diskPercent'],
    [{ replication: { bandwidth: 'fast' } }, 'default'],
    [{ safety: { guard: 'maybe' } }, 'safety.guard'],
    [{ safety: { deletions: { percent: 200 } } }, 'safety.deletions.percent'],
    [{ safety: { deletions: { within: 'soon' } } }, 'safety.deletions.within'],
    [{ safety: { deletions: { within: '1ms' } } }, 'safety.deletions.within'],
    [{ verify: 'often' }, 'verify'],
    [{ verify: '1s' }, 'verify'],
    [{ verify: '99999999999999999999d' }, 'verify'],
    [{ addresses: [{ ip: '192.0.2.1/24', interface: 'a b' }] }, 'addresses[0].interface'],
  ])('%j', async (part, field) => {
    expect(await fieldsOf(() => define(part))).toEqual([field]);
  });
});

test('a fault is told with the name that people write', () => {
  const replication = { journal: '1 MiB' };
  expect(() => define({ replication })).toThrow(/, replication: .* in "replication.journal"$/);
});

describe('addresses and failover', () => {
  test.each([
    [[{ ip: '192.0.2.10', interface: 'eth0' }], 'addresses[0].ip'],
    [[{ ip: '192.0.2.10/24', interface: { b: 'eth0' } }], 'addresses[0].interface'],
  ] satisfies [AddressesInput, string][])('%j', async (input, field) => {
    const options = { name: 'a', origin: 'test' };
    expect(await fieldsOf(() => resolveAddresses(input, options))).toEqual([field]);
  });

  test('an arbiter without what it needs', async () => {
    const failover = { arbiter: 'gateway' } as const;
    expect(await fieldsOf(() => resolveFailover(failover, 'test'))).toEqual(['failover.arbiter']);
  });
});

describe('agents', () => {
  test.each([
    [[{ use: 'nonsense' }], ['agents[0].use']],
    [[{ use: 'tcp' }], ['agents[0].port']],
    [[{ use: 'postgresql', port: 70_000, dataDir: 'pg' }], ['agents[0].dataDir', 'agents[0].port']],
    [[{ use: 'command', start: 'true', typo: 1 }], ['agents[0].use']],
    [[{ use: 'command', probe: 'true', probeInterval: 'often' }], ['agents[0].probeInterval']],
    [[{ use: 'command', start: 'true', after: ['none'] }], ['agents']],
  ])('%j', async (agents, fields) => {
    const found = await fieldsOf(async () => resolveAgents(agents, 'test', pool));
    expect([...found].toSorted()).toEqual(fields);
  });
});

describe('a limit', () => {
  const window = { days: 'mon-fri', from: '08:00', to: '18:00', bandwidth: '50 Mbit/s' };
  test.each([
    ['fast', 'default'],
    [{ default: '1 bit/s', schedule: [] }, 'default'],
    [{ schedule: [window, { ...window, days: 'someday' }] }, 'schedule[1].days'],
    [{ schedule: [{ ...window, days: [] }] }, 'schedule[0].days'],
    [{ schedule: [{ ...window, from: '25:00' }] }, 'schedule[0].from'],
    [{ schedule: [{ ...window, to: '08:00' }] }, 'schedule[0].to'],
    [{ schedule: [{ ...window, bandwidth: 'fast' }] }, 'schedule[0].bandwidth'],
    [{ schedule: [window, { ...window, from: '17:00' }] }, 'schedule[1].from'],
  ])('%j', async (input, field) => {
    expect(await fieldsOf(() => defineBandwidth(input, 'test'))).toEqual([field]);
  });
});
