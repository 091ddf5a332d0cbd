// Takes a copy back to an earlier state, by the undo log. May be done from any state in which a crash
// has left the copy, and again after it was cut short itself: it says what is to be, not what to do.
//
//   plan (nothing is changed)  ─▶  names  ─▶  surplus  ─▶  contents, newest batch first  ─▶  attributes  ─▶  times
//
// What came later goes before contents come back, which may need its room.
//
// The applier must have ended. Nothing is brought to the disk here: the caller syncs.
import { ATTR_BYTES, attrField, decodeXattrs, readI53, readU53 } from '../../journal/record.ts';
import { undoKind, type UndoEntry } from '../../journal/undo-format.ts';
import { batchesBackwards, readUndoSegments } from '../../journal/undo-reader.ts';
import { AT, FALLOC, S, errno, errnoName } from '../../linux/constants.ts';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { assert } from '../../core/assert.ts';
import { readDirectory } from '../../linux/dirents.ts';
import { addressOf, cstring, sys } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { applyXattrs, changeMode } from './attributes.ts';
import { openDirectoryBeneath, openFileBeneath, openHandleBeneath } from './beneath.ts';
import { setTimes } from './open-objects.ts';
import { restoreNames } from './rollback-names.ts';
import { planRollback, type RollbackPlan, type WantedObject } from './rollback-plan.ts';
import { CopyTree, must, RollbackFailure } from './rollback-tree.ts';
import { sequenceOfItem, SHELF } from './shelf.ts';
import { Volume } from './volume.ts';

export interface RollbackOptions {
  readonly logDirectory: string;
  readonly groupId: string;
  /** State to go back to: one that the log has. */
  readonly target: number;
  /** Open roots of the protected directories, in the order of their index. */
  readonly directories: readonly { readonly fd: number; readonly label: string }[];
  /** Inode that the log knows an object by; a clone has others. */
  readonly identify?: (directory: number, ino: number) => number;
}

const EMPTY = cstring('');
/** Blocks of file systems are not larger. */
const BLOCK_BYTES_MAX = 64 * 1024;
const FILES_OPEN_MAX = 256;
const ZEROS = Buffer.alloc(BLOCK_BYTES_MAX);

/**
 * Errors: REWIND_NOT_KEPT, UNDO_DAMAGED (nothing has changed then), ROLLBACK_FAILED (it may be tried
 * again).
 */
export function rollBack(options: RollbackOptions): void {
  const { logDirectory, groupId, target, directories } = options;
  const { segments } = readUndoSegments(logDirectory, groupId);
  const source = { logDirectory, segments, target, directories: directories.length };
  const plans = planRollback(source);
  for (const [index, plan] of plans.entries()) {
    const { fd, label } = directories[index] ?? { fd: -1, label: '' };
    try {
      const identify = options.identify;
      const own = identify === undefined ? undefined : (ino: number) => identify(index, ino);
      restore({ fd, index, plan, segments, logDirectory, target, identify: own });
    } catch (error) {
      // Whatever it was, part of the copy may be as of then and the rest not.
      throw new UnderstudyError(
        'ROLLBACK_FAILED',
        `the copy in ${label} could not be taken back to record ${target}: ` +
          `${whyNot(error)}; check space and that disk, it is tried again`,
        { details: { sequence: target }, cause: error },
      );
    }
  }
}

function whyNot(error: unknown): string {
  if (!(error instanceof RollbackFailure)) return messageOf(error);
  return `cannot ${error.message} (${errnoName(error.negative)})`;
}

interface Restore {
  readonly fd: number;
  readonly index: number;
  readonly plan: RollbackPlan;
  readonly segments: Parameters<typeof batchesBackwards>[1];
  readonly logDirectory: string;
  readonly target: number;
  readonly identify: ((ino: number) => number) | undefined;
}

function restore({ fd, index, plan, segments, logDirectory, target, identify }: Restore): void {
  const { names, objects } = plan;
  if (names.size === 0 && objects.size === 0) return;
  const root = new Stat();
  must(root.fd(fd), 'stat');
  const wanted = new Set(objects.keys());
  for (const { ino } of names.values()) if (ino !== 0) wanted.add(ino);
  const tree = new CopyTree(fd, wanted, identify);
  try {
    restoreNames(tree, plan);
    removeSurplus(fd, target);
    restoreContents(tree, { index, segments, logDirectory, target });
    for (const [ino, object] of objects) restoreAttributes(tree, ino, object);
    // Putting back names and contents changed times, of directories too: these come last.
    for (const [ino, { attributes }] of objects) restoreTimes(tree, ino, attributes);
    if (!objects.has(tree.root)) {
      must(
        setTimes(fd, time(root.atimeSec, root.atimeNsec), time(root.mtimeSec, root.mtimeNsec)),
        'set times',
      );
    }
  } finally {
    tree.close();
  }
}

function restoreContents(
  tree: CopyTree,
  { index, segments, logDirectory, target }: Omit<Restore, 'fd' | 'plan' | 'identify'>,
): void {
  const files = new Files(tree);
  try {
    for (const { file, batch } of batchesBackwards(logDirectory, segments, target)) {
      for (const entry of file.entries(batch)) if (entry.directory === index) files.restore(entry);
    }
  } finally {
    files.close();
  }
}

/** What nobody wants at the moment gone back to: put aside just now, or removed only after it. */
function removeSurplus(fd: number, target: number): void {
  const volume = new Volume({ index: 0, label: '', fd, openMax: 1 });
  const shelf = openDirectoryBeneath(fd, SHELF);
  if (shelf === -errno.ENOENT) return;
  must(shelf, 'open the shelf');
  try {
    const entries = readDirectory(shelf);
    for (const { name } of typeof entries === 'number' ? [] : entries) {
      const sequence = sequenceOfItem(name);
      if (sequence !== undefined && sequence <= target) continue;
      must(volume.removeTree(shelf, cstring(name), 0), 'remove what came later');
    }
  } finally {
    sys.close(shelf);
  }
}

