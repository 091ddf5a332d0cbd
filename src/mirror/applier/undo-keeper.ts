// Keeps the undo log of a copy: saves what records destroy before they are applied, decides how much of
// it is kept, and after a crash brings copy and log back together.
//
//   off       nothing is kept
//   waiting   a first copy runs: there is no state worth going back to before its end
//   redoing   records are applied again that the log has not seen: it begins behind them
//   on        pre-images are saved, removed objects go to the shelf
//   suspended no room, or the disk of the log fails: begun anew when there is room again
//
// What is saved is the state at the beginning of a stretch of half a second: whoever appends to the same
// file a thousand times in it destroys something once, and costs one flush. The states that can be gone
// back to, and be a checkpoint, are the ends of stretches. During a scan each run is a stretch.
//
// Redo and undo. Pre-images are durable before the first record of their batch is applied, so what is on
// the disk is never ahead of the log. After a restart on the same mount nothing was lost: records that
// the log knows are applied again without being asked for pre-images, which would be wrong by now. After
// a loss of power some of what was applied is gone, new objects with it, whose inode numbers the log
// may speak of. Then the copy is first taken back to the checkpoint (all of which is on the disk) by the log
// itself, the log is cut there, and every record behind the checkpoint is a new one again. A log that is not
// there, or cannot do that, begins behind everything that may have been applied: what it would save of that is
// not what was at the checkpoint.
import { rmSync, statfsSync } from 'node:fs';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { KiB, MiB } from '../../core/units.ts';
import { FlushPace } from '../../journal/flush-pace.ts';
import { field, HEADER_BYTES, readU53, recordType } from '../../journal/record.ts';
import { sequenceAt } from '../../journal/segment.ts';
import { undoFlag } from '../../journal/undo-format.ts';
import { type UndoCommit, UndoLog } from '../../journal/undo-log.ts';
import { readUndoNote, writeUndoNote } from '../../journal/undo-note.ts';
import { lastMoment } from '../../journal/undo-reader.ts';
import { errno, errnoName } from '../../linux/constants.ts';
import { mountIdentity } from '../../linux/mount-identity.ts';
import { sys } from '../../linux/libc.ts';
import type { Applier } from './applier.ts';
import type { ApplyFault } from './fault.ts';
import { removeMarker } from './marker.ts';
import { PreImages } from './pre-image.ts';
import { RecordView } from './record-view.ts';
import { rollBack } from './rollback.ts';
import { ShelfKeeper } from './shelf-keeper.ts';
import { isOnShelf } from './shelf.ts';

/** How much is kept, and where. */
export interface UndoSettings {
  /** Directory of the log. */
  readonly directory: string;
  readonly groupId: string;
  /** 0: nothing is kept but what a staged scan needs. */
  readonly hours: number;
  readonly diskPercent: number;
  /**
   * `complete`: the copy is usable at the checkpoint. `staged`: a scan begins behind it, and the state
   * at the checkpoint has to remain within reach. `scanning`: a scan begins that replaces everything.
   * `salvage`: the same, and what it replaces is kept beyond its end, until another keeper begins.
   */
  readonly begin: 'complete' | 'staged' | 'scanning' | 'salvage';
  /** For a `salvage`: contents that are older (ctime, ms) need not be kept; NaN: all are. */
  readonly ownSinceMs: number;
  /** States that have to be in the log one by one: bookmarks. */
  readonly marks: readonly number[];
  /** Records up to this one may have been applied by a process before. */
  readonly redoUntil: number;
}

/** Something that an operator may want to know. */
export type UndoNews =
  | { readonly kind: 'suspended' | 'shrunk' | 'staging-lost'; readonly why: string }
  | { readonly kind: 'resumed' };
/** `begun`: behind the checkpoint, so before the next one a loss of power would make the log useless. */
export type UndoTold = UndoNews | { readonly kind: 'begun' };

