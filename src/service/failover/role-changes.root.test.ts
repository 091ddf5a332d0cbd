// Group processes are the stand-in.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type PairWithDirectory, pairWithDirectory, until } from '../fixtures/two-nodes.ts';
import { promote } from './role-changes.ts';

const PATIENCE_MS = 30_000;

let nodes: PairWithDirectory;

beforeEach(async () => {
  nodes = await pairWithDirectory();
});
afterEach(async () => nodes.down());

test('a promotion that may not serve leaves a standby that knows where its copy ends', async () => {
  const { a, b, dirA: dir, dirB: standbyDir } = nodes;
  await a.call('group-create', {
    input: { name: 'shop', paths: [{ dir, standbyDir }] },
    origin: 'test',
  });
  const runtime = b.service.group('shop');
  await until('b runs', async () => runtime.phase === 'running', PATIENCE_MS);
  expect(runtime.state.position).toBeNull();
  const promotion = {
    epoch: runtime.state.epoch + 1,
    base: null,
    accepts: ['up-to-date'],
    dataEpoch: runtime.state.epoch,
    noteServing: async () => Promise.reject(new Error('not to be promoted any more')),
  } as const;
  const refused = runtime.exclusive(async () => promote(runtime, promotion));
  await expect(refused).rejects.toThrow('not to be promoted any more');
  expect(runtime.state).toMatchObject({
    role: 'standby',
    epoch: promotion.dataEpoch,
    position: { sequence: expect.any(Number) },
  });
}, 60_000);
