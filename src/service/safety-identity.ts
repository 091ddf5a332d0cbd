// Delete protection before the start: is each directory of a group still the one that it was?
//
// A data disk that was not mounted leaves an empty mount point behind. A primary that scanned it would
// make the standby's copy just as empty, and a standby would fill it with the whole copy. So a group
// process compares the directory underneath with what it was before, and does not start on another
// one, nor does a primary on one that has lost its entries, before a person has accepted it. (A copy that
// was emptied is no copy any more until the primary has filled it again: nobody loses anything.)
//
// The note is replaced while the process runs: by the process, which alone sees what is underneath.
// A directory that is right again (the disk was mounted after all) needs nobody's consent.
import { opendirSync, rmSync } from 'node:fs';
import { z } from 'zod';
import { UnderstudyError } from '../core/errors.ts';
import { AT, errnoName, O } from '../linux/constants.ts';
import { addressOf, cstring, EMPTY_NAME, sys } from '../linux/libc.ts';
import { ORPHAN_DIRECTORY } from '../journal/record.ts';
import { bringToDisk } from './bring-to-disk.ts';
import { readJsonFile, writeJsonDurably } from './durable-file.ts';
import type { GroupProcessSpec } from './group-spec.ts';

/** _IOR(0x15, 0, struct fsuuid2), Linux 6.9 (uapi/linux/fs.h). */
const FS_IOC_GETFSUUID = 0x80111500;
const HANDLE_BYTES_MAX = 128;
/** f_fsid of these is made from the UUID of the file system, and does not change with its device. */
const FSID_TYPES: ReadonlySet<number> = new Set([0xef53, 0x9123683e]);
/** Counting ends here: more is not needed to tell a full directory from an emptied one. */
const ENTRIES_COUNTED_MAX = 200;
/** A directory that had fewer is not missed when it is empty. */
const ENTRIES_MISSED_MIN = 10;
/** What is left of an emptied directory: no more than this share. */
const LEFT_SHARE = 0.1;
const REFRESH_INTERVAL_MS = 10_000;

const identitySchema = z.strictObject({
  dir: z.string(),
  /** `uuid:…` or `fsid:…`; null where the file system has nothing that stays the same. */
  fileSystem: z.string().nullable(),
  /** File handle: inode and generation, as the file system writes them. */
  handle: z.string(),
  /** Counted up to a limit. */
  entries: z.int().min(0),
});
export type DirectoryIdentity = z.infer<typeof identitySchema>;

const haltSchema = z.strictObject({
  code: z.enum(['DIRECTORY_REPLACED', 'DIRECTORY_EMPTIED']),
  sentence: z.string(),
  since: z.string(),
});
/** Why a group process does not start. */
export type StartHalt = z.infer<typeof haltSchema>;

/** Whether a start was refused because a directory is not what it was. */
export function isHalt(thrown: unknown): boolean {
  const { code } = haltSchema.shape;
  return thrown instanceof UnderstudyError && code.safeParse(thrown.code).success;
}

const noteSchema = z.strictObject({
  version: z.literal(1),
  directories: z.array(identitySchema).max(64),
  halt: haltSchema.nullable(),
});
type SafetyNote = z.infer<typeof noteSchema>;

/** Reads what identifies the directory behind `fd`. Errors: DIRECTORY_UNREADABLE. */
export function identify(dir: string, fd: number): DirectoryIdentity {
  const handle = new Uint8Array(new ArrayBuffer(8 + HANDLE_BYTES_MAX));
  const view = new DataView(handle.buffer);
  view.setUint32(0, HANDLE_BYTES_MAX, true);
  const mountId = new Uint8Array(4);
  const handled = sys.nameToHandleAt(fd, EMPTY_NAME, handle, mountId, AT.EMPTY_PATH);
  if (handled < 0) throw unreadable(dir, errnoName(handled));
  const length = view.getUint32(0, true);
  return {
    dir,
    fileSystem: fileSystemOf(fd),
    handle: Buffer.from(handle.subarray(4, 8 + length)).toString('hex'),
    entries: countEntries(`/proc/self/fd/${fd}`),
  };
}

function fileSystemOf(fd: number): string | null {
  const uuid = new Uint8Array(17);
  if (sys.ioctl(fd, FS_IOC_GETFSUUID, uuid) >= 0) {
    const bytes = uuid.subarray(1, 1 + Math.min(16, uuid[0] ?? 0));
    return `uuid:${Buffer.from(bytes).toString('hex')}`;
  }
  const statfs = new Uint8Array(new ArrayBuffer(256));
  if (sys.statfs(fd, addressOf(statfs)) < 0) return null;
  const view = new DataView(statfs.buffer);
  // struct statfs of 64-bit machines: f_type at 0, f_fsid at 56.
  if (!FSID_TYPES.has(Number(view.getBigInt64(0, true)))) return null;
  return `fsid:${Buffer.from(statfs.subarray(56, 64)).toString('hex')}`;
}

