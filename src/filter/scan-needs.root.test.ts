// The standby asks for files that are gone, or that are not the group's, while the scan waits for it: the scan goes on all the
// same, and gives nothing that is not the group's.
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { afterEach, expect, it } from 'vitest';
import { RingConsumer } from '../core/byte-ring.ts';
import { MiB } from '../core/units.ts';
import { field, HEADER_BYTES, recordBytes, recordType } from '../journal/record.ts';
import { sequenceAt } from '../journal/segment.ts';
import { Filter } from './filter.ts';

const DEADLINE_MS = 30_000;
/** A scan waits for the standby after 20,000. */
const FILES = 20_100;
const SECRET = 'of the machine, not of the group';
let directory = '';
let ended = true;
let filter: Filter;
afterEach(async () => {
  if (!ended) filter.unmount();
  await until(() => ended);
  await filter.close();
  rmSync(directory, { recursive: true });
});

async function until(is: () => boolean): Promise<void> {
  for (const end = Date.now() + DEADLINE_MS; !is(); await turn())
    if (Date.now() > end) expect.unreachable('the deadline has passed');
}

async function start(files: number): Promise<void> {
  directory = mkdtempSync(join(tmpdir(), 'scan-needs-'));
  writeFileSync(join(directory, 'secret'), SECRET);
  const dir = join(directory, 'shop');
  mkdirSync(dir);
  for (let n = 0; n < files; n += 1) writeFileSync(join(dir, `file-${n}`), 'contents');
  filter = new Filter({
    group: 'needs',
    directories: [{ dir, include: ['**'], exclude: [] }],
    epoch: 1,
    firstSequence: 1,
    captureFromStart: false,
    ringBytes: 64 * MiB,
    helperThreads: 1,
    spinMicroseconds: 0,
    leaseFile: null,
  });
  ended = false;
  await filter.start({
    onScan: () => undefined,
    onVerify: () => undefined,
    onMark: () => undefined,
    onEnded: () => {
      ended = true;
    },
    onFailed: (message) => expect.unreachable(message),
  });
}

/** Counts files that were announced; takes records out of the ring as a sender does. */
class Reader {
  readonly #ring = new RingConsumer(filter.ring);
  announced = 0;
  sequence = 0;
  contents = '';

  look(): void {
    const { position, bytes } = this.#ring.readable(this.#ring.released);
    const from = this.#ring.offsetOf(position);
    const { view, bytes: memory } = this.#ring;
    let length = 0;
    while (length < bytes && !this.#ring.isSkipAt(from + length)) {
      const at = from + length;
      if (view.getUint8(at + field.type) === recordType.scanHash) this.announced += 1;
      if (view.getUint8(at + field.type) === recordType.scanData) {
        const payload = memory.subarray(at + HEADER_BYTES, at + recordBytes(view, at));
        this.contents += Buffer.from(payload).toString('latin1');
      }
      this.sequence = sequenceAt(view, at);
      length += recordBytes(view, at);
    }
    this.#ring.release((position + length) >>> 0);
  }
}

it('what is asked for and gone does not hold a scan up', async () => {
  await start(FILES);
  const reader = new Reader();
  const isAt = (count: number) => (): boolean => {
    reader.look();
    return reader.announced === count;
  };
  filter.scan({ mode: 'hash' });
  await until(isAt(20_001));
  // The times of the last one, and nothing more.
  for (const end = Date.now() + 200; Date.now() < end; await turn()) reader.look();
  expect(reader.announced).toBe(20_001);
  const gone = { directory: 0, offset: 0, length: 8, compare: false };
  filter.need(Array.from({ length: 50_000 }, (_, n) => ({ ...gone, path: `gone-${n}` })));
  filter.applied(reader.sequence);
  await until(isAt(FILES));
});

it('what is asked for and not in the group is not read', async () => {
  await start(3);
  const reader = new Reader();
  const until3 = (): boolean => {
    reader.look();
    return reader.announced === 3;
  };
  filter.scan({ mode: 'hash' });
  await until(until3);
  const range = { directory: 0, offset: 0, length: 100, compare: false };
  const paths = ['../secret', './../secret', 'file-1/../../secret', '/secret', 'file-1'];
  filter.need(paths.map((path) => ({ ...range, path })));
  await until(() => {
    reader.look();
    return reader.contents.includes('contents');
  });
  expect(reader.contents).not.toContain(SECRET);
});

it('what is asked for is told to be dealt with, whatever comes of it', async () => {
  await start(3);
  const reader = new Reader();
  const { scanPace } = filter;
  const range = { directory: 0, offset: 0, length: 8, compare: false };
  const ask = [
    { ...range, path: 'file-1' },
    { ...range, path: 'gone' },
    { ...range, path: '' },
    { ...range, path: 'file-2', compare: true },
    { ...range, path: 'file-2', compare: true },
    { ...range, path: 'gone', compare: true },
    { ...range, path: 'file-1', directory: 7 },
  ];
  const areTaken = (count: number) => (): boolean => {
    reader.look();
    return scanPace.needsTakenCount === count;
  };
  filter.scan({ mode: 'hash' });
  await until(() => {
    reader.look();
    return reader.announced === 3;
  });
  filter.need(ask);
  await until(areTaken(7));
  filter.need(ask);
  // Given up with what may still wait, and begun anew.
  filter.scan({ mode: 'hash' });
  await until(areTaken(14));
  filter.disable();
  filter.need(ask);
  await until(areTaken(21));
});
