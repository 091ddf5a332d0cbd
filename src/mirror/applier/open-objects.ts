// Open files and directories of one protected directory, by path, and the modification times that
// are still to be set on them.
//
// Rules: at most `max` descriptors per kind; an entry always belongs to the object that has its path
// now (whoever moves or removes names says so here); a pending time is set before its descriptor is
// closed.
import { AT, UTIME } from '../../linux/constants.ts';
import { addressOf, cstring, sys } from '../../linux/libc.ts';
import { NO_TIME, writeI53 } from '../../journal/record.ts';

const EMPTY = cstring('');
const TIMESPECS_BYTES = 32;

/** A file (open for reading and writing) or directory (open for reading). */
export class OpenObject {
  readonly fd: number;
  readonly ino: number;
  /** Has, or may have, several names. */
  linked: boolean;
  /** Directory: whether new entries inherit an ACL; undefined = not looked at. */
  defaultAcl: boolean | undefined;
  /** Pending times; none while the nanoseconds are NO_TIME. */
  mtimeSec = 0;
  mtimeNsec: number = NO_TIME;
  atimeSec = 0;
  atimeNsec: number = NO_TIME;

  constructor(fd: number, ino: number, linked: boolean) {
    this.fd = fd;
    this.ino = ino;
    this.linked = linked;
  }
}

const times = new Uint8Array(new ArrayBuffer(TIMESPECS_BYTES));
const timesView = new DataView(times.buffer);
const timesAddress = addressOf(times);

/** A time to set; NO_TIME in `nsec` leaves it. */
export interface Time {
  readonly sec: number;
  readonly nsec: number;
}

/** Sets both times of the object behind `fd` (O_PATH allowed). Returns 0 or a negative errno. */
export function setTimes(fd: number, atime: Time, mtime: Time): number {
  writeTimespec(0, atime);
  writeTimespec(16, mtime);
  return sys.utimensat(fd, EMPTY, timesAddress, AT.EMPTY_PATH);
}

function writeTimespec(at: number, time: Time): void {
  writeI53(timesView, at, time.nsec === NO_TIME ? 0 : time.sec);
  timesView.setUint32(at + 8, time.nsec === NO_TIME ? UTIME.OMIT : time.nsec, true);
}

export class OpenObjects {
  readonly #max: number;
  readonly #root: OpenObject;
  readonly #files = new Map<string, OpenObject>();
  readonly #directories = new Map<string, OpenObject>();
  /** In the order in which the times were noted: of two names of one file the later one wins. */
  readonly #pending = new Set<OpenObject>();
  #failure = 0;

  constructor(root: OpenObject, max: number) {
    this.#root = root;
    this.#max = max;
  }

  file(path: string): OpenObject | undefined {
    return recent(this.#files, path);
  }

  directory(path: string): OpenObject | undefined {
    return path === '' ? this.#root : recent(this.#directories, path);
  }

  addFile(path: string, file: OpenObject): void {
    this.#add(this.#files, path, file);
  }

  addDirectory(path: string, directory: OpenObject): void {
    this.#add(this.#directories, path, directory);
  }

  /** Notes the modification time to be set at the end of the batch. */
  noteTime(object: OpenObject, sec: number, nsec: number): void {
    if (nsec === NO_TIME) return;
    this.#note(object);
    object.mtimeSec = sec;
    object.mtimeNsec = nsec;
  }

  /** The same for the time of the last access. */
  noteAccessTime(object: OpenObject, sec: number, nsec: number): void {
    if (nsec === NO_TIME) return;
    this.#note(object);
    object.atimeSec = sec;
    object.atimeNsec = nsec;
  }

  #note(object: OpenObject): void {
    // Of one file known by two names the time noted last must be set last.
    if (object.linked) this.#pending.delete(object);
    if (object.linked || isSettled(object)) this.#pending.add(object);
  }

  /** Sets all pending times. Returns 0 or the first negative errno since the last call. */
  flushTimes(): number {
    this.#setPending();
    const failure = this.#failure;
    this.#failure = 0;
    return failure;
  }

