// A process is asked for its status, and another one has its place before it answers.
import { expect, test } from 'vitest';
import type { ProcessStatus } from './group-process.ts';
import { StatusPoller } from './status-poller.ts';

test('what a process says that was replaced meanwhile is not what the present one is', async () => {
  const asked: ((status: ProcessStatus) => void)[] = [];
  const told: unknown[] = [];
  const poller = new StatusPoller({
    ask: async () => new Promise((resolve) => asked.push(resolve)),
    onStatus: ({ role }) => told.push(role),
  });
  const before = poller.now();
  poller.forget();
  const after = poller.now();
  asked[1]?.({ role: 'standby' });
  expect(await after).toEqual({ role: 'standby' });
  asked[0]?.({ role: 'primary' });
  expect(await before).toEqual({ role: 'standby' });
  expect(await poller.now()).toEqual({ role: 'standby' });
  expect(told).toEqual(['standby']);
});

test('whoever asked then hears of the present one', async () => {
  const asked: ((status: ProcessStatus) => void)[] = [];
  const poller = new StatusPoller({
    ask: async () => new Promise((resolve) => asked.push(resolve)),
    onStatus: () => undefined,
  });
  const now = poller.now();
  poller.forget();
  asked[0]?.({ role: 'primary' });
  await new Promise((resolve) => setImmediate(resolve));
  asked[1]?.({ role: 'standby' });
  expect(await now).toEqual({ role: 'standby' });
});
