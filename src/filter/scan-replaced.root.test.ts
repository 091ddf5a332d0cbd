// A scan that has just ended when another one is asked for: its end is not the end of the other.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { MiB } from '../core/units.ts';
import { Filter } from './filter.ts';
import { lastSequenceIn } from './ring-recovery.ts';

const DEADLINE_MS = 10_000;
const directory = mkdtempSync(join(tmpdir(), 'scan-replaced-'));
let ended = true;
let filter: Filter | undefined;
let finished = 0;

async function until(is: () => boolean): Promise<void> {
  for (const end = Date.now() + DEADLINE_MS; !is(); await sleep(5))
    if (Date.now() > end) expect.unreachable('the deadline has passed');
}

async function start(): Promise<Filter> {
  const dir = join(directory, 'shop');
  mkdirSync(dir);
  writeFileSync(join(dir, 'file'), 'contents');
  const started = new Filter({
    group: 'replaced',
    directories: [{ dir, include: ['**'], exclude: [] }],
    epoch: 1,
    firstSequence: 1,
    captureFromStart: false,
    ringBytes: 16 * MiB,
    helperThreads: 1,
    spinMicroseconds: 0,
    leaseFile: null,
  });
  filter = started;
  ended = false;
  await started.start({
    onScan: (_, isFinished) => {
      if (isFinished) finished += 1;
    },
    onVerify: () => undefined,
    onMark: () => undefined,
    onEnded: () => {
      ended = true;
    },
    onFailed: (message) => expect.unreachable(message),
  });
  return started;
}

afterEach(async () => {
  if (!ended) filter?.unmount();
  await until(() => ended);
  await filter?.close();
  rmSync(directory, { recursive: true });
});

/** Holds this thread up until the capture thread has put so many records into the ring. */
function waitForRecords({ ring }: Filter, count: number): void {
  const end = Date.now() + DEADLINE_MS;
  while (lastSequenceIn(ring) < count)
    if (Date.now() > end) expect.unreachable('the scan does not get on');
}

it('goes on to tell of the scan that was asked for last', async () => {
  const subject = await start();
  subject.scan({ mode: 'full' });
  // Its beginning, both objects, the directory's beginning and end, contents and times of the file, its end.
  waitForRecords(subject, 8);
  subject.scan({ mode: 'hash' });
  await until(() => lastSequenceIn(subject.ring) >= 15);
  // It ends when the standby has nothing more to ask for.
  await sleep(100);
  expect(finished).toBe(0);
  subject.applied(lastSequenceIn(subject.ring));
  await until(() => finished === 1);
});
