// The log of a long-lived process: JSON lines on standard output, which is a file. pino's own
// destination tries again for ever, and blocks, when that file cannot be written; a disk that is
// full or dead must not stop the data path with it.
import { writeSync } from 'node:fs';
import { pino } from 'pino';

const STDOUT = 1;

const output = {
  write(line: string): void {
    try {
      writeSync(STDOUT, line);
    } catch {
      // Events go over the control socket too, so the failure of the disk itself is told.
    }
  },
};

/** `base`: fields of every line. */
export function processLogger(base: Readonly<Record<string, unknown>>): pino.Logger {
  return pino({ base: { ...base, pid: process.pid } }, output);
}
