// Random valid operations for a `Recorder`: what exists is looked up in the source directory itself.
import { FALLOC, RENAME, S } from '../../src/linux/constants.ts';
import { snapshotPaths, type PathKind } from './snapshot-paths.ts';
import type { Random } from './random.ts';
import { encodeAcl } from './random-ops/model.ts';
import { timespecs } from './random-ops/world.ts';
import type { Recorder } from './recorder.ts';

const NAMES = ['a', 'b', 'c', 'd', '\xe9\xff', 'x y'];
const DEPTH_MAX = 4;

/** What the generator knows of the source directory right now. */
class Choice {
  readonly random: Random;
  readonly recorder: Recorder;
  readonly paths: ReadonlyMap<string, PathKind>;

  constructor(recorder: Recorder, random: Random) {
    this.random = random;
    this.recorder = recorder;
    this.paths = snapshotPaths(recorder.fd);
  }

  some(...kinds: readonly PathKind[]): string | undefined {
    const found = [...this.paths].filter(([, kind]) => kinds.includes(kind)).map(([path]) => path);
    return found.length === 0 ? undefined : this.random.pick(found);
  }

  /** A path in an existing directory; free or not. */
  anyPath(): string {
    const directories = ['', ...this.#directories()].filter((p) => depthOf(p) < DEPTH_MAX);
    const parent = this.random.pick(directories);
    const name = this.random.pick(NAMES);
    return parent === '' ? name : `${parent}/${name}`;
  }

  freePath(): string | undefined {
    for (let tries = 0; tries < 10; tries += 1) {
      const path = this.anyPath();
      if (!this.paths.has(path)) return path;
    }
    return undefined;
  }

  isEmpty(directory: string): boolean {
    return ![...this.paths.keys()].some((path) => path.startsWith(`${directory}/`));
  }

  #directories(): string[] {
    return [...this.paths].filter(([, kind]) => kind === 'directory').map(([path]) => path);
  }
}

const depthOf = (path: string): number => (path === '' ? 0 : path.split('/').length);
const isWithin = (path: string, top: string): boolean => path === top || path.startsWith(`${top}/`);

type Operation = (choice: Choice) => void;

const creations: Operation = (choice) => {
  const path = choice.freePath();
  if (path === undefined) return;
  const { random, recorder } = choice;
  const kind = random.below(10);
  if (kind < 5) recorder.create(path, random.pick([0o644, 0o600, 0o4755, 0o2755]));
  else if (kind < 8) recorder.mkdir(path, random.pick([0o755, 0o1777]));
  else if (kind < 9) recorder.symlink(random.pick(['/etc/passwd', 'a', '../b']), path);
  else recorder.mknod(path, random.pick([S.IFIFO, S.IFSOCK, S.IFCHR]) | 0o640, 0x103);
};

const contents: Operation = (choice) => {
  const { random, recorder } = choice;
  const path = choice.some('file');
  if (path === undefined) return;
  const kind = random.below(10);
  const offset = random.below(30_000);
  if (kind < 6) {
    const bytes = Buffer.alloc(random.skewed(20_000));
    random.fill(bytes);
    recorder.write(path, offset, bytes);
  } else if (kind < 8) recorder.truncate(path, offset);
  else {
    const punch = FALLOC.PUNCH_HOLE | FALLOC.KEEP_SIZE;
    const mode = random.pick([0, FALLOC.KEEP_SIZE, punch, FALLOC.ZERO_RANGE]);
    recorder.fallocate(path, mode, offset, random.skewed(20_000));
  }
};

const renames: Operation = (choice) => {
  const { random, recorder, paths } = choice;
  const from = choice.some('file', 'directory', 'symlink', 'other');
  if (from === undefined) return;
  const to = random.chance(0.5) ? choice.anyPath() : (choice.some('file', 'directory') ?? 'a');
  if (isWithin(to, from) || isWithin(from, to)) return;
  const target = paths.get(to);
  if (target !== undefined && sameInode(recorder, from, to)) return;
  if (target !== undefined && random.chance(0.4)) {
    recorder.rename(from, to, RENAME.EXCHANGE);
    return;
  }
  const isDirectory = paths.get(from) === 'directory';
  if (target !== undefined && (target === 'directory') !== isDirectory) return;
  if (target === 'directory' && !choice.isEmpty(to)) return;
  recorder.rename(from, to, target === undefined && random.chance(0.3) ? RENAME.NOREPLACE : 0);
};

function sameInode(recorder: Recorder, a: string, b: string): boolean {
  const { ino } = recorder.stat(a);
  return recorder.stat(b).ino === ino;
}

const links: Operation = (choice) => {
  const from = choice.some('file', 'file', 'symlink', 'other');
  const to = choice.freePath();
  if (from !== undefined && to !== undefined) choice.recorder.link(from, to);
};

const removals: Operation = (choice) => {
  const path = choice.some('file', 'directory', 'symlink', 'other');
  if (path === undefined) return;
  if (choice.paths.get(path) !== 'directory') choice.recorder.unlink(path);
  else if (choice.isEmpty(path)) choice.recorder.rmdir(path);
};

const attributes: Operation = (choice) => {
  const { random, recorder, paths } = choice;
  const path = random.chance(0.1) ? '' : choice.some('file', 'directory', 'symlink', 'other');
  if (path === undefined) return;
  const kind = path === '' ? 'directory' : paths.get(path);
  const which = random.below(6);
  if (which === 0 && kind !== 'symlink') recorder.chmod(path, random.pick([0o600, 0o4711, 0o2770]));
  if (which === 1) recorder.chown(path, random.below(5), random.below(5));
  if (which === 2) {
    const ns = BigInt(random.below(2e9)) * 1_000_000_000n + BigInt(random.below(1e9));
    recorder.utimes(path, timespecs(ns + 1n, ns));
  }
  const name =
    kind === 'symlink' || kind === 'other' ? 'trusted.t' : random.pick(['user.u', 'trusted.t']);
  if (which === 3) recorder.setxattr(path, name, Buffer.from(`value ${random.below(100)}`));
  if (which === 4 && kind !== 'symlink') {
    const acl = Buffer.from(encodeAcl(0o750, { uid: 7, permissions: random.below(8) }), 'hex');
    recorder.setxattr(path, 'system.posix_acl_access', acl);
  }
};

const BAG: readonly Operation[] = [
  ...Array.from({ length: 6 }, () => creations),
  ...Array.from({ length: 8 }, () => contents),
  ...Array.from({ length: 5 }, () => renames),
  ...Array.from({ length: 2 }, () => links),
  ...Array.from({ length: 3 }, () => removals),
  ...Array.from({ length: 4 }, () => attributes),
];

/** Does one random operation (or, now and then, none). */
export function randomOperation(recorder: Recorder, random: Random): void {
  random.pick(BAG)(new Choice(recorder, random));
}
