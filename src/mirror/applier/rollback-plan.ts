// First half of taking a copy back: what it has to be like, read from the undo log. Nothing is changed,
// and everything that will be needed is checked, so that a damaged log is found before anything is done.
import { UnderstudyError } from '../../core/errors.ts';
import { type UndoEntry, undoKind } from '../../journal/undo-format.ts';
import {
  batchesAfter,
  damaged,
  type UndoBatch,
  type UndoSegment,
} from '../../journal/undo-reader.ts';

/** A name as it has to be. */
export interface WantedName {
  /** Inode of the directory; 0: that of the orphans. */
  readonly parent: number;
  readonly name: string;
  /** Inode that it leads to; 0: nothing. */
  readonly ino: number;
}

/** An object as it has to be. */
export interface WantedObject {
  /** Attribute block. */
  readonly attributes: Buffer;
  /** Its ctime in ms; 0: not known. */
  readonly changedMs: number;
  /** Encoded extended attributes; undefined: they have not changed. */
  xattrs: Buffer | undefined;
}

/** What the undo log says of one protected directory. */
export interface RollbackPlan {
  readonly names: ReadonlyMap<string, WantedName>;
  readonly objects: ReadonlyMap<number, WantedObject>;
  /** Inodes of files whose contents have changed. */
  readonly contents: ReadonlySet<number>;
}

class PlanBuilder implements RollbackPlan {
  readonly names = new Map<string, WantedName>();
  readonly objects = new Map<number, WantedObject>();
  readonly contents = new Set<number>();
  /** Batch from which the extended attributes of an object come: they may be several entries. */
  readonly #xattrsFrom = new Map<number, number>();

  /** Adds an entry, oldest first: what is known already is older and holds. */
  add({ kind, ino, offset, name, data }: UndoEntry, batch: UndoBatch): void {
    if (kind === undoKind.name) {
      const key = `${ino}/${name}`;
      if (!this.names.has(key)) this.names.set(key, { parent: ino, name, ino: offset });
      return;
    }
    if (kind === undoKind.object) {
      if (this.objects.has(ino)) return;
      const attributes = Buffer.from(data);
      this.objects.set(ino, { attributes, changedMs: offset, xattrs: undefined });
      return;
    }
    if (kind === undoKind.data || kind === undoKind.hole) this.contents.add(ino);
    if (kind !== undoKind.xattrs) return;
    const object = this.objects.get(ino);
    if (object === undefined) return;
    const from = this.#xattrsFrom.get(ino) ?? batch.first;
    if (from !== batch.first) return;
    this.#xattrsFrom.set(ino, from);
    object.xattrs = Buffer.concat([object.xattrs ?? Buffer.alloc(0), data]);
  }
}

export interface PlanSource {
  readonly logDirectory: string;
  readonly segments: readonly UndoSegment[];
  /** State to go back to; one of the log. */
  readonly target: number;
  /** How many protected directories there are. */
  readonly directories: number;
}

/** One plan per protected directory. Errors: UNDO_DAMAGED, REWIND_NOT_KEPT. */
export function planRollback(source: PlanSource): RollbackPlan[] {
  const { logDirectory, segments, target, directories } = source;
  const plans = Array.from({ length: directories }, () => new PlanBuilder());
  const newest = segments.at(-1)?.last ?? target;
  if ((segments[0]?.start ?? target) > target || target > newest) throw notKept(target);
  let reached = target;
  for (const { file, batch } of batchesAfter(logDirectory, segments, target)) {
    if (reached === target && batch.first <= target) throw notKept(target);
    const segment = segments.find((each) => each.segment === batch.segment);
    const begins = Math.max(target, segment?.start ?? 0);
    // A batch that is not whole ends what is read of its segment.
    if (reached < begins) throw notWhole(reached, begins);
    if (!file.isWhole(batch)) throw damaged(batch);
    for (const entry of file.entries(batch)) {
      const plan = plans[entry.directory];
      if (plan === undefined) throw damaged(batch);
      plan.add(entry, batch);
    }
    reached = batch.last;
  }
  if (reached !== newest) throw notWhole(reached, newest);
  return plans;
}

const notWhole = (reached: number, until: number): UnderstudyError =>
  damaged({ first: reached + 1, last: until });

function notKept(target: number): UnderstudyError {
  return new UnderstudyError(
    'REWIND_NOT_KEPT',
    `the state at record ${target} cannot be reached: see "understudy rewind list" for those that can`,
    { details: { sequence: target } },
  );
}
