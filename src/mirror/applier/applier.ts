// The applier: applies the records of a group's stream to the protected directories of this node.
//
// Free of threads and of the journal: `apply` takes one checked record, synchronously. The worker
// around it is `applier-worker.ts`.
//
// Exactly once: a change of names is made once (`marker.ts`), everything else may be made again. After
// a restart records are applied from the checkpoint on; for those before the marker a `RedoPlan` says
// where their objects are now.
import { assert } from '../../core/assert.ts';
import { recordType } from '../../journal/record.ts';
import { S, errno } from '../../linux/constants.ts';
import { sys } from '../../linux/libc.ts';
import { applyRemovexattr, applySetattr, applySetxattr } from './attributes.ts';
import type { ApplyContext, Need } from './context.ts';
import {
  applyFallocate,
  applyScanData,
  applyScanHash,
  applyScanHole,
  applyTruncate,
  applyWrite,
} from './data-records.ts';
import { type ApplyFault, faultKind, faultMessage, isMissing } from './fault.ts';
import { separate } from './hard-links.ts';
import {
  SKIPPED,
  type SettlePaths,
  changeNames,
  isChangeMade,
  isNameRecord,
  pathsOf,
  settleNames,
} from './name-records.ts';
import { RecordView } from './record-view.ts';
import type { RedoPlan } from './redo-plan.ts';
import type { ScanLog } from './scan-log.ts';
import {
  placeLink,
  placeObject,
  pruneDirectory,
  settleDirectory,
  settleObject,
} from './scan-records.ts';
import { noteScan } from './scan-redo.ts';
import { ScanState } from './scan-state.ts';
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
  }[];
  readonly scanLog?: ScanLog;
  /** Contents that differ from the primary's were found by a scan. */
  readonly onNeed: (need: Need) => void;
}

/** What a restart found: see `redo.ts`. One plan per directory, where its marker calls for one. */
export interface Redo {
  /** Last record that may have been applied before: the end of the journal then. */
  readonly until: number;
  readonly plans: readonly (RedoPlan | undefined)[];
}

export class Applier {
  readonly volumes: readonly Volume[];
  readonly scans: readonly ScanState[];
  readonly #record = new RecordView();
  readonly #contexts: readonly ApplyContext[];
  readonly #scanLog: ScanLog | undefined;
  #redo: Redo | undefined;
  #awaitsScan = false;
  #sequence = 0;