/** Records of one batch at most, and bytes of pre-images after which it ends. */
const RECORDS_MAX = 1024;
const BATCH_BYTES_MAX = 8 * MiB;
/** After shorter runs of records a pause lets more come together for one flush. */
const SHORT_RUN_BYTES = MiB;
const SEGMENT_BYTES_MIN = 256 * KiB;
const SEGMENT_BYTES_MAX = 64 * MiB;
/** One segment is so much of what may be kept. */
const SEGMENT_SHARE = 1 / 16;
/** Ages are told apart so finely. */
const AGE_SHARE = 1 / 24;
const LOOK_INTERVAL_MS = 1000;
/** A stretch ends after this time, or with so many objects and names, or bytes. */
export const STRETCH_MS = 500;
const STRETCH_ITEMS_MAX = 4096;
const STRETCH_BYTES_MAX = 32 * MiB;
/** More records are not applied in that time. */
const STRETCH_RECORDS_MAX = 65_536;
const SWEEP_ITEMS = 32;
const SEGMENTS_FREED_MAX = 32;
/** Shares of the disk that are free: less of it is kept below the first, nothing below the second. */
const FREE_LOW = 0.1;
const FREE_NONE = 0.05;
const RESUME_AFTER_MS = 30_000;
const HOUR_MS = 3_600_000;
const US_PER_MS = 1000;
/** The primary's clock is set back when it is by more than this. */
const SET_BACK_US = 1_000_000;

type Mode = 'off' | 'waiting' | 'redoing' | 'on' | 'suspended';

export class UndoKeeper {
  readonly #settings: UndoSettings;
  readonly #applier: Applier;
  readonly #onNews: (news: UndoTold) => void;
  readonly #record = new RecordView();
  readonly #shelves: ShelfKeeper;
  readonly #marks: ReadonlySet<number>;
  #images: readonly PreImages[] = [];
  #log: UndoLog | undefined;
  #mode: Mode;
  #isStaged: boolean;
  #isScanning = false;
  /** A scan ends with the records that were taken last. */
  #endsScan = false;
  #takenUntil = 0;
  /** Last state that can be gone back to. */
  #moment = 0;
  /**
   * The process before ended within a stretch: records up to here may be in the copy that the log has no batch for, because
   * what they destroy was saved. No state before their end is one.
   */
  #stretchesUntil = 0;
  /** Since when the present stretch lasts; undefined: none has begun. */
  #stretchMs: number | undefined;
  #stretchBytes = 0;
  #takenAt = 0;
  #takenEpoch = 0;
  readonly #pace = new FlushPace();
  #runBytes = 0;
  #lookedMs = Number.NEGATIVE_INFINITY;
  #suspendedMs = 0;
  #rotatedMs = performance.now();
  #limitBytes = Number.POSITIVE_INFINITY;
  #isShrunk = false;