  #setPending(): void {
    for (const object of this.#pending) this.#setTime(object);
    this.#pending.clear();
  }

  /** `path` is gone, or somebody else's now. */
  forget(path: string): void {
    this.#drop(this.#files, path);
    this.#drop(this.#directories, path);
  }

  /** `path` and everything below it is gone. */
  forgetTree(path: string): void {
    this.forget(path);
    const prefix = `${path}/`;
    for (const map of [this.#files, this.#directories]) {
      for (const key of map.keys()) if (key.startsWith(prefix)) this.#drop(map, key);
    }
  }

  /**
   * The object at `from` is at `to` now, a directory (`tree`) with everything below it. What was at
   * `to` is gone.
   */
  moved(from: string, to: string, tree: boolean): void {
    if (tree) this.forgetTree(to);
    else this.forget(to);
    for (const map of [this.#files, this.#directories]) {
      for (const [key, object] of take(map, from, tree))
        map.set(to + key.slice(from.length), object);
    }
  }

  /** The objects at `a` and `b`, with everything below them, changed places. */
  exchanged(a: string, b: string): void {
    for (const map of [this.#files, this.#directories]) {
      const first = take(map, a, true);
      const second = take(map, b, true);
      for (const [key, object] of first) map.set(b + key.slice(a.length), object);
      for (const [key, object] of second) map.set(a + key.slice(b.length), object);
    }
  }

  /** Closes everything but the root. */
  close(): void {
    for (const map of [this.#files, this.#directories]) {
      for (const key of map.keys()) this.#drop(map, key);
    }
  }

  /** Closes everything without setting the times that are pending, as the end of the process does. */
  abandon(): void {
    for (const object of this.#pending) {
      object.atimeNsec = NO_TIME;
      object.mtimeNsec = NO_TIME;
    }
    this.#pending.clear();
    this.close();
  }

  #add(map: Map<string, OpenObject>, path: string, object: OpenObject): void {
    if (map.size >= this.#max) {
      for (const oldest of map.keys()) {
        this.#drop(map, oldest);
        break;
      }
    }
    map.set(path, object);
  }

  #drop(map: Map<string, OpenObject>, path: string): void {
    const object = map.get(path);
    if (object === undefined) return;
    map.delete(path);
    if (this.#pending.has(object)) {
      // Another name of the file may have an older time pending, which must not come later.
      if (object.linked) this.#setPending();
      else this.#setTime(object);
      this.#pending.delete(object);
    }
    sys.close(object.fd);
  }

  #setTime(object: OpenObject): void {
    if (isSettled(object)) return;
    const atime = { sec: object.atimeSec, nsec: object.atimeNsec };
    const mtime = { sec: object.mtimeSec, nsec: object.mtimeNsec };
    object.atimeNsec = NO_TIME;
    object.mtimeNsec = NO_TIME;
    const result = setTimes(object.fd, atime, mtime);
    if (result < 0 && this.#failure === 0) this.#failure = result;
  }
}

const isSettled = (object: OpenObject): boolean =>
  object.mtimeNsec === NO_TIME && object.atimeNsec === NO_TIME;

/** Looks up and makes the entry the youngest. */
function recent(map: Map<string, OpenObject>, path: string): OpenObject | undefined {
  const object = map.get(path);
  if (object === undefined) return undefined;
  map.delete(path);
  map.set(path, object);
  return object;
}

/** Removes and returns the entry of `path`, with `tree` everything below it too. */
function take(map: Map<string, OpenObject>, path: string, tree: boolean): [string, OpenObject][] {
  const prefix = `${path}/`;
  const own = map.get(path);
  const taken: [string, OpenObject][] = own === undefined ? [] : [[path, own]];
  if (tree) for (const entry of map) if (entry[0].startsWith(prefix)) taken.push(entry);
  for (const [key] of taken) map.delete(key);
  return taken;
}
