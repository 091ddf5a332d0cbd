// Writes without pause until it is killed or `lifetimeMs` is over, and notes when each call succeeded:
// `node lease-writer.ts FILE LOG LIFETIME_MS CALLS`. CALLS is a list such as `write,fdatasync`, made in
// turn. Lines of the log: call, and CLOCK_BOOTTIME in ms right after it returned.
import { closeSync, fdatasyncSync, fsyncSync, openSync, writeSync } from 'node:fs';
import { ftruncateSync, renameSync } from 'node:fs';
import { boottimeMs } from '../../src/linux/boottime.ts';

const [file = '', log = '', lifetimeMs = '0', calls = 'write'] = process.argv.slice(2);
const FILE_BYTES = 1024 * 1024;
const block = Buffer.alloc(4096);
const fd = openSync(file, 'w');
const other = `${file}.renamed`;
closeSync(openSync(other, 'w'));
const logFd = openSync(log, 'a');
let count = 0;

const perform: Readonly<Record<string, () => void>> = {
  write: () => {
    block.writeUInt32LE(count);
    writeSync(fd, block, 0, block.length, (count * block.length) % FILE_BYTES);
  },
  fsync: () => fsyncSync(fd),
  fdatasync: () => fdatasyncSync(fd),
  truncate: () => ftruncateSync(fd, FILE_BYTES),
  rename: () => renameSync(other, `${file}.again`),
  'rename-back': () => renameSync(`${file}.again`, other),
};

const turns = calls.split(',');
const endMs = boottimeMs() + Number(lifetimeMs);
while (boottimeMs() < endMs) {
  const call = turns[count % turns.length] ?? '';
  count += 1;
  perform[call]?.();
  const now = boottimeMs();
  writeSync(logFd, `${call} ${now}\n`);
}
