// A copy that was taken back to be promoted, while the service that was to do that ends: its primary brings it up to date again.
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programs } from './daemon.ts';
import { type TestNode, pairWithDirectory, type PairWithDirectory } from './fixtures/two-nodes.ts';

let nodes: PairWithDirectory;
let a: TestNode;
let b: TestNode;
let dirA = '';
let dirB = '';

beforeAll(async () => {
  nodes = await pairWithDirectory(programs);
  ({ a, b, dirA, dirB } = nodes);
  const input = { name: 'shop', paths: [{ dir: dirA, standbyDir: dirB }] };
  await a.call('group-create', { input, origin: 'test' });
  await a.upToDate('shop');
}, 120_000);
afterAll(async () => nodes.down());

test('the service of the standby is restarted between the two', async () => {
  const mark = {
    method: 'POST',
    path: '/groups/shop/rewind/marks',
    body: { name: 'here' },
  } as const;
  await b.api.run(mark);
  writeFileSync(join(dirA, 'after'), '2');
  await a.upToDate('shop');
  const wish = { kind: 'name', name: 'here' };
  const runtime = b.service.group('shop');
  await runtime.whileTakenBack(async () => {
    await runtime.process.call('rewind', { wish }, 30_000);
    expect(await runtime.process.status()).toMatchObject({ rewound: true });
    await b.stop();
  });
  await b.start();
  await a.upToDate('shop', 30_000);
  expect(readFileSync(join(dirB, 'after'), 'utf8')).toBe('2');
  expect(await b.eventCodes()).toContain('REWIND_GIVEN_UP');
}, 90_000);
