import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { Filter } from '../filter/filter.ts';
import type { ScanPlan } from '../filter/scanner.ts';
import type { Marks } from '../journal/marks.ts';
import type { CopyState } from '../mirror/link/frame.ts';
import type { Sender } from '../mirror/sender.ts';
import { PrimaryScans } from './primary-scans.ts';

const PROGRESS = { files: 7, bytes: 70, sentBytes: 0 };
const FAULT = '/srv/shop/orders cannot be read (EIO)';

let begun: ScanPlan[] = [];
let said: string[] = [];
let isHolding = true;
let copy: CopyState | undefined;
let scans: PrimaryScans;

beforeEach(() => {
  vi.useFakeTimers();
  begun = [];
  said = [];
  isHolding = true;
  copy = 'up-to-date';
  scans = new PrimaryScans({
    group: 'shop',
    filter: { underneath: [], scan: (plan: ScanPlan) => begun.push(plan) } as unknown as Filter,
    sender: {
      get isHolding() {
        return isHolding;
      },
      get copy() {
        return copy;
      },
    } as Sender,
    marks: { upTo: () => undefined } as unknown as Marks,
    emit: (_level, code) => said.push(code),
  });
});
afterEach(() => {
  scans.stop();
  vi.useRealTimers();
});

test('a scan that meets something unreadable is told once, and tried again with growing pauses until it is through', () => {
  scans.start({ mode: 'full' });
  scans.onProgress(PROGRESS, false, FAULT);
  expect(scans.isScanning).toBe(false);
  expect(scans.status['scanFault']).toContain(FAULT);
  vi.advanceTimersByTime(30_000);
  expect(begun).toEqual([{ mode: 'full' }, { mode: 'full' }]);
  scans.onProgress(PROGRESS, false, FAULT);
  vi.advanceTimersByTime(59_000);
  expect(begun).toHaveLength(2);
  vi.advanceTimersByTime(1000);
  expect(begun).toHaveLength(3);
  expect(said).toEqual(['SCAN_STARTED', 'SCAN_FAILED']);
  scans.onProgress(PROGRESS, true);
  expect(said).toEqual(['SCAN_STARTED', 'SCAN_FAILED', 'SCAN_SENT']);
  expect(scans.status['scanFault']).toBeNull();
  vi.advanceTimersByTime(600_000);
  expect(begun).toHaveLength(3);
});

test('a scan that the standby asks for meanwhile takes its place; without a stream nothing is begun', () => {
  scans.start({ mode: 'hash' });
  scans.onProgress(PROGRESS, false, FAULT);
  scans.onWanted({ mode: 'hash', since: null });
  vi.advanceTimersByTime(600_000);
  expect(begun).toHaveLength(2);
  scans.onProgress(PROGRESS, false, FAULT);
  isHolding = false;
  vi.advanceTimersByTime(600_000);
  expect(begun).toHaveLength(2);
});

test('a copy that is halted, or that nothing is known of yet, is compared as soon as it can be', () => {
  copy = undefined;
  scans.rescan();
  copy = 'halted';
  scans.onCopy();
  expect(begun).toEqual([]);
  expect(() => scans.repair()).toThrow('understudy accept shop');
  copy = 'catching-up';
  scans.onCopy();
  scans.onCopy();
  expect(begun).toEqual([{ mode: 'hash' }]);
  copy = 'halted';
  scans.rescan();
  scans.onWanted({ mode: 'full', since: null });
  copy = 'up-to-date';
  scans.onCopy();
  expect(begun).toEqual([{ mode: 'hash' }, { mode: 'full' }]);
  scans.repair();
  expect(begun).toHaveLength(3);
});

test('a scan that is to be tried again waits for a copy that was halted meanwhile', () => {
  scans.start({ mode: 'hash' });
  scans.onProgress(PROGRESS, false, FAULT);
  copy = 'halted';
  vi.advanceTimersByTime(30_000);
  expect(begun).toHaveLength(1);
  copy = 'up-to-date';
  scans.onCopy();
  expect(begun).toHaveLength(2);
});