const time = (sec: number, nsec: number): { sec: number; nsec: number } => ({ sec, nsec });

/** Contents of files; keeps some open. */
class Files {
  readonly #tree: CopyTree;
  readonly #stat = new Stat();
  readonly #open = new Map<number, number>();

  constructor(tree: CopyTree) {
    this.#tree = tree;
  }

  restore({ kind, ino, offset, data }: UndoEntry): void {
    if (kind === undoKind.object) {
      assert(data.length === ATTR_BYTES, 'an object of the undo log has an attribute block');
      const view = new DataView(data.buffer, data.byteOffset, data.length);
      const isRegular = (view.getUint32(attrField.mode, true) & S.IFMT) === S.IFREG;
      if (isRegular) this.#size(ino, readU53(view, attrField.size));
      return;
    }
    if (kind !== undoKind.data && kind !== undoKind.hole) return;
    const fd = this.#file(ino);
    if (fd < 0) return;
    if (kind === undoKind.data) write(fd, data, offset);
    else this.#punch(fd, offset, readU53(new DataView(data.buffer, data.byteOffset), 0));
  }

  #size(ino: number, size: number): void {
    const fd = this.#file(ino);
    if (fd < 0) return;
    must(this.#stat.fd(fd), 'stat a file');
    if (this.#stat.size !== size) must(sys.ftruncate(fd, size), 'cut a file');
  }

  #punch(fd: number, offset: number, length: number): void {
    must(this.#stat.fd(fd), 'stat a file');
    const mode = FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE;
    // A block that is punched in part stays; the last one of the file may go as a whole.
    const beyond = offset + length >= this.#stat.size ? BLOCK_BYTES_MAX : 0;
    const result = sys.fallocate(fd, mode, offset, length + beyond);
    if (result !== -errno.EOPNOTSUPP) must(result, 'punch a hole');
    else
      for (let done = 0; done < length; done += ZEROS.length) {
        write(fd, ZEROS.subarray(0, Math.min(ZEROS.length, length - done)), offset + done);
      }
  }

  /** Descriptor of a file that is in its place; -1: it is to go, or no regular file. */
  #file(ino: number): number {
    const known = this.#open.get(ino);
    if (known !== undefined) return known;
    const path = this.#tree.isInPlace(ino) ? this.#tree.path(ino) : undefined;
    const fd = path === undefined ? -1 : openFileBeneath(this.#tree.rootFd, path, this.#stat);
    if (fd < -1 && fd !== -errno.EINVAL && fd !== -errno.EISDIR) must(fd, `open ${path ?? ''}`);
    if (this.#open.size >= FILES_OPEN_MAX) this.close();
    this.#open.set(ino, Math.max(-1, fd));
    return Math.max(-1, fd);
  }

  close(): void {
    for (const fd of this.#open.values()) if (fd >= 0) sys.close(fd);
    this.#open.clear();
  }
}

function write(fd: number, bytes: Buffer, offset: number): void {
  const address = addressOf(bytes);
  for (let done = 0; done < bytes.length;) {
    const written = sys.pwrite(fd, address + done, bytes.length - done, offset + done);
    if (written === -errno.EINTR) continue;
    done += must(written === 0 ? -errno.EIO : written, 'write a file');
  }
}

function withObject(tree: CopyTree, ino: number, use: (fd: number) => void): void {
  const path = tree.isInPlace(ino) ? tree.path(ino) : undefined;
  if (path === undefined) return;
  const fd = must(openHandleBeneath(tree.rootFd, path), `open ${path}`);
  try {
    use(fd);
  } finally {
    sys.close(fd);
  }
}

const stat = new Stat();

function restoreAttributes(
  tree: CopyTree,
  ino: number,
  { attributes, xattrs }: WantedObject,
): void {
  const view = new DataView(attributes.buffer, attributes.byteOffset, attributes.length);
  const field = (at: number): number => view.getUint32(at, true);
  withObject(tree, ino, (fd) => {
    must(stat.fd(fd), 'stat an object');
    const uid = field(attrField.uid);
    const gid = field(attrField.gid);
    const changesOwner = stat.uid !== uid || stat.gid !== gid;
    if (changesOwner) must(sys.fchownat(fd, EMPTY, uid, gid, AT.EMPTY_PATH), 'change an owner');
    if (xattrs !== undefined) {
      const decoded = decodeXattrs(xattrs);
      assert(decoded !== undefined, 'attributes in the undo log are well formed');
      must(applyXattrs(fd, decoded), 'set attributes');
    }
    const mode = field(attrField.mode);
    if ((mode & S.IFMT) !== S.IFLNK) must(changeMode(fd, mode), 'change a mode');
  });
}

function restoreTimes(tree: CopyTree, ino: number, attributes: Buffer): void {
  const view = new DataView(attributes.buffer, attributes.byteOffset, attributes.length);
  const seconds = (at: number): number => readI53(view, at);
  const nanoseconds = (at: number): number => view.getUint32(at, true);
  withObject(tree, ino, (fd) => {
    const atime = time(seconds(attrField.atimeSec), nanoseconds(attrField.atimeNsec));
    const mtime = time(seconds(attrField.mtimeSec), nanoseconds(attrField.mtimeNsec));
    must(setTimes(fd, atime, mtime), 'set times');
  });
}
