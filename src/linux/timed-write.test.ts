import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Random } from '../../test/support/random.ts';
import { boottimeMs } from './boottime.ts';
import { errno } from './constants.ts';
import { addressOf } from './libc.ts';
import { mapSharedCells } from './shared-cells.ts';
import { createTimedWrite, TOO_LATE } from './timed-write.ts';

const STOPS = 300;
const RIGHT_MS = 4;
const LIFETIME_MS = 25_000;

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'timed-write-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('writes before its time and not after', () => {
  const path = join(directory, 'file');
  const fd = openSync(path, 'w');
  const end = new Float64Array(1);
  const { write } = createTimedWrite(end);
  const text = Buffer.from('abc');
  const attempt = (untilMs: number): number => {
    end[0] = untilMs;
    return write(fd, addressOf(text), text.length);
  };
  const now = boottimeMs();
  expect([now - 0.001, 0, -1, Number.NaN, -Infinity].map(attempt)).toEqual(Array(5).fill(TOO_LATE));
  expect(readFileSync(path, 'latin1')).toBe('');
  expect([now + 10_000, Infinity].map(attempt)).toEqual([3, 3]);
  expect(readFileSync(path, 'latin1')).toBe('abcabc');
  closeSync(fd);
  expect(attempt(Infinity)).toBe(-errno.EBADF);
});

test('a process that is stopped anywhere never writes late', async () => {
  const file = join(directory, 'file');
  const cellsFile = join(directory, 'cells');
  const cells = mapSharedCells(cellsFile, { create: true });
  const script = join(import.meta.dirname, '../../test/support/timed-writer.ts');
  const writer = spawn(process.execPath, [script, file, cellsFile, String(LIFETIME_MS)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const pid = writer.pid ?? 0;
  const [printed] = (await once(writer.stdout, 'data')) as [Buffer];
  const random = new Random(1);
  const stop = async (): Promise<void> => {
    writer.kill('SIGSTOP');
    while (!readFileSync(`/proc/${pid}/stat`, 'latin1').includes(') T ')) await sleep(0);
  };
  let late = 0;
  let written = 0;
  for (let round = 0; round < STOPS; round += 1) {
    const begin = statSync(file).size;
    cells[0] = boottimeMs() + RIGHT_MS;
    // Stops are to fall between two timers, too.
    const until = boottimeMs() + random.below(1000) / 400;
    while (boottimeMs() < until);
    await stop();
    const before = statSync(file).size;
    while (boottimeMs() <= (cells[0] ?? 0)) await sleep(1);
    writer.kill('SIGCONT');
    await sleep(1);
    await stop();
    written += before - begin;
    late += statSync(file).size - before;
    writer.kill('SIGCONT');
  }
  const ended = once(writer, 'exit');
  writer.kill('SIGKILL');
  await ended;
  expect(written).toBeGreaterThan(STOPS * 10);
  // Elsewhere a few writes in a thousand stops are known to be late.
  if (printed.toString() === 'exact\n') expect(late).toBe(0);
  else expect(late).toBeLessThan(STOPS);
});
