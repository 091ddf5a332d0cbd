// Appends single bytes as fast as it can, as long as it may: `node timed-writer.ts FILE CELLS LIFETIME_MS`.
// The first cell says until when (CLOCK_BOOTTIME, ms). Prints whether its writes are exact, then begins.
import { openSync } from 'node:fs';
import { boottimeMs } from '../../src/linux/boottime.ts';
import { addressOf } from '../../src/linux/libc.ts';
import { mapSharedCells } from '../../src/linux/shared-cells.ts';
import { createTimedWrite } from '../../src/linux/timed-write.ts';

const [file = '', cells = '', lifetimeMs = '0'] = process.argv.slice(2);
const { write, isExact } = createTimedWrite(mapSharedCells(cells, { readOnly: true }));
const fd = openSync(file, 'a');
const byte = Buffer.from('x');
const address = addressOf(byte);
process.stdout.write(isExact ? 'exact\n' : 'not exact\n');
const endMs = boottimeMs() + Number(lifetimeMs);
while (boottimeMs() < endMs) for (let i = 0; i < 100; i += 1) write(fd, address, byte.length);