  constructor(settings: UndoSettings, applier: Applier, onNews: (news: UndoTold) => void) {
    this.#settings = settings;
    this.#applier = applier;
    this.#onNews = onNews;
    this.#marks = new Set(settings.marks);
    this.#shelves = new ShelfKeeper(applier.volumes);
    this.#isStaged = settings.begin === 'staged' || settings.begin === 'salvage';
    const wanted = settings.hours > 0 ? 'on' : 'off';
    this.#mode = this.#isStaged ? 'on' : wanted;
    if (settings.begin === 'scanning' && this.#mode === 'on') this.#mode = 'waiting';
  }

  get mode(): Mode {
    return this.#mode;
  }

  /** Last state that may be a checkpoint: one of the log's, where there is one. */
  get moment(): number | undefined {
    return this.#mode === 'on' ? this.#moment : undefined;
  }

  /** Whether something was taken that no moment has yet. */
  get isStretching(): boolean {
    return this.#mode === 'on' && this.#stretchMs !== undefined;
  }

  /** While it is so, `applied` may be told only at the end of what {@link take} allowed. */
  get isOn(): boolean {
    return this.#mode === 'on';
  }

  /** When the next records should be taken, performance.now(): commits need the same disk. */
  get pauseUntilMs(): number {
    return this.#mode === 'on' && this.#runBytes < SHORT_RUN_BYTES ? this.#pace.pauseUntilMs : 0;
  }

  /** Bytes of the log and of the removed files that are kept. */
  get keptBytes(): number {
    return (this.#log?.bytes ?? 0) + this.#shelves.bytes;
  }

  get log(): UndoLog | undefined {
    return this.#log;
  }

  /** Brings copy and log together. A fault means that it has to be tried again. */
  start(checkpoint: number): ApplyFault | undefined {
    this.#takenUntil = checkpoint;
    this.#moment = checkpoint;
    try {
      const { directory, groupId } = this.#settings;
      this.#look();
      const segmentBytes = this.#segmentBytes();
      this.#log = new UndoLog({ directory, groupId, segmentBytes });
      if (this.#mode === 'on') this.#recover(this.#log, checkpoint);
      else this.#forgetAll(this.#log);
      this.#look();
    } catch (error) {
      const isAgain = error instanceof UnderstudyError && error.code === 'ROLLBACK_FAILED';
      if (isAgain) return blocked(checkpoint, error.message);
      this.#suspend(`the undo log cannot be used: ${messageOf(error)}`);
    }
    return undefined;
  }

  #recover(log: UndoLog, checkpoint: number): void {
    const { directory } = log;
    const mounts = mountIdentity(this.#applier.volumes.map(({ root }) => root.fd));
    const note = readUndoNote(directory);
    const { last } = log;
    const isKept = last !== undefined && last >= checkpoint && (log.start ?? 0) <= checkpoint;
    const hasLost = note === undefined || note.mounts !== mounts || note.goingBackTo !== null;
    if (last !== undefined && !isKept) {
      this.#tell({ kind: 'shrunk', why: 'the undo log does not reach the present state' });
    }
    const mustGoBack = isKept && last > checkpoint && hasLost;
    const fits = mustGoBack ? this.#goBack(log, checkpoint, mounts) : isKept;
    if (this.#isStaged && !fits) throw new Error('it does not reach the scan');
    if (!fits && this.#settings.redoUntil > checkpoint) {
      this.#forgetAll(log);
      this.#mode = 'redoing';
      return;
    }
    if (!fits) this.#beginAt(log, checkpoint);
    if (isKept && !mustGoBack && isOpen(log)) {
      this.#stretchesUntil = Math.min(this.#settings.redoUntil, last + STRETCH_RECORDS_MAX);
    }
    writeUndoNote(directory, { mounts, goingBackTo: null });
    this.#takenAt = log.segments.at(-1)?.lastAt ?? 0;
    this.#shelves.count();
    this.#limitShelves(log, fits && !hasLost ? undefined : log.last);
    // Those that come now may have the same names as those that were taken back.
    this.#shelves.sweep();
    this.#switchOn(log);
  }

  /**
   * Something may be lost: takes the copy back to the checkpoint, by the log, and cuts the log there. False: it cannot
   * be, and nothing has changed.
   */
  #goBack(log: UndoLog, checkpoint: number, mounts: string): boolean {
    const { directory, groupId } = this.#settings;
    const reached = lastMoment(
      directory,
      log.segments,
      ({ sequence }) => sequence <= checkpoint,
    )?.sequence;
    const { volumes } = this.#applier;
    try {
      if (reached !== checkpoint) throw new Error('its checkpoint is no state of the undo log');
      writeUndoNote(directory, { mounts, goingBackTo: checkpoint });
      const directories = volumes.map(({ root, label }) => ({ fd: root.fd, label }));
      rollBack({ logDirectory: directory, groupId, target: checkpoint, directories });
    } catch (error) {
      if (error instanceof UnderstudyError && error.code === 'ROLLBACK_FAILED') throw error;
      this.#tell({ kind: 'shrunk', why: messageOf(error) });
      return false;
    }
    for (const { root } of volumes) {
      // What the marker says was taken back with the rest.
      const result = Math.min(removeMarker(root.fd), sys.syncfs(root.fd));
      if (result < 0) throw new UnderstudyError('ROLLBACK_FAILED', errnoName(result));
    }
    log.cutAfter(checkpoint);
    return true;
  }

  #beginAt(log: UndoLog, sequence: number, capturedAt?: number): void {
    log.reset(sequence, capturedAt);
    this.#moment = sequence;
    this.#rotatedMs = performance.now();
  }

  #switchOn(log: UndoLog): void {
    this.#images = this.#applier.contexts.map((context) => {
      return new PreImages(log, context, this.#settings.ownSinceMs);
    });
    this.#shelves.keep((negative) => {
      this.#suspend(`a removed file cannot be kept (${errnoName(negative)})`);
    });
    this.#mode = 'on';
    this.#stretchMs = undefined;
    this.#stretchBytes = 0;
  }

  #forgetAll(log: UndoLog): void {
    log.clear();
    writeUndoNote(this.#settings.directory, { mounts: '', goingBackTo: null });
    this.#shelves.count();
    this.#shelves.limitTo({ after: 0, until: -1 });
  }

  /** Keeps what was removed since the oldest state of the log; the present stretch goes beyond its end. */
  #limitShelves(log: UndoLog, until = Number.MAX_SAFE_INTEGER): void {
    this.#shelves.limitTo({ after: log.start ?? 0, until });
  }

  /**
   * Allows records `at … end` to be applied, up to the returned offset: what they destroy is durable in
   * the log by then.
   */
  take(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    const log = this.#log;
    if (this.#mode !== 'on' || log === undefined) return this.#takeWithout(bytes, view, at, end);
    const known = log.last ?? 0;
    if (sequenceAt(view, at) <= known) return this.#takeKnown(bytes, view, { at, end, known });
    // The state before a scan has to be one to go back to. What was taken until here is applied.
    if (view.getUint8(at + field.type) === recordType.scanBegin) this.rest(this.#takenUntil);
    else if (this.#isSetBack(view, at)) this.#beginSegment(log);
    for (const images of this.#images) images.beginRun();
    this.#stretchMs ??= performance.now();
    const record = this.#record;
    let reached = at;
    let flags = this.#isScanning ? undoFlag.scanning : 0;
    for (let count = 0; reached < end && count < RECORDS_MAX; count += 1) {
      record.load(bytes, view, reached);
      if (record.type === recordType.scanBegin) {
        if (count > 0) break;
        if (!this.#isStaged) return this.#beginWaiting(bytes, view, { at, end });
        flags = undoFlag.scanning;
      }
      if (count > 0 && this.#isSetBack(view, reached)) break;
      const result = this.#save(record);
      if (result < 0) {
        const isMuch = result === -errno.ENOSPC;
        const why = isMuch
          ? 'one change destroys more than may be kept'
          : 'the copy cannot be read';
        this.#suspend(`${why} (${errnoName(result)})`);
        return this.#takeWithout(bytes, view, at, end);
      }
      this.#note(record);
      reached += record.totalBytes;
      if (record.type === recordType.scanEnd) {
        flags = 0;
        this.#endsScan = true;
      }
      const isLast = record.type === recordType.scanEnd || this.#marks.has(record.sequence);
      if (isLast || log.batchBytes > BATCH_BYTES_MAX) break;
    }
    this.#runBytes = reached - at;
    return this.#commit(log, sequenceAt(view, at), flags)
      ? reached
      : this.#takeWithout(bytes, view, at, end);
  }

  /** The primary's clock was set back before the record at `at`. */
  #isSetBack(view: DataView, at: number): boolean {
    return readU53(view, at + field.capturedAt) < this.#takenAt - SET_BACK_US;
  }

  /** Within a segment times do not go back, so that a time that was twice is known as such (momentAtTime). */
  #beginSegment(log: UndoLog): void {
    this.rest(this.#takenUntil);
    if (!this.#isScanning && !isOpen(log)) log.rotate();
  }

  #save(record: RecordView): number {
    if (record.type === recordType.scanBegin) {
      return Math.min(0, ...this.#images.map((images) => images.saveOrphans()));
    }
    // What may not be applied is not looked at.
    if (!record.isWellFormed() || isOnShelf(record.path) || isOnShelf(record.path2)) return 0;
    return this.#images[record.directory]?.save(record) ?? 0;
  }

  #note({ sequence, epoch, view, payloadAt }: RecordView): void {
    this.#takenUntil = sequence;
    this.#takenEpoch = epoch;
    this.#takenAt = readU53(view, payloadAt - HEADER_BYTES + field.capturedAt);
  }

  #commit(log: UndoLog, first: number, flags: number): boolean {
    const isScanning = (flags & undoFlag.scanning) !== 0;
    const bytes = log.batchBytes;
    // What the run destroys was saved in this stretch before.
    if (bytes === 0 && !isScanning && !this.#endsScan) return true;
    const open = isScanning ? 0 : undoFlag.open;
    this.#pace.began(performance.now(), this.#takenUntil - first + 1);
    const failed = log.commit({ flags: flags | open, first, ...this.#taken() });
    this.#pace.ended(performance.now());
    if (failed < 0) return this.#failed(failed);
    this.#isScanning = isScanning;
    this.#stretchBytes += bytes;
    return true;
  }

  /** The last record that was taken. */
  #taken(): Pick<UndoCommit, 'last' | 'capturedAt' | 'epoch'> {
    return { last: this.#takenUntil, capturedAt: this.#takenAt, epoch: this.#takenEpoch };
  }

  #failed(negative: number): false {
    this.#suspend(`the undo log cannot be written (${errnoName(negative)})`);
    return false;
  }

  /** Ends the stretch, unless more was taken than is applied: its last state can be gone back to. */
  rest(applied: number): void {
    const log = this.#log;
    if (!this.isStretching || log === undefined || applied < this.#stretchesUntil) return;
    if (this.#takenUntil !== applied || applied < (log.last ?? 0)) return;
    // Batches of a scan end without being open.
    const failed = this.#isScanning ? 0 : log.endStretch({ flags: 0, ...this.#taken() });
    if (failed < 0) {
      this.#failed(failed);
      return;
    }
    this.#moment = this.#takenUntil;
    this.#stretchMs = undefined;
    this.#stretchBytes = 0;
    for (const images of this.#images) images.beginStretch();
  }

  get #isStretchOver(): boolean {
    if (this.#stretchMs === undefined) return false;
    if (this.#isScanning || this.#marks.has(this.#takenUntil)) return true;
    const items = this.#images.reduce((sum, { count }) => sum + count, 0);
    return (
      performance.now() - this.#stretchMs > STRETCH_MS ||
      items > STRETCH_ITEMS_MAX ||
      this.#stretchBytes > STRETCH_BYTES_MAX
    );
  }

  /** Records that were applied before, or are to be as if they had been. */
  #takeKnown(
    bytes: Uint8Array,
    view: DataView,
    { at, end, known }: { at: number; end: number; known: number },
  ): number {
    this.#stretchMs ??= performance.now();
    let reached = at;
    for (let count = 0; reached < end && count < RECORDS_MAX; count += 1) {
      if (sequenceAt(view, reached) > known) break;
      this.#record.load(bytes, view, reached);
      this.#note(this.#record);
      reached += this.#record.totalBytes;
    }
    return reached;
  }

  /** Nothing is saved; only the end of a scan matters, and that of what is applied again. */
  #takeWithout(bytes: Uint8Array, view: DataView, at: number, end: number): number {
    const record = this.#record;
    let reached = at;
    while (reached < end) {
      record.load(bytes, view, reached);
      this.#note(record);
      reached += record.totalBytes;
      this.#endsScan = record.type === recordType.scanEnd;
      if (this.#endsScan || record.sequence === this.#settings.redoUntil) break;
    }
    return reached;
  }

  #beginWaiting(
    bytes: Uint8Array,
    view: DataView,
    { at, end }: { at: number; end: number },
  ): number {
    this.#drop();
    this.#mode = this.#settings.hours > 0 ? 'waiting' : 'off';
    return this.#takeWithout(bytes, view, at, end);
  }

  /** A record cannot be applied for want of room: what is kept goes first. */
  makeRoom(): void {
    if (this.#mode === 'on') this.#suspend('the disk of the copy is full');
    this.#shelves.sweep();
  }

  /** To be called when what was taken is applied, or as much of it as can be: up to `sequence`. */
  applied(sequence: number): void {
    if (sequence !== this.#takenUntil) return;
    if (this.#endsScan || this.#isStretchOver) this.rest(sequence);
    if (this.#endsScan) this.#scanEnded();
    this.#endsScan = false;
    if (this.#mode === 'redoing' && sequence >= this.#settings.redoUntil) {
      this.#resume(false);
      this.#tell({ kind: 'begun' });
    }
    const isDue = performance.now() - this.#lookedMs >= LOOK_INTERVAL_MS;
    const log = this.#mode === 'on' && !this.#isStaged ? this.#log : undefined;
    if (isDue || (log !== undefined && this.#isTooMuch(log))) {
      // Segments are ended and freed at states that can be gone back to.
      this.rest(sequence);
      this.#maintain();
    }
    if (this.#shelves.hasSurplus) this.#shelves.sweep(SWEEP_ITEMS);
  }

  #scanEnded(): void {
    this.#isScanning = false;
    if (this.#isStaged && this.#settings.begin === 'salvage') return;
    const wasStaged = this.#isStaged;
    this.#isStaged = false;
    if (wasStaged && this.#mode === 'on') {
      this.#shelves.count();
      if (this.#settings.hours > 0) return;
      this.#drop();
      this.#mode = 'off';
    } else if (this.#mode === 'waiting') this.#resume(false);
  }

  /** Frees what is too old or too much, and sees whether there is room. */
  #maintain(): void {
    const free = this.#look();
    const log = this.#log;
    if (this.#mode === 'suspended' && performance.now() - this.#suspendedMs > RESUME_AFTER_MS) {
      if (free > FREE_LOW) this.#resume(true);
      return;
    }
    if (this.#mode !== 'on' || log === undefined) return;
    if (free < FREE_NONE && (this.#isStaged || log.segments.length < 2)) {
      this.#suspend(`less than ${FREE_NONE * 100} % of the disk are free`);
      return;
    }
    if (this.#isStaged) return;
    if (performance.now() - this.#rotatedMs > this.#ageMs * AGE_SHARE) {
      this.#rotatedMs = performance.now();
      log.rotate();
    }
    this.#free(log, free < FREE_LOW);
  }

  /** Frees the oldest until what is left is neither too old nor too much, and the disk not too full. */
  #free(log: UndoLog, isLow: boolean): void {
    if (isLow && !this.#isShrunk) {
      this.#tell({ kind: 'shrunk', why: `less than ${FREE_LOW * 100} % of the disk are free` });
    }
    this.#isShrunk = isLow;
    for (let count = 0; count < SEGMENTS_FREED_MAX; count += 1) {
      const isOld = (log.segments[0]?.lastAt ?? 0) / US_PER_MS < this.#nowMs - this.#ageMs;
      const isTooMuch = this.#isTooMuch(log);
      // Of a full disk a part at a time: others may make room.
      if (!isTooMuch && !isOld && !(isLow && count === 0)) return;
      // Without another segment the present one is what there is to free.
      if (log.segments.length < 2) log.rotate();
      if (!log.freeOldest()) return;
      this.#limitShelves(log);
      if (isTooMuch || isLow) this.#shelves.sweep();
    }
  }

  /** A clock that is far ahead, this node's or the primary's, makes nothing old. */
  get #nowMs(): number {
    return Math.min(Date.now(), this.#takenAt / US_PER_MS);
  }

  get #ageMs(): number {
    return this.#settings.hours * HOUR_MS;
  }

  #isTooMuch(log: UndoLog): boolean {
    return log.bytes + this.#shelves.bytes > this.#limitBytes;
  }

  /** Share of the fullest disk that is free; notes how much may be kept. */
  #look(): number {
    this.#lookedMs = performance.now();
    const { directory, diskPercent } = this.#settings;
    const paths = this.#applier.volumes.map(({ root }) => `/proc/self/fd/${root.fd}`);
    let free = 1;
    let room = Number.POSITIVE_INFINITY;
    this.#limitBytes = Number.POSITIVE_INFINITY;
    for (const path of [...paths, ...(this.#log === undefined ? [] : [directory])]) {
      const { bavail, blocks, bsize } = statfsSync(path);
      free = Math.min(free, blocks === 0 ? 1 : bavail / blocks);
      this.#limitBytes = Math.min(this.#limitBytes, (blocks * bsize * diskPercent) / 100);
      room = Math.min(room, Math.max(0, (bavail - blocks * FREE_NONE) * bsize));
    }
    const most = this.#isStaged ? room : Math.min(room, this.#limitBytes);
    if (this.#log !== undefined) this.#log.batchBytesMax = most;
    return free;
  }

  #segmentBytes(): number {
    const share = this.#limitBytes * SEGMENT_SHARE;
    return Math.max(SEGMENT_BYTES_MIN, Math.min(SEGMENT_BYTES_MAX, share));
  }

  #resume(isNews: boolean): void {
    try {
      const { directory, groupId } = this.#settings;
      this.#log?.close();
      const log = new UndoLog({ directory, groupId, segmentBytes: this.#segmentBytes() });
      this.#log = log;
      this.#beginAt(log, this.#takenUntil, this.#takenAt);
      const mounts = mountIdentity(this.#applier.volumes.map(({ root }) => root.fd));
      writeUndoNote(directory, { mounts, goingBackTo: null });
      this.#limitShelves(log);
      this.#switchOn(log);
      if (isNews) this.#tell({ kind: 'resumed' });
    } catch {
      this.#mode = 'suspended';
      this.#suspendedMs = performance.now();
    }
  }

  #suspend(why: string): void {
    this.#drop();
    const wasStaged = this.#isStaged;
    this.#isStaged = false;
    this.#mode = 'suspended';
    if (wasStaged) this.#mode = this.#settings.hours > 0 ? 'waiting' : 'off';
    this.#suspendedMs = performance.now();
    this.#tell({ kind: wasStaged ? 'staging-lost' : 'suspended', why });
  }

  /** Nothing that the log has can be reached any more. */
  #drop(): void {
    this.#shelves.release();
    this.#images = [];
    this.#stretchMs = undefined;
    try {
      this.#log?.clear();
    } catch {
      // It is not whole any more: what is left of it must not be taken for a log.
      rmSync(this.#settings.directory, { recursive: true, force: true });
    }
    this.#shelves.limitTo({ after: 0, until: -1 });
  }

  #tell(news: UndoTold): void {
    this.#onNews(news);
  }

  /** Ends. What is kept stays. */
  close(): void {
    this.#log?.close();
    this.#shelves.release();
    this.#shelves.close();
  }
}

/** The log ends within a stretch. */
const isOpen = (log: UndoLog): boolean =>
  ((log.segments.at(-1)?.lastFlags ?? 0) & undoFlag.open) !== 0;

function blocked(sequence: number, message: string): ApplyFault {
  return { kind: 'blocked', code: 'APPLY_BLOCKED', sequence, errno: -errno.EIO, message };
}
