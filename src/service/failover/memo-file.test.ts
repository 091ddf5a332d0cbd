// What the machine must not forget, whatever order it is told in.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { MemoFile } from './memo-file.ts';

let top = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-memo-'));
});
afterEach(() => rmSync(top, { recursive: true }));

const read = (): MemoFile => new MemoFile(join(top, 'failover.json'), false);

test('what was noted as served stays, though the machine keeps a memo from before it hears of that', () => {
  const file = read();
  const { memo } = file;
  file.noteServing(7);
  file.keep({ ...memo, paused: { on: true, version: 1 } });
  expect(read().memo).toMatchObject({ epoch: 7, served: 7, paused: { on: true, version: 1 } });
});

test('each start has a number of its own', () => {
  expect([read().life, read().life]).toEqual([1, 2]);
});
