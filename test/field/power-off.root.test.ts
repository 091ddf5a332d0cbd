// One line of the field test, so that every run of the tests sees two servers become one that does not stop.
import { expect, it } from 'vitest';
import { present } from '../../src/core/assert.ts';
import { Bed } from './bed.ts';
import { allLines } from './lines/all.ts';
import { describeEvents, playRound } from './round.ts';

/** Loose: other tests may be running on the same cores. What is usual is in docs/field-test.md. */
const OUTAGE_MS_MAX = 10_000;

it('a primary that loses its power is replaced by its standby, and rejoins', async () => {
  const line = present(
    allLines.find(({ name }) => name === 'power-off'),
    'line of the field test',
  );
  const notes: string[] = [];
  const bed = await Bed.up({ mode: 'sync', profile: 'default' });
  try {
    const loose = { ...line, outageMsMax: OUTAGE_MS_MAX };
    const result = await playRound(bed, loose, 1, (text) => notes.push(text));
    const story = [...notes, describeEvents(result.events, result.struckAt), result.logs].join(
      '\n',
    );
    expect(result.findings, story).toEqual([]);
    expect(result.moved).toBe(true);
    expect(result.lost).toBe(0);
    expect(result.acknowledged).toBeGreaterThan(100);
  } finally {
    await bed.down();
  }
});
