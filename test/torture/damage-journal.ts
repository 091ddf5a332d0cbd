// Damages the journal of a standby whose group process is away, as a bad disk or a torn write does.
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readSync,
  rmSync,
  statSync,
  truncateSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import type { LabHost } from '../../lab/host.ts';
import { GROUP } from './names.ts';

const GROUPS = '/var/lib/understudy/groups';
const ZEROS_BYTES = 4096;

/** What a disk says that was broken before. */
const BROKEN: readonly unknown[] = ['EIO', 'EROFS'];

/**
 * `flip`: one bit; `cut`: the file ends early; `zeros`: a block of zeros; `state`: one bit of the state
 * file. `place` in millionths says where. Returns what was done, for people.
 */
export async function damageJournal(
  host: LabHost,
  how: string,
  place: number,
  groupName: string = GROUP,
): Promise<string> {
  try {
    return await damage(host, how, place, groupName);
  } catch (thrown) {
    if (!BROKEN.includes((thrown as NodeJS.ErrnoException).code)) throw thrown;
    return 'the disk is broken already';
  }
}

async function damage(
  host: LabHost,
  how: string,
  place: number,
  groupName: string,
): Promise<string> {
  const group = join(host.pathFromOutside(GROUPS), groupName);
  const process = processDirectory(group);
  if (process === undefined) return 'there is no journal to damage';
  await Promise.resolve();
  if (how === 'state') return flip(join(process, 'standby.json'), place);
  const journal = join(process, 'journal');
  // Those that are free hold nothing that anybody reads.
  const segments = readdirSync(journal)
    .filter((name) => !name.startsWith('free-'))
    .map((name) => join(journal, name))
    .filter((path) => statSync(path).size > 0);
  const segment = segments.at(Math.floor((place / 1_000_000) * segments.length));
  if (segment === undefined) return 'the journal is empty';
  if (how === 'flip') return flip(segment, place);
  const at = Math.floor(usedBytes(segment) * ((place % 1000) / 1000));
  if (how === 'cut') truncateSync(segment, at);
  else write(segment, at, Buffer.alloc(ZEROS_BYTES));
  return `${how} in ${segment.split('/').at(-1)} at ${at}`;
}

/** As the message of STATE_UNREADABLE asks for: the group is then copied anew. */
export function removeState(host: LabHost, groupName: string = GROUP): void {
  const process = processDirectory(join(host.pathFromOutside(GROUPS), groupName));
  if (process !== undefined) rmSync(join(process, 'standby.json'), { force: true });
}

function processDirectory(group: string): string | undefined {
  return readdirSync(group)
    .filter((name) => name.startsWith('process-'))
    .map((name) => join(group, name))
    .find((path) => existsSync(join(path, 'journal')));
}

function flip(path: string, place: number): string {
  const at = Math.floor(usedBytes(path) * ((place % 1000) / 1000));
  const fd = openSync(path, 'r');
  const byte = Buffer.alloc(1);
  readSync(fd, byte, 0, 1, at);
  closeSync(fd);
  byte.writeUInt8(byte.readUInt8(0) ^ (1 << (place % 8)), 0);
  write(path, at, byte);
  return `one bit of ${path.split('/').at(-1)} flipped at ${at}`;
}

function write(path: string, at: number, bytes: Buffer): void {
  const fd = openSync(path, 'r+');
  writeSync(fd, bytes, 0, bytes.length, at);
  closeSync(fd);
}

/** Segments are recycled at their full size: the part that is in use is before the last byte that is not 0. */
function usedBytes(path: string): number {
  const { size } = statSync(path);
  const fd = openSync(path, 'r');
  const chunk = Buffer.alloc(1024 * 1024);
  try {
    for (let end = size; end > 0; end -= chunk.length) {
      const from = Math.max(0, end - chunk.length);
      const bytes = readSync(fd, chunk, 0, end - from, from);
      for (let at = bytes - 1; at >= 0; at -= 1) if (chunk[at] !== 0) return from + at + 1;
    }
    return 1;
  } finally {
    closeSync(fd);
  }
}
