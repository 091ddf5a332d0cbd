// How old the copy is: from the return of a small append on the primary until the bytes are in the
// standby's directory. And how long a cut link stalls an application in mode sync.
import { closeSync, fstatSync, fsyncSync, mkdirSync, openSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bed, PROTECTED } from '../bed.ts';
import { percentile, type Row, row } from '../measure.ts';

const APPENDS = 500;
const PAUSE_MS = 10;
const VISIBLE_TIMEOUT_MS = 5000;

export async function lag(): Promise<Row[]> {
  return Bed.with(async (bed) => {
    await bed.protect('async');
    const primary = bed.a.pathFromOutside(join(PROTECTED, 'lag.log'));
    const standby = bed.b.pathFromOutside(join(PROTECTED, 'lag.log'));
    const writer = openSync(primary, 'a');
    writeSync(writer, Buffer.alloc(100));
    await sleep(500);
    const reader = openSync(standby, 'r');
    const samples: number[] = [];
    for (let i = 1; i <= APPENDS; i += 1) {
      writeSync(writer, Buffer.alloc(100));
      samples.push(untilVisible(reader, (i + 1) * 100));
      await sleep(PAUSE_MS);
    }
    closeSync(writer);
    closeSync(reader);
    await bed.unprotect();
    const what = { suite: 'lag', unit: 'ms' };
    return [
      row({ ...what, name: 'append to copy, p50', values: [percentile(samples, 0.5)] }, undefined, {
        text: '≤ 5 ms',
        holds: (value) => value <= 5,
      }),
      row(
        { ...what, name: 'append to copy, p99', values: [percentile(samples, 0.99)] },
        undefined,
        {
          text: '≤ 50 ms',
          holds: (value) => value <= 50,
        },
      ),
    ];
  });
}

/** Milliseconds until the open file has `size` bytes; looks as fast as it can. */
function untilVisible(fd: number, size: number): number {
  const start = performance.now();
  for (;;) {
    const now = performance.now();
    if (fstatSync(fd).size >= size) return now - start;
    if (now - start > VISIBLE_TIMEOUT_MS) return Infinity;
  }
}

const CUT_RUN_MS = 8000;
const CUT_AFTER_MS = 2000;
const SYNC_TIMEOUT_MS = 2000;

export async function stall(): Promise<Row[]> {
  return Bed.with(async (bed) => {
    await bed.protect('sync');
    const directory = bed.a.pathFromOutside(PROTECTED);
    mkdirSync(directory, { recursive: true });
    const fd = openSync(join(directory, 'commits.log'), 'a');
    const start = performance.now();
    let longest = 0;
    let isCut: Promise<void> | undefined;
    while (performance.now() - start < CUT_RUN_MS) {
      const before = performance.now();
      writeSync(fd, 'a commit\n');
      fsyncSync(fd);
      longest = Math.max(longest, performance.now() - before);
      if (before - start > CUT_AFTER_MS) isCut ??= bed.lab.cut('a', 'b', { network: 'sync' });
      await sleep(5);
    }
    await isCut;
    closeSync(fd);
    await bed.lab.heal();
    const target = {
      text: `≤ syncTimeout (${SYNC_TIMEOUT_MS} ms) + 100 ms`,
      holds: (value: number): boolean => value <= SYNC_TIMEOUT_MS + 100,
    };
    const what = { suite: 'stall', name: 'longest commit when the link is cut', unit: 'ms' };
    return [row({ ...what, values: [longest] }, undefined, target)];
  });
}
