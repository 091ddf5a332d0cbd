// One flipped bit anywhere in the state is noticed: with a wrong position, records would be left out.
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { STATE_FILE, StandbyState, type StandbyStateData } from './standby-state.ts';

const STATE: StandbyStateData = {
  version: 1,
  groupId: 'ab'.repeat(16),
  epoch: 3,
  copy: 'complete',
  checkpoint: { streamId: '01'.repeat(16), epoch: 3, sequence: 123_456 },
  unsynced: null,
  firstSegment: 7,
  closed: null,
  halt: null,
  accepted: 0,
  rewound: false,
  staged: null,
  salvage: null,
};
let directory = '';
let path = '';

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'standby-state-'));
  path = join(directory, STATE_FILE);
  StandbyState.open(directory, STATE);
});
afterEach(() => rmSync(directory, { recursive: true, force: true }));

test('what was written is read', () => {
  StandbyState.open(directory, STATE).update({ epoch: 9 });
  expect(StandbyState.open(directory, STATE).data).toEqual({ ...STATE, epoch: 9 });
});

test('every single flipped bit is refused, and so is every cut', () => {
  const whole = readFileSync(path);
  for (let bit = 0; bit < (whole.length - 1) * 8; bit += 1) {
    const bytes = Buffer.from(whole);
    bytes.writeUInt8(bytes.readUInt8(bit >> 3) ^ (1 << (bit & 7)), bit >> 3);
    writeFileSync(path, bytes);
    expect(() => StandbyState.open(directory, STATE), `bit ${bit}`).toThrow(/cannot use/);
  }
  for (let length = 0; length < whole.length - 1; length += 1) {
    writeFileSync(path, whole.subarray(0, length));
    expect(() => StandbyState.open(directory, STATE), `${length} bytes`).toThrow(/cannot use/);
  }
});

test('a state of before there were checksums is read', () => {
  writeFileSync(path, `${JSON.stringify(STATE)}\n`);
  expect(StandbyState.open(directory, STATE).data).toEqual(STATE);
});