/** Entries of the directory and of those directly below it, up to a limit. */
function countEntries(path: string, depth = 2, before = 0): number {
  let count = before;
  const below: string[] = [];
  const directory = opendirSync(path, { encoding: 'latin1' as BufferEncoding });
  try {
    for (let entry = directory.readSync(); entry !== null; entry = directory.readSync()) {
      if (entry.name === ORPHAN_DIRECTORY || entry.name === 'lost+found') continue;
      count += 1;
      if (entry.isDirectory() && depth > 1) below.push(entry.name);
      if (count >= ENTRIES_COUNTED_MAX) return ENTRIES_COUNTED_MAX;
    }
  } finally {
    directory.closeSync();
  }
  for (const name of below) {
    if (count >= ENTRIES_COUNTED_MAX) break;
    // Names are bytes; one that is not text is counted, and not looked into.
    if (/^[\x20-\x7e]+$/.test(name)) count = countEntries(`${path}/${name}`, depth - 1, count);
  }
  return count;
}

/** Why `now` must not be taken for what `before` was; pure. */
export function compareIdentity(
  before: DirectoryIdentity,
  now: DirectoryIdentity,
): Omit<StartHalt, 'since'> | undefined {
  const { dir } = before;
  const isOtherFileSystem = differs(before.fileSystem, now.fileSystem);
  if (isOtherFileSystem || before.handle !== now.handle) {
    const what = isOtherFileSystem
      ? 'it lies on another file system than before: is its disk mounted?'
      : 'it is another directory than before: was it moved away or restored?';
    return { code: 'DIRECTORY_REPLACED', sentence: `${dir} was replaced; ${what}` };
  }
  const isMissed = before.entries >= ENTRIES_MISSED_MIN;
  if (!isMissed || now.entries > before.entries * LEFT_SHARE) return undefined;
  const had = before.entries >= ENTRIES_COUNTED_MAX ? 'many' : String(before.entries);
  const sentence = `${dir} was emptied while it was not protected: it had ${had} entries, and has ${now.entries} now`;
  return { code: 'DIRECTORY_EMPTIED', sentence };
}

/** What was read in different ways (another kernel) cannot be compared. */
function differs(before: string | null, now: string | null): boolean {
  return before !== now && before !== null && now !== null && kindOf(before) === kindOf(now);
}

const kindOf = (fileSystem: string): string | undefined => fileSystem.split(':')[0];

interface Comparison {
  readonly found: DirectoryIdentity[];
  readonly halt: StartHalt | null;
  /** How the copy of a standby was emptied. */
  readonly emptied: string | null;
}

/** Looks at the directories of one group on this node, and keeps the note about them. */
export class DirectoryGuard {
  readonly #path: string;
  readonly #dirs: readonly string[];
  /** Where the directories are seen without what is mounted over them. */
  #underneath: readonly string[] = [];
  #isCopy = false;

  /** `path`: the note. */
  constructor(path: string, dirs: readonly string[]) {
    this.#path = path;
    this.#dirs = dirs;
  }

  /** The guard of a group process, if its directories are to be guarded. */
  static of(
    spec: Pick<GroupProcessSpec, 'safetyFile' | 'directories'>,
  ): DirectoryGuard | undefined {
    const { safetyFile, directories } = spec;
    if (safetyFile === null) return undefined;
    return new DirectoryGuard(
      safetyFile,
      directories.map(({ dir }) => dir),
    );
  }

  /** A note that cannot be read protects nothing: it counts as none, as before the first start. */
  #read(): SafetyNote | undefined {
    try {
      return readJsonFile(this.#path, noteSchema);
    } catch {
      return undefined;
    }
  }

  #write(note: Omit<SafetyNote, 'version'>): void {
    writeJsonDurably(this.#path, { version: 1, ...note } satisfies SafetyNote);
  }

  /** Why the last start was refused; null when it was not. */
  get halt(): StartHalt | null {
    return this.#read()?.halt ?? null;
  }