  /** Sets the umask of the process to 0: modes come from the records alone. */
  constructor(options: ApplierOptions) {
    sys.umask(0);
    const { directories, onNeed, scanLog } = options;
    const share = Math.floor(OPEN_MAX / 2 / Math.max(1, directories.length));
    const openMax = Math.max(OPEN_MIN_PER_DIRECTORY, share);
    this.volumes = directories.map(({ fd, label }, index) => {
      return new Volume({ index, fd, label, openMax });
    });
    this.scans = directories.map((_, index) => new ScanState(index, scanLog));
    this.#scanLog = scanLog;
    const record = this.#record;
    this.#contexts = this.volumes.map((volume, index) => {
      const scan = this.scans[index];
      assert(scan !== undefined, 'every directory has a scan state');
      return { volume, record, scan, onNeed };
    });
  }

  /** Sequence of the record applied last. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Records up to the next `scanBegin` are passed over: the copy is to be made anew. */
  get awaitsScan(): boolean {
    return this.#awaitsScan;
  }

  awaitScan(): void {
    this.#awaitsScan = true;
  }

  /** The records to come were (partly) applied before a restart. The volumes have their markers. */
  resume(redo: Redo): void {
    this.#redo = redo;
  }

  /**
   * Applies the record at `at` of `bytes`, whose checksums were checked. Returns nothing when it is
   * applied (or did not apply here, while a scan runs), else why not; after a fault the same record
   * may be given again.
   */
  apply(bytes: Uint8Array, view: DataView, at: number): ApplyFault | undefined {
    const record = this.#record;
    record.load(bytes, view, at);
    if (this.#awaitsScan && record.type !== recordType.scanBegin) {
      this.#sequence = record.sequence;
      return undefined;
    }
    const context = this.#contexts[record.directory];
    const result =
      context === undefined || !record.isWellFormed() ? -errno.EINVAL : this.#dispatch(context);
    if (result < 0) return this.#fault(result, context);
    this.#sequence = record.sequence;
    return undefined;
  }

  /**
   * Ends a batch: sets pending times and writes the scan's state. Only then may the sequence be
   * published. Returns a fault when something could not be set.
   */
  endBatch(): ApplyFault | undefined {
    for (const volume of this.volumes) {
      const result = volume.endBatch();
      if (result < 0) return this.#fault(result, undefined);
    }
    this.#scanLog?.endBatch(this.#sequence);
    return undefined;
  }

  /** Ends the batch and closes all descriptors but those that were given. */
  close(): ApplyFault | undefined {
    const fault = this.endBatch();
    for (const volume of this.volumes) volume.close();
    this.#scanLog?.close();
    return fault;
  }

  #dispatch(context: ApplyContext): number {
    const { record } = context;
    if (record.type === recordType.scanBegin) return this.#scanBegin();
    if (record.type === recordType.scanEnd) {
      for (const scan of this.scans) scan.reset();
      return 0;
    }
    if (record.type === recordType.commit) return 0;
    const marked = context.volume.marker?.sequence ?? 0;
    if (record.sequence < marked) return this.#redoRecord(context);
    const result = this.#applyHere(context, record.sequence === marked);
    return this.#tolerate(result) ? 0 : result;
  }

  /** Applies a record to where its paths lead now. */
  #applyHere(context: ApplyContext, isMarked: boolean): number {
    const { record, scan } = context;
    if (record.duringScan && scan.ownsAny) {
      const result = this.#ownInode(context);
      if (result < 0) return result;
    }
    if (!isNameRecord(record.type)) return applyContents(context, record.path);
    const { marker } = context.volume;
    const isMade =
      isMarked && marker !== undefined && isChangeMade(context, marker.sourceIno, marker.targetIno);
    const changed = isMade ? 0 : this.#change(context);
    if (changed < 0) return changed;
    const paths = pathsOf(context);
    const result = settleNames(
      context,
      changed === SKIPPED ? { ...paths, object: undefined } : paths,
    );
    return record.duringScan && isMissing(result) ? 0 : result;
  }

  /** Makes the change; one that fails is taken as not tried. */
  #change(context: ApplyContext): number {
    const { volume, record } = context;
    const result = changeNames(context);
    if (result < 0 && volume.marker?.sequence === record.sequence) volume.unmark();
    return result;
  }

  /**
   * While a scan runs, a file of old data may share its inode with one that the scan has dealt with:
   * it gets one of its own before it is changed.
   */
  #ownInode(context: ApplyContext): number {
    const { volume, record, scan } = context;
    if (!changesObject(record.type)) return 0;
    const place = volume.place(record.path);
    if (typeof place === 'number') return 0;
    const { stat } = volume;
    if (volume.statPlace(place, stat) < 0 || (stat.mode & S.IFMT) !== S.IFREG) return 0;
    if (stat.nlink < 2 || scan.mayUse(stat.ino, record.path)) return 0;
    return separate(context, record.path);
  }

  /** Applies again a record before the marker: no change of names, and where the object is now. */
  #redoRecord(context: ApplyContext): number {
    const { record } = context;
    const plan = this.#redo?.plans[record.directory];
    assert(plan !== undefined, 'records before the marker come only after a restart, with a plan');
    const paths = plan.paths(record.sequence);
    noteScan(context, paths.object);
    let result = 0;
    if (isNameRecord(record.type)) {
      const settle: SettlePaths = { ...paths, inherited: true };
      result = settleNames(context, settle);
    } else if (paths.object !== undefined) {
      result = applyContents(context, paths.object, true);
    }
    if (record.duringScan && isStructural(result)) return 0;
    return this.#tolerate(result) ? 0 : result;
  }

  /** Outcomes that say that a record had its effect before the restart. */
  #tolerate(result: number): boolean {
    const record = this.#record;
    const isLive = record.type < recordType.scanBegin;
    if (isLive && record.duringScan && isMissing(result)) return true;
    const again = this.#redo !== undefined && record.sequence <= this.#redo.until;
    return again && record.type === recordType.removexattr && result === -errno.ENODATA;
  }

  #scanBegin(): number {
    const { epoch, sequence } = this.#record;
    for (const [index, volume] of this.volumes.entries()) {
      this.scans[index]?.reset();
      if (sequence <= (volume.marker?.sequence ?? 0) && !this.#awaitsScan) continue;
      // Whoever had orphans open wrote another stream.
      let result = volume.removeOrphans();
      if (result === 0) result = volume.mark({ epoch, sequence, sourceIno: 0, targetIno: 0 });
      if (result < 0) return result;
    }
    this.#awaitsScan = false;
    return 0;
  }

  #fault(result: number, context: ApplyContext | undefined): ApplyFault {
    const { sequence, type, directory, path } = this.#record;
    const label = context?.volume.label ?? `directory ${directory}`;
    const where = path === '' ? label : `${label}/${path}`;
    return {
      kind: faultKind(result),
      sequence,
      type,
      directory,
      path,
      errno: result,
      message: faultMessage(result, TYPE_NAMES.get(type) ?? `record type ${type}`, where),
    };
  }
}

const TYPE_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(recordType).map(([name, value]) => [value, name]),
);

/** Applies a record that is not a change of names at `path`. `redo`: names are as they have to be. */
function applyContents(context: ApplyContext, path: string, redo = false): number {
  const { record, volume } = context;
  switch (record.type) {
    case recordType.write:
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
    case recordType.scanData:
      return applyScanData(context, path);
    case recordType.scanHole:
      return applyScanHole(context, path);
    case recordType.scanHash:
      return applyScanHash(context, path);
    case recordType.scanLink:
      return redo ? 0 : placeLink(context);
    case recordType.scanObject: {
      const placed = redo ? 0 : placeObject(context);
      return placed < 0 ? placed : settleObject(context, path);
    }
    case recordType.scanDirBegin:
      return beginDirectory(context, redo);
    case recordType.scanDirEnd: {
      const pruned = redo ? 0 : pruneDirectory(context);
      return pruned < 0 ? pruned : settleDirectory(context, path);
    }
    default:
      return -errno.EINVAL;
  }
}

function beginDirectory({ scan, record, volume }: ApplyContext, redo: boolean): number {
  if (redo) return 0;
  const directory = volume.directory(record.path);
  if (typeof directory === 'number') return directory;
  scan.begin(record.path);
  return 0;
}

/** Records that change the inode at `path`, not only the name. */
function changesObject(type: number): boolean {
  return (
    type === recordType.write ||
    type === recordType.truncate ||
    type === recordType.fallocate ||
    type === recordType.setattr ||
    type === recordType.setxattr ||
    type === recordType.removexattr ||
    type === recordType.link
  );
}

/** Another kind of object, or none, where one was. */
function isStructural(result: number): boolean {
  return isMissing(result) || [-errno.EISDIR, -errno.ELOOP, -errno.EINVAL].includes(result);
}
