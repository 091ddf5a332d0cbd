import { defineConfig } from 'vitest/config';

// Suffixes name the environment: `.test.ts` pure, `.fuzz.test.ts` fast-check, `.root.test.ts` real
// mounts and namespaces. Root tests wait more than they work, and each file has labs, nodes, disks and directories of
// its own: several at a time, as those of the whole system and of the console. What is judged by times of a few
// milliseconds, or by rates, runs alone.
const root = ['**/*.root.test.ts', 'test/{system,console}/**/*.test.ts'];
const timed = [
  'src/cluster/{heartbeat,thread}/*.root.test.ts',
  'src/filter/{freeze,lease}.root.test.ts',
  'src/mirror/guard/deletion-halt.root.test.ts',
  'src/service/safety-halt.root.test.ts',
  'test/field/*.root.test.ts',
  'test/system/network-{limit,slow}.test.ts',
];
/** Minutes of a browser, over ground that tests of the API and the command line cover: with UNDERSTUDY_LONG=1. */
const long = process.env['UNDERSTUDY_LONG'] === '1' ? [] : ['test/console/from-scratch.test.ts'];
/** Of two cores; vitest would take one. */
const WORKERS = 4;
const common = {
  exclude: ['**/node_modules/**'],
  // As bin/understudy does: a process starts in half the time when it finds its code compiled.
  env: { NODE_COMPILE_CACHE: '/var/cache/understudy' },
};
const withRoot = {
  pool: 'forks' as const,
  testTimeout: 180_000,
  hookTimeout: 120_000,
};

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: 'pure',
          include: ['**/*.test.ts'],
          exclude: [...common.exclude, ...root],
          testTimeout: 30_000,
          maxWorkers: WORKERS,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          ...withRoot,
          name: 'timed',
          include: timed,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          ...withRoot,
          name: 'root',
          include: root,
          exclude: [...common.exclude, ...timed, ...long],
          maxWorkers: WORKERS,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
