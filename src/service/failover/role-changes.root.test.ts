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

test("data that was this node's own is not promoted once its process knows of another primary", async () => {
  const { a, b, dirA: dir, dirB: standbyDir } = nodes;
  await a.call('group-create', {
    input: { name: 'shop', paths: [{ dir, standbyDir }] },
    origin: 'test',
  });
  const runtime = b.service.group('shop');
  await until('b runs', async () => runtime.phase === 'running', PATIENCE_MS);
  // The disk did not take that it is its own no more, and the next service has read what was before.
  runtime.saveState({ own: { epoch: runtime.state.epoch, sequence: 7 } });
  b.behave({ copy: 'syncing' });
  const promotion = {
    epoch: runtime.state.epoch + 1,
    base: null,
    accepts: ['up-to-date'],
    dataEpoch: runtime.state.epoch,
    noteServing: async () => undefined,
  } as const;
  const refused = runtime.exclusive(async () => promote(runtime, promotion));
  await expect(refused).rejects.toMatchObject({ code: 'COPY_NOT_UP_TO_DATE' });
  expect(runtime.state.role).toBe('standby');
  b.behave({ copy: 'empty' });
  await runtime.exclusive(async () => promote(runtime, promotion));
  expect(runtime.state.role).toBe('primary');
}, 60_000);
