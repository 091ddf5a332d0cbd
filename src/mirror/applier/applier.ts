// The applier: applies the records of a group's stream to the protected directories of this node.
//
// Free of threads and of the journal: `apply` takes one checked record, synchronously. The loop
// around it is `applier-loop.ts`.
//
// Exactly once: a change of names is made once (`marker.ts`), everything else may be made again. After
// a restart records are applied from the checkpoint on; for those before the marker a `RedoPlan` says
// where their objects are now.
import { assert } from '../../core/assert.ts';
import { EVERYTHING, Patterns, type PatternTexts } from '../../core/patterns.ts';
import { recordType } from '../../journal/record.ts';
import { S, errno } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';
import { applyRemovexattr, applySetattr, applySetxattr } from './attributes.ts';
import { type ApplyContext, type Need, SKIPPED, mark } from './context.ts';
import {
  applyFallocate,
  applyScanHash,
  applyScanHole,
  applyTruncate,
  applyWrite,
} from './data-records.ts';
import { type ApplyFault, callFault, isMissing, isStillOld } from './fault.ts';
import { separate } from './hard-links.ts';
import { isChangeMade, isNameRecord } from './name-changes.ts';
import { changeNames, pathsOf, settleNames } from './name-records.ts';
import { RecordView } from './record-view.ts';
import type { RedoPlan } from './redo-plan.ts';
import { applyScanObject, placeLink, pruneDirectory, settleDirectory } from './scan-records.ts';
import { ScanState } from './scan-state.ts';
import { isOnShelf } from './shelf.ts';
import { Trust } from './trust.ts';
import { isVerifyRecord, Verification, type VerifyNotice } from './verification.ts';
import { Volume } from './volume.ts';

/** Descriptors kept open at most, over all directories. */
const OPEN_MAX = 2048;
const OPEN_MIN_PER_DIRECTORY = 16;

export interface ApplierOptions {
  /** In the order of the directory index in records. */
  readonly directories: readonly {
    /** Opened before the read-only cover was mounted; stays the caller's. */
    readonly fd: number;
    /** Name for messages. */
    readonly label: string;
    /** What of it is mirrored; all of it when they are left out. */
    readonly patterns?: PatternTexts;
  }[];
  /** A scan found contents that differ from the primary's. */
  readonly onNeed: (need: Need) => void;
  /** See `trust.ts`, asked at the beginning of a scan; NaN, and without it: nothing is trusted. */
  readonly trustedSinceMs?: () => number;
  /** What a comparison finds; called within {@link Applier.apply}. */
  readonly onVerify?: (notice: VerifyNotice) => void;
}

/** What a restart found: see `redo.ts`. One plan per directory whose marker calls for one. */
export interface Redo {
  /** Last record that may have been applied before: the end of the journal then. */
  readonly until: number;
  readonly plans: readonly (RedoPlan | undefined)[];
}

export class Applier {
  readonly volumes: readonly Volume[];
  readonly #record = new RecordView();
  readonly #contexts: readonly ApplyContext[];
  readonly #verification: Verification;
  readonly #trustedSinceMs: () => number;
  #redo: Redo | undefined;
  #sequence = 0;
  /** Why nothing but a scan is accepted. */
  #strange: ApplyFault | undefined;

