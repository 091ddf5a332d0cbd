import { describe, expect, it } from 'vitest';
import { FlushPace } from './flush-pace.ts';

function pauseAfter(flush: { ms: number; records: number; urgent?: boolean }): number {
  const pace = new FlushPace();
  pace.began(1000, flush.records, flush.urgent);
  pace.ended(1000 + flush.ms);
  return pace.pauseUntilMs - (1000 + flush.ms);
}

describe('the pause after a flush', () => {
  it.each([
    ['of many records: eight times as long', { ms: 1, records: 100 }, 8],
    ['of a few that nobody waits for: twice', { ms: 1, records: 8 }, 2],
    [
      'of a few that a commit waited for: more commits come',
      { ms: 1, records: 1, urgent: true },
      8,
    ],
    ['of a slow disk: bounded', { ms: 30, records: 100 }, 40],
  ])('%s', (_, flush, expected) => {
    expect(pauseAfter(flush)).toBe(expected);
  });

  it('is none before the first one', () => {
    expect(new FlushPace().pauseUntilMs).toBe(0);
  });
});
