// Random operations through the filter: each is checked against a model, and what the filter records
// makes the same tree elsewhere, from the start or after a first copy that runs meanwhile.
import { execFileSync } from 'node:child_process';
import { afterEach, describe, expect, it } from 'vitest';
import { filteredTree } from '../../test/support/filtered-tree.ts';
import { FilterMirror, type FilterMirrorOptions } from '../../test/support/filter-mirror.ts';
import { RandomOps, type RandomOpsOptions } from '../../test/support/random-ops.ts';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { Patterns } from '../core/patterns.ts';

let mirror: FilterMirror;
let operations: RandomOps;
afterEach(async () => {
  operations.close();
  await mirror.stop();
});

async function start(options: FilterMirrorOptions, random: RandomOpsOptions): Promise<void> {
  mirror = await FilterMirror.start(options);
  operations = new RandomOps(mirror.a, random);
}

/** Runs operations, looking now and then whether the filter has failed. */
async function run(steps: number): Promise<void> {
  for (let done = 0; done < steps; done += 50) {
    operations.run(Math.min(50, steps - done));
    await Promise.race([mirror.failure, new Promise((resolve) => setImmediate(resolve))]);
  }
}

/** A first copy with operations going on all the time. */
async function copyMeanwhile(mode: 'full' | 'hash'): Promise<void> {
  await mirror.scan({ mode });
  const done = mirror.quiesce().then(() => true);
  done.catch(() => undefined);
  for (let i = 0; i < 100; i += 1) {
    await run(10);
    const pause = new Promise<boolean>((resolve) => setTimeout(() => resolve(false), 2));
    if (await Promise.race([done, pause])) break;
  }
  await done;
}

describe('from the start', () => {
  it.each([
    ['ext4', 1],
    ['ext4', 2],
    ['xfs', 3],
    ['btrfs', 4],
  ] as const)('%s, seed %i', async (kind, seed) => {
    await start({ kind }, { seed });
    await run(2500);
    operations.check();
    expect(await mirror.differences({ holes: kind === 'ext4' })).toEqual([]);
  });
});

describe('first copy', () => {
  it.each([
    ['an empty directory', 5, false],
    ['garbage', 6, true],
    ['garbage', 7, true],
  ] as const)('to %s, then again and again, seed %i', async (_name, seed, garbage) => {
    await start({ captureFromStart: false, ringBytes: 4 * 1024 * 1024 }, { seed });
    if (garbage) {
      const script = new URL('../../test/support/random-ops.ts', import.meta.url).pathname;
      execFileSync(process.execPath, [
        script,
        mirror.b,
        '--seed',
        `${seed}`,
        '--operations',
        '700',
      ]);
    }
    for (let round = 0; round < 3; round += 1) {
      await run(700);
      await copyMeanwhile(round === 0 && !garbage ? 'full' : 'hash');
      operations.check();
      // Space that is allocated but not written counts as data while a page of it is in memory.
      expect(await mirror.differences({ holes: false })).toEqual([]);
      await run(300);
      expect(await mirror.differences({ holes: false })).toEqual([]);
      await mirror.disable();
    }
  });

  it('of data that is equal sends nearly nothing', async () => {
    // Files without a name are sent anew each time.
    await start({ captureFromStart: false }, { seed: 8, weights: { tmpfile: 0 } });
    await run(1500);
    await copyMeanwhile('full');
    const { sentBytes } = await mirror.counters();
    expect(sentBytes).toBeGreaterThan(1_000_000);
    expect(await mirror.differences({ holes: false })).toEqual([]);
    await mirror.disable();
    await mirror.scan({ mode: 'hash' });
    await mirror.quiesce();
    expect((await mirror.counters()).sentBytes).toBe(0);
    expect(await mirror.differences({ holes: false })).toEqual([]);
  });
});

describe('in part', () => {
  const sets: readonly (readonly [string[], string[]])[] = [
    [['**'], ['**/n1[0-3]']],
    [['**'], ['n1[0-4]/**', '**/n2']],
    [['**/n*', '**/*dash'], ['**/n1[67]/**']],
  ];

  it.each([9, 10, 11])('seed %i', async (seed) => {
    const [include = [], exclude = []] = sets[seed % sets.length] ?? [];
    const patterns = new Patterns(include, exclude);
    await start(
      { include, exclude, ringBytes: 4 * 1024 * 1024 },
      { seed, names: 20, partly: true },
    );
    for (const mode of ['none', 'hash'] as const) {
      await run(1500);
      if (mode === 'hash') await copyMeanwhile(mode);
      operations.check();
      await mirror.quiesce();
      const copy = snapshotTree(mirror.b);
      const wanted = filteredTree(snapshotTree(mirror.underneath), patterns);
      const found = filteredTree(copy, patterns);
      expect(compareTrees(wanted, found, { holes: false })).toEqual([]);
      expect([...copy.entries.keys()].filter((path) => !found.entries.has(path))).toEqual([]);
    }
  });
});
