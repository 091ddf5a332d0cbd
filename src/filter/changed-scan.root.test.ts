// A scan of mode `changed`: both copies were equal at a point, each was changed since, and only that is
// compared. What is trusted wrongly would show as a difference of the trees.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { FilterMirror } from '../../test/support/filter-mirror.ts';
import type { TrustedSince } from '../../test/support/filter-mirror-protocol.ts';
import { MARK_SLACK_MS } from '../journal/marks.ts';
import { EXTENT_BYTES } from './changed-extents.ts';
import type { ScanPlan } from './scanner.ts';

const BIG_BYTES = 8 * 1024 * 1024;
const FILES = 200;
let mirror: FilterMirror;
/** When both were equal. */
let point: { readonly sequence: number; readonly wallMs: number };
let pointMs: number;

const sleep = async (ms: number): Promise<void> => {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
};

/** Two equal trees, and some time after that nothing recorded any more. */
async function beginEqual(): Promise<void> {
  mirror = await FilterMirror.start({ captureFromStart: false });
  const { a } = mirror;
  fs.mkdirSync(join(a, 'many'));
  for (let n = 0; n < FILES; n += 1) fs.writeFileSync(join(a, 'many', `f${n}`), `file ${n}\n`);
  for (const dir of ['one', 'two', 'deep/er/dir']) {
    fs.mkdirSync(join(a, dir), { recursive: true });
    // Same size, same time: nothing but the contents tells them apart.
    fs.writeFileSync(join(a, dir, 'same'), `this is ${dir.slice(0, 3)}`);
    fs.utimesSync(join(a, dir, 'same'), 1_000_000, 1_000_000);
  }
  fs.writeFileSync(join(a, 'big'), Buffer.alloc(BIG_BYTES, 'big '));
  fs.writeFileSync(join(a, 'linked'), 'two names');
  fs.linkSync(join(a, 'linked'), join(a, 'name2'));
  await mirror.scan({ mode: 'full' });
  expect(await mirror.differences()).toEqual([]);
  await mirror.disable();
  // What the trees have now has older times than the point by more than the slack.
  await sleep(MARK_SLACK_MS + 100);
  point = await mirror.mark();
  pointMs = point.wallMs - MARK_SLACK_MS;
  await sleep(50);
}

const plan = (): ScanPlan => ({
  mode: 'changed',
  sinceMs: pointMs,
  sinceSequence: point.sequence,
});

async function scanChanged(
  trust: TrustedSince = pointMs,
): Promise<{ hashes: number; sentBytes: number; objects: number; hashedOfBig: number }> {
  const before = await mirror.counters();
  await mirror.scan(plan(), trust);
  await mirror.quiesce();
  const after = await mirror.counters();
  const grown = (type: string): number => (after.byType[type] ?? 0) - (before.byType[type] ?? 0);
  return {
    hashes: grown('scanHash'),
    objects: grown('scanObject'),
    sentBytes: after.sentBytes,
    hashedOfBig: after.hashedBytes['big'] ?? 0,
  };
}

function overwriteBig(dir: string, position: number, text: string): void {
  const fd = fs.openSync(join(dir, 'big'), 'r+');
  fs.writeSync(fd, text, position);
  fs.closeSync(fd);
}

beforeEach(beginEqual, 60_000);
afterEach(async () => mirror.stop(), 30_000);

it('compares nothing when nothing was changed', async () => {
  const { hashes, sentBytes, objects } = await scanChanged();
  expect(objects).toBeGreaterThan(FILES);
  // A file with two names is compared: it is not known which of them the time is about.
  expect(hashes).toBeLessThanOrEqual(1);
  expect(sentBytes).toBe(0);
  expect(await mirror.differences()).toEqual([]);
});

it('finds what the primary has changed, and sends only the blocks that differ', async () => {
  const { a } = mirror;
  overwriteBig(a, 3 * 1024 * 1024, 'changed here');
  fs.appendFileSync(join(a, 'many', 'f7'), 'more');
  fs.rmSync(join(a, 'many', 'f8'));
  fs.writeFileSync(join(a, 'many', 'new'), 'new file');
  fs.renameSync(join(a, 'many', 'f9'), join(a, 'many', 'f10'));
  fs.chmodSync(join(a, 'many', 'f11'), 0o600);
  fs.truncateSync(join(a, 'many', 'f12'), 2);
  // Contents changed and the time put back: only the ctime tells.
  fs.writeFileSync(join(a, 'deep/er/dir/same'), 'THIS IS DEE');
  fs.utimesSync(join(a, 'deep/er/dir/same'), 1_000_000, 1_000_000);
  const { hashes, sentBytes, hashedOfBig } = await scanChanged();
  expect(sentBytes).toBeLessThan(70_000);
  expect(hashes).toBeLessThan(20);
  // It is known which extent was changed: the rest is not even read.
  expect(hashedOfBig).toBe(EXTENT_BYTES);
  expect(await mirror.differences()).toEqual([]);
});

