import { expect, test } from 'vitest';
import type { HeldFilter } from './filter-holder.ts';
import type { GroupProcess } from './group-process.ts';
import type { GroupProcessSpec } from './group-spec.ts';
import { GroupSuccession } from './group-succession.ts';

/** As far as a succession knows it; no process can be started. */
class Doomed {
  held: HeldFilter | null = { pid: 2, held: { memory: 3, store: 4, storeEnd: 5, directories: [] } };
  starts = 0;
  readonly isAlive = false;

  async start(): Promise<void> {
    this.starts += 1;
    throw new Error('no room');
  }

  async endsWithin(): Promise<boolean> {
    return true;
  }

  letGo(): void {
    this.held = null;
  }

  kill(): void {}
}

test('whoever is told that nobody goes on finds that nothing is under way, and may start anew', async () => {
  const process = new Doomed();
  const told: unknown[] = [];
  const succession = new GroupSuccession({
    group: 'shop',
    process: process as unknown as GroupProcess,
    isWanted: () => true,
    spec: () => ({}) as GroupProcessSpec,
    isRenewal: () => false,
    onSucceeded: () => told.push('succeeded'),
    onFailed: ({ how }) => told.push([how, succession.isRunning, process.held]),
    emit: (_level, code) => told.push(code),
  });
  succession.begin({ how: 'SIGKILL', logTail: '' });
  expect(succession.isRunning).toBe(true);
  await succession.settled();
  expect(process.starts).toBe(2);
  const failed = 'SUCCESSION_FAILED';
  expect(told).toEqual([failed, failed, ['SIGKILL', false, null]]);
});