  /** Sets the umask of the process to 0: modes come from the records alone. */
  constructor({ directories, onNeed, trustedSinceMs, onVerify }: ApplierOptions) {
    sys.umask(0);
    this.#verification = new Verification((notice) => onVerify?.(notice));
    this.#trustedSinceMs = trustedSinceMs ?? ((): number => Number.NaN);
    const share = Math.floor(OPEN_MAX / 2 / Math.max(1, directories.length));
    const openMax = Math.max(OPEN_MIN_PER_DIRECTORY, share);
    const record = this.#record;
    this.#contexts = directories.map(({ fd, label, patterns: texts = EVERYTHING }, index) => {
      const volume = new Volume({ index, fd, label, openMax });
      const patterns = new Patterns(texts.include, texts.exclude);
      return { volume, patterns, record, scan: new ScanState(), trust: new Trust(), onNeed };
    });
    this.volumes = this.#contexts.map(({ volume }) => volume);
  }

  /** Volume, course of the scan and patterns per protected directory. */
  get contexts(): readonly Pick<ApplyContext, 'volume' | 'scan' | 'patterns'>[] {
    return this.#contexts;
  }

  /** Sequence of the record applied last; 0 before the first. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Records to come may have been applied before a restart. The volumes have their markers. */
  resume(redo: Redo): void {
    this.#redo = redo;
  }

  /** Where the copy stands is not known: `fault` meets every record before the beginning of a scan. */
  expectScan(fault: ApplyFault): void {
    this.#strange = fault;
  }

  /**
   * Applies the record at `at` of `bytes`, whose checksums were checked. Returns nothing when it is
   * applied (or has no object here while a scan runs), else why not; after a fault the same record
   * may be given again.
   */
  apply(bytes: Uint8Array, view: DataView, at: number): ApplyFault | undefined {
    const record = this.#record;
    record.load(bytes, view, at);
    if (this.#strange !== undefined && record.type !== recordType.scanBegin) return this.#strange;
    const context = this.#contexts[record.directory];
    const result =
      context === undefined || !record.isWellFormed() ? -errno.EINVAL : this.#dispatch(context);
    if (result < 0) return this.#fault(result, context?.volume);
    this.#sequence = record.sequence;
    return undefined;
  }

  /** Sets the times that are pending. Only then may the sequence be published. */
  endBatch(): ApplyFault | undefined {
    for (const volume of this.volumes) {
      const result = volume.endBatch();
      if (result < 0)
        return callFault(result, this.#sequence, { what: 'times', where: volume.label });
    }
    if (this.#redo !== undefined && this.#sequence >= this.#redo.until) this.#redo = undefined;
    return undefined;
  }

  /** Ends the batch and closes all descriptors but those that were given. */
  close(): ApplyFault | undefined {
    const fault = this.endBatch();
    for (const volume of this.volumes) volume.close();
    return fault;
  }

  #dispatch(context: ApplyContext): number {
    const { record } = context;
    for (const { volume } of this.#contexts) volume.sequence = record.sequence;
    if (record.type === recordType.scanBegin) return this.#scanBegin();
    if (record.type === recordType.scanEnd) {
      for (const { scan, trust } of this.#contexts) {
        scan.reset();
        trust.end();
      }
      return 0;
    }
    if (record.type === recordType.commit) return 0;
    if (isVerifyRecord(record.type)) return this.#verify(context);
    if (record.sequence <= context.volume.floor) return 0;
    if (isOnShelf(record.path) || (hasTwoPaths(record.type) && isOnShelf(record.path2))) {
      return -errno.EINVAL;
    }
    const marked = context.volume.marker?.sequence ?? 0;
    const result = record.sequence < marked ? this.#redoRecord(context) : this.#applyHere(context);
    return this.#isTolerable(result) ? 0 : result;
  }

  /** Applies a record to where its paths lead now. */
  #applyHere(context: ApplyContext): number {
    const { record, scan, volume } = context;
    if (record.duringScan && scan.ownsAny) {
      const result = ownInode(context);
      if (result < 0) return result;
    }
    if (!isNameRecord(record.type)) return applyContents(context, record.path);
    const changed = isChangeMade(volume, record) ? 0 : this.#change(context);
    if (changed < 0) return changed;
    const paths = pathsOf(context);
    return settleNames(context, changed === SKIPPED ? { ...paths, object: undefined } : paths);
  }

  /** Makes the change; one that fails is taken as not tried. */
  #change(context: ApplyContext): number {
    const { volume, record } = context;
    const result = changeNames(context);
    if (result < 0 && volume.marker?.sequence === record.sequence) volume.unmark();
    return result;
  }

  /** Applies again a record before the marker: no change of names, and where the object is now. */
  #redoRecord(context: ApplyContext): number {
    const { record } = context;
    const plan = this.#redo?.plans[record.directory];
    assert(plan !== undefined, 'records before the marker come only after a restart, with a plan');
    const paths = plan.paths(record.sequence);
    if (isNameRecord(record.type)) return settleNames(context, { ...paths, inherited: true });
    return paths.object === undefined ? 0 : applyContents(context, paths.object);
  }

  /** Outcomes that are right: a scan will bring the object, or the record had its effect before. */
  #isTolerable(result: number): boolean {
    const record = this.#record;
    const isLive = record.type < recordType.scanBegin;
    const isScanned = isNameRecord(record.type) ? isMissing(result) : isStillOld(result);
    if (isLive && record.duringScan && isScanned) return true;
    const again = this.#redo !== undefined && record.sequence <= this.#redo.until;
    return again && record.type === recordType.removexattr && result === -errno.ENODATA;
  }

  /** What is applied again after a restart may have later changes in it: it is not compared. */
  #verify(context: ApplyContext): number {
    const { record } = context;
    if (this.#redo !== undefined && record.sequence <= this.#redo.until) return 0;
    if (record.type === recordType.verifyBegin) this.#verification.begin();
    else if (record.type === recordType.verifyEnd) this.#verification.end(record);
    else this.#verification.compare(context);
    return 0;
  }

  #scanBegin(): number {
    for (const { volume, scan, trust } of this.#contexts) {
      scan.reset();
      trust.begin(this.#trustedSinceMs());
      // Whoever had orphans open wrote another stream.
      let result = volume.removeOrphans();
      if (result === 0) result = volume.clearMarker();
      if (result < 0) return result;
    }
    this.#strange = undefined;
    return 0;
  }

  #fault(result: number, volume: Volume | undefined): ApplyFault {
    const { sequence, type, directory, path } = this.#record;
    const label = volume?.label ?? `directory ${directory}`;
    return callFault(result, sequence, {
      what: TYPE_NAMES.get(type) ?? `record type ${type}`,
      where: path === '' ? label : `${label}/${path}`,
    });
  }
}

