import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { BypassWatch } from './bypass-watch.ts';
import type { DirectoryUser } from './open-files.ts';

const SHELL: DirectoryUser = { pid: 11, command: 'sh', uses: '/srv/shop/log (open file)' };
const OTHER: DirectoryUser = { pid: 12, command: 'node', uses: '/srv/shop/db (mapped file)' };

let users: readonly DirectoryUser[] | undefined;
let trouble: string | null;
let events: string[];
let rescans: number;
let notes: number;
let rescanFails: boolean;
let findFails: boolean;
let watch: BypassWatch;

beforeEach(() => {
  vi.useFakeTimers();
  [users, trouble, events, rescans, notes] = [[], null, [], 0, 0];
  [rescanFails, findFails] = [false, false];
  watch = new BypassWatch({
    group: 'shop',
    find: () => {
      if (findFails) throw new Error('EMFILE: too many open files, scandir /proc');
      return users;
    },
    onBypass: (sentence) => (trouble = sentence),
    noteBypassed: async () => {
      notes += 1;
    },
    rescan: async () => {
      rescans += 1;
      if (rescanFails) throw new Error('the link is down');
    },
    emit: (_level, code, sentence) => events.push(`${code} ${sentence}`),
  });
});
afterEach(() => {
  watch.stop();
  vi.useRealTimers();
});

test('whoever is seen once may be ending: nothing is said, and nothing is looked at for ever', async () => {
  users = [SHELL];
  watch.begin();
  await vi.advanceTimersByTimeAsync(3500);
  // Another process of the same moment has not been seen twice either.
  users = [OTHER];
  await vi.advanceTimersByTimeAsync(3000);
  users = [];
  await vi.advanceTimersByTimeAsync(60_000);
  expect([trouble, events, rescans, notes]).toEqual([null, [], 0, 0]);
  expect(vi.getTimerCount()).toBe(0);
});

test('who stays is told once and shown, until nobody is left and both copies were compared', async () => {
  users = [SHELL];
  watch.begin();
  await vi.advanceTimersByTimeAsync(7000);
  expect(events).toEqual([
    expect.stringMatching(/^FILTER_BYPASSED .*restart 11 sh: \/srv\/shop\/log/),
  ]);
  users = [OTHER];
  await vi.advanceTimersByTimeAsync(16_000);
  expect(trouble).toContain('restart 12 node: /srv/shop/db (mapped file)');
  expect(events).toHaveLength(1);
  // A process that succeeded the one that was told has to know it, too.
  expect(notes).toBe(2);

  users = [];
  rescanFails = true;
  await vi.advanceTimersByTimeAsync(16_000);
  expect([rescans, trouble === null]).toEqual([1, false]);
  rescanFails = false;
  await vi.advanceTimersByTimeAsync(16_000);
  expect([rescans, trouble]).toEqual([2, null]);
  expect(events.at(-1)).toMatch(/^FILTER_BYPASS_OVER/);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(rescans).toBe(2);
});

test('a look for which there is no descriptor is taken again', async () => {
  users = [SHELL];
  findFails = true;
  watch.begin();
  await vi.advanceTimersByTimeAsync(3500);
  findFails = false;
  await vi.advanceTimersByTimeAsync(7000);
  expect(events).toEqual([expect.stringMatching(/^FILTER_BYPASSED/)]);
});

test('the end of the primary ends it', async () => {
  users = [SHELL];
  watch.begin();
  await vi.advanceTimersByTimeAsync(7000);
  users = undefined;
  await vi.advanceTimersByTimeAsync(16_000);
  expect([trouble, vi.getTimerCount()]).toEqual([null, 0]);
});
