// What the machine must not forget, whatever order it is told in.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { MemoFile } from './memo-file.ts';

let top = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-memo-'));
});
afterEach(() => rmSync(top, { recursive: true }));

const path = (): string => join(top, 'failover.json');
const read = (): MemoFile => new MemoFile(path(), false);

test('what was noted as served stays, though the machine keeps a memo from before it hears of that', () => {
  const file = read();
  const { memo } = file;
  file.noteServing(7);
  file.keep({ ...memo, paused: { on: true, version: 1 } });
  expect(read().memo).toMatchObject({ epoch: 7, served: 7, paused: { on: true, version: 1 } });
});

describe('the number of a start', () => {
  beforeEach(() => {
    vi.useFakeTimers();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test('is above all before it, also on a disk that was put back to an earlier state', () => {
    vi.setSystemTime('2026-11-27T10:00:00Z');
    const { life: first } = read();
    const backup = readFileSync(path());
    const { life: second } = read();
    expect(second).toBeGreaterThan(first);
    vi.setSystemTime('2026-11-27T11:00:00Z');
    writeFileSync(path(), backup);
    expect(read().life).toBeGreaterThan(second);
  });

  test('grows when the clock was put back', () => {
    vi.setSystemTime('2026-11-27T10:00:00Z');
    const { life } = read();
    vi.setSystemTime('2001-01-01T00:00:00Z');
    expect(read().life).toBe(life + 1);
  });
});