const hasTwoPaths = (type: number): boolean =>
  type === recordType.link || type === recordType.rename || type === recordType.scanLink;

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(recordType).map(([name, value]) => [value, name]),
);

/** Applies a record that is not a change of names at `path`. */
function applyContents(context: ApplyContext, path: string): number {
  const { record, volume, scan } = context;
  switch (record.type) {
    case recordType.write:
    case recordType.scanData:
      return applyWrite(context, path);
    case recordType.truncate:
      return applyTruncate(context, path);
    case recordType.fallocate:
      return applyFallocate(context, path);
    case recordType.setattr:
      return applySetattr(volume, record, path);
    case recordType.setxattr:
      return applySetxattr(volume, record, path);
    case recordType.removexattr:
      return applyRemovexattr(volume, record, path);
    case recordType.scanHole:
      return applyScanHole(context, path);
    case recordType.scanHash:
      return applyScanHash(context, path);
    case recordType.scanLink:
      return placeLink(context);
    case recordType.scanObject:
      return applyScanObject(context, path);
    case recordType.scanDirBegin:
      scan.begin(path);
      return 0;
    case recordType.scanDirEnd: {
      const pruned = pruneDirectory(context);
      return pruned < 0 ? pruned : settleDirectory(context, path);
    }
    default:
      return -errno.EINVAL;
  }
}

const CHANGES_OBJECT: ReadonlySet<number> = new Set([
  recordType.write,
  recordType.truncate,
  recordType.fallocate,
  recordType.setattr,
  recordType.setxattr,
  recordType.removexattr,
  recordType.link,
]);

/**
 * While a scan runs, a file of old data may share its inode with one that the scan has dealt with:
 * it gets one of its own before it is changed.
 */
function ownInode(context: ApplyContext): number {
  const { volume, record, scan } = context;
  if (!CHANGES_OBJECT.has(record.type)) return 0;
  const place = volume.place(record.path);
  if (typeof place === 'number') return 0;
  const { stat } = volume;
  if (volume.statPlace(place, stat) < 0 || (stat.mode & S.IFMT) === S.IFDIR) return 0;
  if (stat.nlink < 2 || scan.mayUse(stat.ino, record.path)) return 0;
  if ((stat.mode & S.IFMT) === S.IFREG) return separate(context, record.path);
  // What is here belongs elsewhere, and the scan brings what belongs here.
  const result = mark(context, stat.ino, 0);
  return result < 0 ? result : volume.clear(place, record.path);
}