  /** A person has accepted the directories as they are: the next start takes them so. */
  accept(): void {
    rmSync(this.#path, { force: true });
  }

  /**
   * Compares the directories, while nothing is mounted over them, with what they were. Null when
   * they are the same, or nothing is known of them. Errors: DIRECTORY_UNREADABLE.
   */
  look(role: GroupProcessSpec['role']): StartHalt | null {
    return this.#compare(this.#read(), role).halt;
  }

  /**
   * As {@link look}, before the group starts: the outcome is noted. Returns how a standby's copy was emptied, as a
   * sentence; null: it was not. Errors: DIRECTORY_UNREADABLE, DIRECTORY_REPLACED, DIRECTORY_EMPTIED.
   */
  require(role: GroupProcessSpec['role']): string | null {
    const before = this.#read();
    const { halt, found, emptied } = this.#compare(before, role);
    const directories = halt === null ? found : (before?.directories ?? []);
    try {
      this.#replace(before, { directories, halt });
    } catch {
      // A disk that is full keeps the note of before: no reason not to serve what is as it should be.
    }
    if (halt !== null) throw new UnderstudyError(halt.code, halt.sentence);
    return emptied;
  }

  #compare(before: SafetyNote | undefined, role: GroupProcessSpec['role']): Comparison {
    const found: DirectoryIdentity[] = [];
    let emptied: string | null = null;
    for (const now of this.#dirs.map((dir) => identifyPath(dir))) {
      const then = before?.directories.find(({ dir }) => dir === now.dir);
      const why = then === undefined ? undefined : compareIdentity(then, now);
      if (why?.code === 'DIRECTORY_EMPTIED' && role === 'standby') {
        emptied = why.sentence;
        // Until it is counted anew: a process that dies before it has acted upon this leaves it to the next one.
        found.push({ ...now, entries: then?.entries ?? 0 });
        continue;
      }
      const known = role === 'standby' ? (then?.entries ?? 0) : now.entries;
      found.push({ ...now, entries: Math.min(known, now.entries) });
      if (why === undefined) continue;
      const told = before?.halt ?? null;
      const since = told?.sentence === why.sentence ? told.since : new Date().toISOString();
      return { found, halt: { ...why, since }, emptied: null };
    }
    return { found, halt: null, emptied };
  }

  #replace(before: SafetyNote | undefined, note: Omit<SafetyNote, 'version'>): void {
    const isSame =
      before !== undefined &&
      JSON.stringify([before.directories, before.halt]) ===
        JSON.stringify([note.directories, note.halt]);
    if (!isSame) this.#write(note);
  }

  /**
   * Notes now and then how many entries the directories have. `underneath`: see the field. `isCopy`: only what is on the disk
   * counts, since a power cut takes the rest, which the journal brings back.
   */
  keep(underneath: readonly string[], { isCopy = false } = {}): void {
    this.#underneath = underneath;
    this.#isCopy = isCopy;
    const note = (): void => (isCopy ? void this.noteDurably() : this.note());
    setInterval(note, REFRESH_INTERVAL_MS).unref();
  }

  /** Notes how many entries the directories have now; of a copy, how many are left. */
  note(): void {
    this.#renew((now, before) => (this.#isCopy ? Math.min(now, before) : now));
  }

  /** As {@link note}, with those that have come, which are brought to the disk. */
  async noteDurably(): Promise<void> {
    const counted = this.#underneath.map((path) => countOrNone(path));
    const known = this.#read()?.directories ?? [];
    const hasGrown = this.#dirs.some((dir, index) => {
      const before = known.find((each) => each.dir === dir)?.entries ?? 0;
      return (counted[index] ?? 0) > before;
    });
    if (hasGrown && (await bringToDisk(this.#underneath)) !== null) return;
    this.#renew((now, _, index) => Math.min(now, counted[index] ?? 0));
  }

  #renew(entriesOf: (now: number, before: number, index: number) => number): void {
    const before = this.#read();
    if (before === undefined || before.halt !== null) return;
    try {
      const directories = before.directories.map((each) => {
        const index = this.#dirs.indexOf(each.dir);
        const path = this.#underneath[index];
        if (path === undefined) return each;
        return { ...each, entries: entriesOf(countEntries(path), each.entries, index) };
      });
      this.#replace(before, { directories, halt: null });
    } catch {
      // A disk that fails is told of by others; the count of before remains.
    }
  }
}

function countOrNone(path: string): number {
  try {
    return countEntries(path);
  } catch {
    return 0;
  }
}

function identifyPath(dir: string): DirectoryIdentity {
  const path = cstring(Buffer.from(dir).toString('latin1'));
  const fd = sys.openat(AT.FDCWD, path, O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  if (fd < 0) throw unreadable(dir, errnoName(fd));
  try {
    return identify(dir, fd);
  } finally {
    sys.close(fd);
  }
}

function unreadable(dir: string, why: string): UnderstudyError {
  return new UnderstudyError(
    'DIRECTORY_UNREADABLE',
    `${dir} cannot be opened (${why}): check that it exists, and that its disk is mounted`,
  );
}