it('finds directories that changed places on the primary', async () => {
  const { a } = mirror;
  fs.renameSync(join(a, 'one'), join(a, 'three'));
  fs.renameSync(join(a, 'two'), join(a, 'one'));
  fs.renameSync(join(a, 'three'), join(a, 'two'));
  await scanChanged();
  expect(await mirror.differences()).toEqual([]);
});

it('finds what the standby has changed: it was a primary, and nobody had its last records', async () => {
  const { b } = mirror;
  overwriteBig(b, 5 * 1024 * 1024, 'lost tail');
  fs.writeFileSync(join(b, 'one', 'same'), 'THIS IS ONE');
  fs.utimesSync(join(b, 'one', 'same'), 1_000_000, 1_000_000);
  fs.rmSync(join(b, 'many', 'f3'));
  fs.writeFileSync(join(b, 'many', 'extra'), 'nobody wants this');
  fs.renameSync(join(b, 'many', 'f4'), join(b, 'many', 'f5'));
  const { sentBytes } = await scanChanged();
  expect(sentBytes).toBeLessThan(70_000);
  expect(await mirror.differences()).toEqual([]);
});

it('finds directories that changed places on the standby', async () => {
  const { b } = mirror;
  fs.renameSync(join(b, 'one'), join(b, 'three'));
  fs.renameSync(join(b, 'two'), join(b, 'one'));
  fs.renameSync(join(b, 'three'), join(b, 'two'));
  fs.renameSync(join(b, 'deep/er'), join(b, 'deep/re'));
  await scanChanged();
  expect(await mirror.differences()).toEqual([]);
});

it('is right while the application goes on, directories move and files come', async () => {
  const { a, b } = mirror;
  fs.appendFileSync(join(b, 'many', 'f20'), 'tail');
  await mirror.scan(plan(), pointMs);
  fs.renameSync(join(a, 'many'), join(a, 'moved'));
  fs.renameSync(join(a, 'deep/er'), join(a, 'moved/er'));
  fs.renameSync(join(a, 'two/same'), join(a, 'one/other'));
  for (let n = 0; n < 50; n += 1) fs.writeFileSync(join(a, 'moved', `f${n * 2}`), `new ${n}`);
  execFileSync('cp', ['-a', join(a, 'moved'), join(a, 'copied')]);
  fs.rmSync(join(a, 'moved', 'er'), { recursive: true });
  expect(await mirror.differences()).toEqual([]);
});

it('compares all of a file of which both sides changed something', async () => {
  const { a, b } = mirror;
  overwriteBig(a, 1024, 'by the primary');
  overwriteBig(b, 7 * 1024 * 1024, 'by the standby');
  const { hashedOfBig } = await scanChanged();
  expect(hashedOfBig).toBeGreaterThanOrEqual(BIG_BYTES);
  expect(await mirror.differences()).toEqual([]);
});

it('reads only changed extents when the standby only ever followed this stream', async () => {
  const { a, b } = mirror;
  const fd = fs.openSync(join(a, 'big'), 'r+');
  for (let n = 0; n < 10; n += 1) fs.writeSync(fd, `number ${n}`, n * 700_000);
  fs.closeSync(fd);
  fs.truncateSync(join(a, 'many/f1'), 1);
  fs.truncateSync(join(a, 'many/f1'), 100_000);
  fs.rmSync(join(a, 'many/f2'));
  fs.writeFileSync(join(a, 'many/f2'), 'another file of this name');
  fs.copyFileSync(join(a, 'big'), join(a, 'copy'));
  execFileSync('fallocate', ['-p', '-o', '4194304', '-l', '131072', join(a, 'big')]);
  // The standby applied something of the stream to it after its own mark.
  fs.chmodSync(join(b, 'big'), 0o600);
  const { hashedOfBig } = await scanChanged('always');
  expect(hashedOfBig).toBeLessThanOrEqual(12 * EXTENT_BYTES);
  expect(await mirror.differences()).toEqual([]);
});
