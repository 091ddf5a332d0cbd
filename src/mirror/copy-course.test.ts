// Whoever wants a copy to stand still gets it alone, or not at all.
import { describe, expect, it } from 'vitest';
import { systemClock } from '../core/clock.ts';
import { CopyCourse } from './copy-course.ts';
import type { StandbyParts } from './standby-parts.ts';

/** As much of a standby as stops and starts. */
function courseOf(receiver: { isBeginning: boolean; isOpen: boolean }): CopyCourse {
  const parts: object = {
    options: { group: 'shop' },
    state: { data: { copy: 'complete', checkpoint: { sequence: 0 } }, update: () => undefined },
    journal: { position: { streamId: '', epoch: 1 }, segmentOf: () => 1, durableSequence: 0 },
    gate: { begin: () => 0, halted: { sequence: 9 } },
    clock: systemClock,
    bookmarks: { all: [] },
    applier: {
      control: { moment: 0, applied: 0, waitForApplied: async () => new Promise(() => undefined) },
      isRunning: true,
      start: () => undefined,
      stop: async () => undefined,
    },
    checkpointer: { sync: async () => undefined },
    undo: { abortClone: () => undefined },
    receiver,
  };
  return new CopyCourse(parts as StandbyParts, () => undefined);
}

describe('a copy', () => {
  it('does not stand still for anybody while it is prepared for a scan', async () => {
    const course = courseOf({ isBeginning: true, isOpen: true });
    await expect(course.paused(async () => 'read')).rejects.toMatchObject({ code: 'REWIND_BUSY' });
  });

  it('is waited for by all who wait for it', async () => {
    const course = courseOf({ isBeginning: false, isOpen: true });
    const { promise, resolve } = Promise.withResolvers<string>();
    const reading = course.paused(async () => promise);
    await expect(course.paused(async () => 'read')).rejects.toMatchObject({ code: 'REWIND_BUSY' });
    const waiting = [course.untilUnpaused(), course.untilUnpaused()];
    resolve('read');
    await Promise.all([...waiting, expect(reading).resolves.toBe('read')]);
  });

  it('that is halted is not applied beyond what there is: the scan amid which it was may be gone', async () => {
    const course = courseOf({ isBeginning: false, isOpen: true });
    expect(await course.drain()).toBe(false);
  });
});
