import { defineConfig } from 'vitest/config';

// Suffixes name the environment: `.test.ts` pure, `.fuzz.test.ts` fast-check, `.root.test.ts` real
// mounts and namespaces. Root tests look at times and share the machine's cores: one file at a time. Those of
// the whole system have labs of their own, and wait more than they work; so do those that start a database on a
// port of their own, hosts in namespaces, or nodes on addresses of their own.
const root = ['**/*.root.test.ts'];
const system = [
  'test/system/**/*.test.ts',
  'src/agents/{builtin,ocf}/*.root.test.ts',
  'src/mirror/salvage/*.root.test.ts',
  'src/cluster/{address,arbiter}/*.root.test.ts',
  'src/cli/*.root.test.ts',
  'src/console/*.root.test.ts',
  'src/service/{groups,renewal,service}.root.test.ts',
  'src/mirror/{rewind,staged-resync,standby,standby-power}.root.test.ts',
  'src/mirror/guard/workloads.root.test.ts',
  'lab/**/*.root.test.ts',
  'test/console/*.test.ts',
];
const SYSTEM_WORKERS = 3;
const common = { exclude: ['**/node_modules/**'] };

export default defineConfig({
  test: {
    projects: [
      {
        test: {
          ...common,
          name: 'pure',
          include: ['**/*.test.ts'],
          exclude: [...common.exclude, ...root, ...system],
          testTimeout: 30_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        test: {
          ...common,
          name: 'root',
          include: root,
          exclude: [...common.exclude, ...system],
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 1 },
        },
      },
      {
        test: {
          ...common,
          name: 'system',
          include: system,
          pool: 'forks',
          maxWorkers: SYSTEM_WORKERS,
          testTimeout: 180_000,
          hookTimeout: 120_000,
          sequence: { groupOrder: 2 },
        },
      },
    ],
  },
});
