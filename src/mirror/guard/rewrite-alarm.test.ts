// The sentence of an alarm: people read it, and a halt keeps it in the standby's state file.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { firstState, StandbyState } from '../../journal/standby-state.ts';
import { describeAlarm } from './rewrite-alarm.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'alarm-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

it.each([undefined, 'locked'])('can be kept, however long the paths are, ending %s', (ending) => {
  const examples = ['a', 'b', 'c'].map((name) => `${'a directory/'.repeat(340)}${name}`);
  const sentence = describeAlarm({ sinceMs: 0, sequence: 1, count: 25, examples, ending });
  expect(sentence).toContain('a directory/c"');
  const holds = { streamId: 'cd'.repeat(16), sequence: 0 };
  const initial = firstState({ groupId: 'ab'.repeat(16), epoch: 1, holds, mounts: '' });
  const halt = { code: 'REWRITING' as const, sequence: 1, since: '', sentence };
  StandbyState.open(directory, initial).update({ halt });
  expect(StandbyState.open(directory, initial).data.halt).toEqual(halt);
});
