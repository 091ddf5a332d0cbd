// The gate of a process that goes on where another one ended.
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { sampleRecords } from '../../../test/support/records.ts';
import { systemClock } from '../../core/clock.ts';
import { recordType } from '../../journal/record.ts';
import { ApplyGate } from './apply-gate.ts';

const FILES = 200;
/** Records that remove all of them. */
const ALL = { from: 1, to: FILES };

let dir = '';
let fd = -1;
let gate: ApplyGate;
let halts = 0;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'apply-gate-'));
  for (let index = 0; index < FILES; index += 1) writeFileSync(join(dir, `file-${index}`), '');
  fd = openSync(dir, 'r');
  halts = 0;
  gate = new ApplyGate(
    {
      group: 'test',
      deletions: { filesMin: 100, share: 0.5, windowMs: 60_000 },
      guard: 'off',
      roots: [fd],
      halt: null,
    },
    {
      publish: () => undefined,
      onHalt: () => {
        halts += 1;
      },
      onAlarm: () => undefined,
      isShortOfRoom: () => false,
    },
    systemClock,
  );
});
afterEach(() => {
  gate.close();
  closeSync(fd);
  rmSync(dir, { recursive: true });
});

/** Removals come from the primary, and are durable. */
function receive({ from, to }: typeof ALL): void {
  for (let sequence = from; sequence <= to; sequence += 1) {
    const bytes = sampleRecords([{ sequence, type: recordType.unlink }]);
    gate.note(bytes, new DataView(bytes.buffer, bytes.byteOffset, bytes.length), 0);
  }
  gate.durable(to);
}

test('what a person has accepted, and the power cut took from the journal, is not judged again', () => {
  gate.goOn(ALL.to);
  gate.begin(0, 0);
  receive(ALL);
  expect(halts).toBe(0);
});

test('what comes behind it is', async () => {
  gate.goOn(ALL.from - 1);
  gate.begin(0, 0);
  receive(ALL);
  // Files are counted some milliseconds at a time.
  await vi.waitFor(() => expect(halts).toBe(1), 5000);
});
