import { defineConfig } from 'vitest/config';

// Suffixes name the environment: `.test.ts` pure, `.fuzz.test.ts` fast-check, `.root.test.ts` real
// mounts and namespaces. Root tests share the machine's loop devices and cores: one file at a time.
const root = ['**/*.root.test.ts', 'test/system/**/*.test.ts'];
const common = { exclude: ['**/node_modules/**'] };

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
        },
      },
      {
        test: {
          ...common,
          name: 'root',
          include: root,
          pool: 'forks',
          fileParallelism: false,
          testTimeout: 180_000,
          hookTimeout: 120_000,
        },
      },
    ],
  },
});
