// The salvage of one protected directory: which of its objects were different before the scan, and their
// versions of then as files.
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Patterns } from '../../core/patterns.ts';
import { undoKind } from '../../journal/undo-format.ts';
import { batchesBackwards, type UndoSegment } from '../../journal/undo-reader.ts';
import { readU53 } from '../../journal/record.ts';
import { AT, errno, O, S } from '../../linux/constants.ts';
import { cpath, cstring, sys } from '../../linux/libc.ts';
import { openHandleBeneath, procPath } from '../applier/beneath.ts';
import type { RollbackPlan } from '../applier/rollback-plan.ts';
import { CopyTree, must } from '../applier/rollback-tree.ts';
import { differences, type Range } from './differences.ts';
import { OldFile } from './old-file.ts';
import { type OwnName, OwnNames } from './own-names.ts';
import {
  formerObject,
  hasSameAttributes,
  type OwnObject,
  presentObject,
  typeOf,
} from './own-object.ts';
import { describeEntry } from './salvage-entry.ts';
import type { SalvageEntry } from './salvage-report.ts';
import { SalvageTree } from './salvage-tree.ts';

export interface DirectorySalvageOptions {
  /** Where the salvage is made. */
  readonly top: string;
  /** Directory of this one below `files` and `ranges`; empty: none. */
  readonly below: string;
  readonly index: number;
  readonly fd: number;
  readonly plan: RollbackPlan;
  readonly log: {
    readonly directory: string;
    readonly segments: readonly UndoSegment[];
    readonly target: number;
  };
  readonly patterns: Patterns;
  readonly ownSinceMs: number;
  /** Bytes that may still be written of whole files; what is used is taken off. */
  readonly room: { wholeBytes: number };
  readonly onEntry: (entry: SalvageEntry) => void;
  /** Something is left out because both nodes had it. */
  readonly onOlder: () => void;
}

type Present = Exclude<ReturnType<typeof presentObject>, number>;

/** A regular file as it was. */
interface OwnFile {
  readonly ino: number;
  readonly own: OwnObject;
  readonly old: OldFile;
  readonly paths: string[];
}

/** How a file differs at one of its paths. */
interface FileDifference {
  readonly path: string;
  readonly kind: SalvageEntry['kind'];
  readonly other: Present | undefined;
  readonly ranges: readonly Range[];
  readonly changedBytes: number;
}

const FILES_OPEN_MAX = 128;
const RANGES_MAX = 256;
const LINK_BYTES_MAX = 4096;

export class DirectorySalvage {
  readonly #options: DirectorySalvageOptions;
  readonly #work: number;
  readonly #files: SalvageTree;
  readonly #ranges: SalvageTree;
  readonly #fds: number[] = [];
  /** By inode. */
  readonly #regular = new Map<number, OwnFile>();
  readonly #directories = new Map<string, OwnObject>();
  #keptBytes = 0;

  constructor(options: DirectorySalvageOptions) {
    this.#options = options;
    const describe = (path: string): OwnObject | undefined =>
      this.#directories.get(path) ?? this.#present(path);
    this.#work = this.#make('work', '');
    this.#files = new SalvageTree(this.#make('files', options.below), describe);
    this.#ranges = new SalvageTree(this.#make('ranges', options.below), describe);
  }

  #make(name: string, below: string): number {
    const path = join(this.#options.top, name, below);
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const flags = O.RDONLY | O.DIRECTORY | O.CLOEXEC;
    const fd = must(sys.openat(AT.FDCWD, cpath(path), flags, 0), `open ${path}`);
    this.#fds.push(fd);
    return fd;
  }

