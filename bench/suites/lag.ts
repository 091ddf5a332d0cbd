// How old the copy is: from the return of a small append on the primary until the bytes are in the
// standby's directory. And how long a cut link stalls an application in mode sync.
import {
  closeSync,
  fdatasyncSync,
  fstatSync,
  fsyncSync,
  mkdirSync,
  openSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Bed, PROTECTED } from '../bed.ts';
import { percentile, type Row, row, type Target } from '../measure.ts';

const APPENDS = 500;
const PAUSE_MS = 10;
const VISIBLE_TIMEOUT_MS = 5000;
const LOOK_INTERVAL_MS = 0.1;
const NEVER = new Int32Array(new SharedArrayBuffer(4));

export async function lag(rounds: number): Promise<Row[]> {
  return Bed.with(async (bed) => {
    await bed.protect('async');
    const rows: LagRound[] = [];
    for (let i = 0; i < rounds; i += 1) rows.push(await appends(bed, `lag-${i}.log`));
    await bed.unprotect();
    const what = { suite: 'lag', unit: 'ms' };
    const values = (name: keyof LagRound): number[] => rows.map((round) => round[name]);
    return [
      row({ ...what, name: 'append to copy, p50', values: values('p50') }, undefined, atMost(5)),
      row({ ...what, name: 'append to copy, p99', values: values('p99') }, undefined, atMost(50)),
      row({ ...what, name: 'fdatasync on the standby’s disk alone, p50', values: values('disk') }),
    ];
  });
}

const atMost = (limit: number): Target => ({
  text: `≤ ${limit} ms`,
  holds: (value) => value <= limit,
});

/** Milliseconds; `disk`: one flush, which each of the appends has to wait for too. */
interface LagRound {
  readonly p50: number;
  readonly p99: number;
  readonly disk: number;
}

async function appends(bed: Bed, name: string): Promise<LagRound> {
  const writer = openSync(bed.a.pathFromOutside(join(PROTECTED, name)), 'a');
  writeSync(writer, Buffer.alloc(100));
  await sleep(500);
  const reader = openSync(bed.b.pathFromOutside(join(PROTECTED, name)), 'r');
  const disk = openSync(bed.b.pathFromOutside('/srv/flushed'), 'a');
  const seen: number[] = [];
  const flushes: number[] = [];
  for (let i = 1; i <= APPENDS; i += 1) {
    writeSync(writer, Buffer.alloc(100));
    seen.push(untilVisible(reader, (i + 1) * 100));
    await sleep(PAUSE_MS);
    const before = performance.now();
    writeSync(disk, Buffer.alloc(100));
    fdatasyncSync(disk);
    flushes.push(performance.now() - before);
    await sleep(PAUSE_MS);
  }
  for (const fd of [writer, reader, disk]) closeSync(fd);
  return {
    p50: percentile(seen, 0.5),
    p99: percentile(seen, 0.99),
    disk: percentile(flushes, 0.5),
  };
}

/** Milliseconds until the open file has `size` bytes. Looking all the time would take one of two processors from those who copy. */
function untilVisible(fd: number, size: number): number {
  const start = performance.now();
  for (;;) {
    const now = performance.now();
    if (fstatSync(fd).size >= size) return now - start;
    if (now - start > VISIBLE_TIMEOUT_MS) return Infinity;
    Atomics.wait(NEVER, 0, 0, LOOK_INTERVAL_MS);
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
