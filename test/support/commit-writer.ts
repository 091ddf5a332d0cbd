// Appends numbered lines to a file, each with fsync, until SIGTERM; then writes down what it saw.
//
//   node commit-writer.ts FILE REPORT PAUSE-MS [BYTES-PER-LINE]
import { closeSync, fsyncSync, openSync, writeFileSync, writeSync } from 'node:fs';
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';

export interface CommitReport {
  /** Lines whose fsync returned. */
  readonly commits: number;
  /** Time of each fsync, ms, in order. */
  readonly fsyncMs: readonly number[];
  /** The first call that failed, if any; nothing is written after it. */
  readonly failure: string | null;
}

/** Lines begin with their number in so many digits. */
export const NUMBER_DIGITS = 9;

if (import.meta.main) {
  const [file = '', report = '', pauseMs = '0', bytes = '32'] = process.argv.slice(2);
  const fd = openSync(file, 'a');
  const fsyncMs: number[] = [];
  let failure: string | null = null;
  let isOver = false;
  process.once('SIGTERM', () => {
    isOver = true;
  });
  const isDone = (): boolean => isOver;
  for (let number = 1; !isDone() && failure === null; number += 1) {
    const filler = randomBytes(Number(bytes)).toString('base64url').slice(0, Number(bytes));
    const from = performance.now();
    try {
      writeSync(fd, `${String(number).padStart(NUMBER_DIGITS, '0')} ${filler}\n`);
      fsyncSync(fd);
      fsyncMs.push(performance.now() - from);
    } catch (thrown) {
      failure = String(thrown);
    }
    await sleep(Number(pauseMs));
  }
  closeSync(fd);
  const seen = { commits: fsyncMs.length, fsyncMs, failure } satisfies CommitReport;
  writeFileSync(report, JSON.stringify(seen));
}