  /** Returns about how many bytes are kept. Throws RollbackFailure. */
  run(): number {
    const { fd, plan, top } = this.#options;
    try {
      const wanted = new Set(plan.objects.keys());
      for (const { ino } of plan.names.values()) if (ino !== 0) wanted.add(ino);
      const tree = new CopyTree(fd, wanted);
      for (const name of new OwnNames(tree, plan).all()) this.#look(name);
      tree.close();
      this.#replay();
      const bySize = [...this.#regular.values()].toSorted((a, b) => a.own.size - b.own.size);
      for (const file of bySize) this.#settle(file);
      this.#files.finish();
      this.#ranges.finish();
    } finally {
      for (const { old } of this.#regular.values()) old.close();
      for (const each of this.#fds) sys.close(each);
    }
    rmSync(join(top, 'work'), { recursive: true, force: true });
    return this.#keptBytes;
  }

  /** Looks at a name that may have led to something else than now. */
  #look({ path, ino, at }: OwnName): void {
    const { plan, patterns, ownSinceMs, onOlder } = this.#options;
    const present = at === undefined ? undefined : this.#present(at);
    if (present === undefined || at === undefined) return;
    const own = formerObject(present, plan.objects.get(ino));
    if (at === path && !plan.contents.has(ino) && isSameObject(own, present)) return;
    const isDirectory = typeOf(own) === S.IFDIR;
    if (isDirectory) this.#directories.set(path, own);
    if (path !== '' && !patterns.matchesWholly(path, isDirectory)) return;
    if (own.changedMs > 0 && own.changedMs < ownSinceMs) {
      onOlder();
      return;
    }
    if (typeOf(own) === S.IFREG) this.#collect(ino, path, { at, own });
    else this.#settleOther(path, own, at);
  }

  #collect(ino: number, path: string, { at, own }: { at: string; own: OwnObject }): void {
    const known = this.#regular.get(ino);
    if (known !== undefined) {
      known.paths.push(path);
      return;
    }
    const { fd } = this.#options;
    const flags = O.RDWR | O.CREAT | O.NOFOLLOW | O.CLOEXEC;
    const old = new OldFile({
      size: own.size,
      openBase: () => openFile(fd, at),
      openWork: () => sys.openat(this.#work, cstring(String(ino)), flags, 0o600),
    });
    this.#regular.set(ino, { ino, own, old, paths: [path] });
  }

  /** What the log has of contents. */
  #replay(): void {
    const { log, index } = this.#options;
    let open = 0;
    for (const { file, batch } of batchesBackwards(log.directory, log.segments, log.target)) {
      for (const { kind, directory, ino, offset, data } of file.entries(batch)) {
        if (directory !== index || (kind !== undoKind.data && kind !== undoKind.hole)) continue;
        const old = this.#regular.get(ino)?.old;
        if (old === undefined) continue;
        if (!old.isOpen) open += 1;
        if (kind === undoKind.data) old.put(offset, data);
        else old.putHole(offset, readU53(new DataView(data.buffer, data.byteOffset), 0));
        if (open < FILES_OPEN_MAX) continue;
        for (const each of this.#regular.values()) each.old.close();
        open = 0;
      }
    }
    for (const each of this.#regular.values()) each.old.close();
  }

  #settle(file: OwnFile): void {
    const found = file.paths.flatMap((path) => this.#compare(file, path) ?? []);
    const contents = found.filter(({ kind }) => kind !== 'attributes');
    const kept = contents.length === 0 ? 'none' : this.#keep(file, contents);
    for (const each of found) {
      this.#tell(each, file.own, each.kind === 'attributes' ? 'attributes' : kept);
    }
    file.old.close();
    const left = sys.unlinkat(this.#work, cstring(String(file.ino)), 0);
    if (left !== -errno.ENOENT) must(left, 'remove a file');
  }

  /** How the file differs from what is at one of its paths; undefined: not at all. */
  #compare({ ino, own, old }: OwnFile, path: string): FileDifference | undefined {
    const other = this.#present(path);
    const all = { path, other, ranges: [[0, own.size] as const], changedBytes: own.size };
    if (other === undefined) return { ...all, kind: 'missing' };
    if (typeOf(other) !== S.IFREG) return { ...all, kind: 'other-kind', other };
    const ranges: Range[] = [];
    let changedBytes = 0;
    const fd = must(openFile(this.#options.fd, path), `open ${path}`);
    for (const range of differences(old, fd, other.ino === ino)) {
      if (ranges.length <= RANGES_MAX) ranges.push(range);
      changedBytes += range[1] - range[0];
    }
    sys.close(fd);
    if (changedBytes > 0 || other.size !== own.size) {
      return { path, kind: 'contents', other, ranges, changedBytes };
    }
    if (hasSameAttributes(own, other)) return undefined;
    return { path, kind: 'attributes', other, ranges: [], changedBytes: 0 };
  }

  #keep(file: OwnFile, found: readonly FileDifference[]): SalvageEntry['kept'] {
    const { old, own, ino } = file;
    const { room } = this.#options;
    const bytes = old.allocatedBytes;
    const isWhole = bytes <= room.wholeBytes;
    const isPartial = found.every(({ kind }) => kind === 'contents');
    if (!isWhole && !isPartial) return 'none';
    if (isWhole) {
      room.wholeBytes -= bytes;
      this.#keptBytes += bytes;
      old.complete();
    } else this.#takeRanges(file, found);
    old.finish();
    const tree = isWhole ? this.#files : this.#ranges;
    const [first, ...others] = found.map(({ path }) => path);
    if (first === undefined) return 'none';
    tree.place(this.#work, String(ino), first);
    for (const path of others) tree.link(first, path);
    tree.describe(first, own);
    return isWhole ? 'whole' : 'ranges';
  }

  /** All of what differs: the list of a difference may end before. */
  #takeRanges({ ino, old }: OwnFile, found: readonly FileDifference[]): void {
    for (const { path, other, changedBytes } of found) {
      this.#keptBytes += changedBytes;
      const fd = must(openFile(this.#options.fd, path), `open ${path}`);
      let end = 0;
      for (const [from, to] of differences(old, fd, other?.ino === ino)) {
        old.take(from, to);
        // What is the same under one name may not be under another.
        if (found.length === 1) old.drop(end, from);
        end = to;
      }
      if (found.length === 1) old.drop(end, old.size);
      sys.close(fd);
    }
  }

  /** Anything but a regular file. */
  #settleOther(path: string, own: OwnObject, at: string): void {
    const other = this.#present(path);
    const target = typeOf(own) === S.IFLNK ? this.#target(at) : '';
    const kind = this.#kindOf(path, own, { other, target });
    if (kind === undefined) return;
    const difference = { path, kind, other, ranges: [], changedBytes: 0 };
    if (kind !== 'attributes') this.#files.make(path, own, target);
    this.#tell(difference, own, kind === 'attributes' ? 'attributes' : 'whole');
  }

  #kindOf(
    path: string,
    own: OwnObject,
    { other, target }: { other: Present | undefined; target: string },
  ): SalvageEntry['kind'] | undefined {
    if (other === undefined) return 'missing';
    if (typeOf(other) !== typeOf(own)) return 'other-kind';
    if (target !== '' && this.#target(path) !== target) return 'contents';
    const isDevice = typeOf(own) === S.IFCHR || typeOf(own) === S.IFBLK;
    if (isDevice && other.rdev !== own.rdev) return 'contents';
    return hasSameAttributes(own, other) ? undefined : 'attributes';
  }

  #tell(
    { path, kind, other, ranges, changedBytes }: FileDifference,
    own: OwnObject,
    kept: SalvageEntry['kept'],
  ): void {
    const { index, onEntry } = this.#options;
    const listed = ranges.slice(0, RANGES_MAX).map(([from, to]): [number, number] => [from, to]);
    const hasMoreRanges = ranges.length > RANGES_MAX;
    const seen = { directory: index, path, kind, kept, own, other };
    onEntry(describeEntry({ ...seen, changedBytes, ranges: listed, hasMoreRanges }));
  }

  /** What is at a path now; undefined: nothing. */
  #present(path: string): Present | undefined {
    const fd = openHandleBeneath(this.#options.fd, path);
    if (fd === -errno.ENOENT || fd === -errno.ENOTDIR || fd === -errno.ELOOP) return undefined;
    must(fd, `open ${path}`);
    const present = presentObject(fd);
    sys.close(fd);
    return typeof present === 'number' ? void must(present, `read ${path}`) : present;
  }

  #target(path: string): string {
    const fd = must(openHandleBeneath(this.#options.fd, path), `open ${path}`);
    const into = Buffer.alloc(LINK_BYTES_MAX);
    const length = sys.readlinkat(fd, cstring(''), into, into.length);
    sys.close(fd);
    return into.toString('latin1', 0, must(length, `read ${path}`));
  }
}

/** But for its contents. */
const isSameObject = (own: OwnObject, present: Present): boolean =>
  own.size === present.size && hasSameAttributes(own, present);

/** A regular file for reading; its times stay. */
function openFile(rootFd: number, path: string): number {
  const handle = openHandleBeneath(rootFd, path);
  if (handle < 0) return handle;
  const flags = O.RDONLY | O.NOATIME | O.CLOEXEC;
  const fd = sys.openat(AT.FDCWD, procPath(handle), flags, 0);
  sys.close(handle);
  return fd;
}
