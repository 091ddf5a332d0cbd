// What the sender still owes the standby: an ordered queue of sealed records, of which the older
// part may lie in spill files and the newer part lies in the shared ring.
//
//   acknowledged │ spill files (oldest … newest) │ ring: held, sealed │ ring: not looked at yet
//                │                               │                    │
//                └ tail                          └ ring.released      └ ring.head
//                          ▲ next record to send: in either part
//
// The producer is the application's own I/O. It must not wait for the standby: when the ring fills,
// its older half goes to disk; when the disk's share is full, everything is let go, and the standby
// needs a scan.
//
//   holding    everything is kept until it is acknowledged
//   dropping   nobody can use what comes (no standby yet, or too much was let go): let it go
//   awaiting   like dropping, up to the beginning of the scan that was asked for
import { assert } from '../core/assert.ts';
import { RingConsumer, type RingMemory } from '../core/byte-ring.ts';
import { messageOf } from '../core/errors.ts';
import { MiB } from '../core/units.ts';
import {
  checkRecord,
  field,
  readU53,
  RECORD_MAGIC,
  recordBytes,
  recordType,
  sealRecord,
} from '../journal/record.ts';
import { sequenceAt } from '../journal/segment.ts';
import type { SpaceGuard } from './disk-space.ts';
import { Spill, type SpillChunk } from './sender-spill.ts';
import { SpillIndex } from './spill-index.ts';

export type BacklogMode = 'holding' | 'dropping' | 'awaiting';

export interface BacklogSuccession {
  readonly spillIndex: ArrayBufferLike;
  /** The ring and the files are those of a process that has died, and the stream goes on. */
  readonly resumes: boolean;
}

export interface BacklogOptions {
  readonly ring: RingMemory;
  readonly firstSequence: number;
  readonly spillDirectory: string;
  readonly spillBytesMax: number;
  /** Keeps the file system of the spill from being filled. */
  readonly space?: Pick<SpaceGuard, 'hasRoom'>;
  /** Memory that outlives the process, for the index of what is on disk; `resumes`: go on from there. */
  readonly succession?: BacklogSuccession | undefined;
  /** Called once per loss; the argument says why. */
  readonly onLost: (reason: string) => void;
}

/** Spilling begins when the ring is fuller than this. */
const SPILL_ABOVE = 0.5;
/** Without room on disk, records are let go only when the ring is fuller than this. */
const DROP_ABOVE = 0.75;
const CHUNK_BYTES = MiB;
/** The ring's note for a successor: everything that is not acknowledged is there. */
const HOLDING = 1;
/** Work of one call of {@link Backlog.advance}, so that the thread's loop stays responsive. */
const ADVANCE_BYTES_MAX = 8 * MiB;

export class Backlog {
  readonly #ring: RingConsumer;
  readonly #spill: Spill;
  readonly #onLost: (reason: string) => void;
  #mode: BacklogMode;
  /** Ring position behind the last sealed record, and that record's sequence. */
  #sealed: number;
  #head: number;
  /** Ring position of the next record to send, when that is in the ring. */
  #position: number;
  #next: number;
  /** Last record that the standby has on disk, as far as is known; older ones are not held. */
  #acknowledged: number;
  /** Sequence of the record at the ring's `released` position. */
  #ringFirst: number;
  #spilling = false;
  /** Grows with each loss, so that a spill that was under way is not counted. */
  #losses = 0;
  /** Grows with each {@link rewind}: what was read before it is not for the new link. */
  #rewinds = 0;
  #scanAfter = 0;
  /** Sealed since the start. */
  records = 0;
  bytes = 0;

  /** `mode`: of a stream that begins. */
  constructor(options: BacklogOptions, mode: BacklogMode) {
    const { ring, spillDirectory, spillBytesMax, space, succession } = options;
    const resumes = succession?.resumes === true;
    this.#ring = new RingConsumer(ring);
    const first = resumes ? this.#firstInRing() : options.firstSequence;
    const index = succession === undefined ? undefined : new SpillIndex(succession.spillIndex);
    const resumeBefore = resumes && this.#ring.mode === HOLDING ? first : undefined;
    const kept = index === undefined ? undefined : { index, resumeBefore };
    this.#spill = new Spill(spillDirectory, spillBytesMax, { space, succession: kept });
    this.#onLost = options.onLost;
    this.#mode = !resumes ? mode : this.#ring.mode === HOLDING ? 'holding' : 'dropping';
    this.#sealed = this.#ring.released;
    this.#position = this.#sealed;
    this.#head = first - 1;
    this.#ringFirst = first;
    this.#acknowledged = (this.#spill.oldest?.firstSequence ?? first) - 1;
    this.#next = this.#acknowledged + 1;
    this.#ring.note = first;
    this.#setMode(this.#mode);
    // The standby must not take for unknown what merely has not been looked at.
    if (resumes) while (this.advance());
  }

  /** Sequence of the record at the ring's `released` position, or of the one that will be there. */
  #firstInRing(): number {
    const { position, bytes } = this.#ring.readable(this.#ring.released);
    if (bytes === 0) return this.#ring.note;
    return sequenceAt(this.#ring.view, this.#ring.offsetOf(position));
  }

  #setMode(mode: BacklogMode): void {
    this.#mode = mode;
    this.#ring.mode = mode === 'holding' ? HOLDING : 0;
  }

  get mode(): BacklogMode {
    return this.#mode;
  }
  /** Last record seen. */
  get headSequence(): number {
    return this.#head;
  }
  /**
   * Oldest record that can be sent; `headSequence + 1` when none is there yet. While nothing is held the one after
   * that cannot be sent either: not even a standby that has everything so far may go on from there.
   */
  get tailSequence(): number {
    return this.#mode === 'holding' ? this.#acknowledged + 1 : this.#head + 2;
  }
  /** Next record to send. */
  get nextSequence(): number {
    return this.#next;
  }
  /** Bytes held, in the ring and on disk. */
  get heldBytes(): number {
    return this.#spill.bytes + this.#ringBytes;
  }
  get spilledBytes(): number {
    return this.#spill.bytes;
  }
  /** Ring position of the next record to send, when that is in the ring or yet to come. */
  get sentPosition(): number {
    // A mark that the ring begins anew may be all that has come: nobody has to send that.
    return this.hasNext ? this.#position : this.#ring.readable(this.#sealed).position;
  }
  /** The ring, for waiting on it. */
  get ring(): RingConsumer {
    return this.#ring;
  }

  /** Capture time (wall clock, microseconds) of the oldest record held; 0 when none. */
  get oldestCapturedAt(): number {
    const { oldest } = this.#spill;
    if (oldest !== undefined) return oldest.capturedAt;
    if (this.#ringFirst > this.#head) return 0;
    const { position } = this.#ring.readable(this.#ring.released);
    return readU53(this.#ring.view, this.#ring.offsetOf(position) + field.capturedAt);
  }

  /** Seals what was published since the last call. True when there may be more. */
  advance(): boolean {
    let budget = ADVANCE_BYTES_MAX;
    while (budget > 0) {
      const stretch = this.#ring.readable(this.#sealed);
      if (stretch.bytes === 0) return false;
      budget -= this.#seal(stretch.position, stretch.bytes, budget);
    }
    return true;
  }

  /** True when there is something to send. */
  get hasNext(): boolean {
    return this.#mode === 'holding' && this.#next <= this.#head;
  }

  /** The chunk on disk that the next record to send is in; undefined when it is in the ring. */
  get nextChunk(): SpillChunk | undefined {
    return this.#spill.find(this.#next);
  }

  /**
   * Copies records from the ring, beginning with the next to send, into `target` at `at`, up to
   * `bytesMax` bytes but at least one. Returns their bytes.
   */
  take(target: Uint8Array, at: number, bytesMax: number): number {
    assert(this.hasNext, 'there is a record to send');
    const { position, bytes } = this.#ring.readable(this.#position);
    const from = this.#ring.offsetOf(position);
    const available = Math.min(bytes, (this.#sealed - position) >>> 0);
    const { view } = this.#ring;
    let length = 0;
    while (length < available && !this.#ring.isSkipAt(from + length)) {
      const total = recordBytes(view, from + length);
      if (length > 0 && length + total > bytesMax) break;
      length += total;
      this.#next += 1;
    }
    target.set(this.#ring.bytes.subarray(from, from + length), at);
    this.#position = (position + length) >>> 0;
    return length;
  }

  /**
   * Reads the next records to send from disk into `target`. Resolves with where they are, or undefined when
   * everything was let go meanwhile, or rewound. `target` must have room for a whole frame.
   */
  async takeSpilled(target: Buffer): Promise<{ from: number; to: number } | undefined> {
    const chunk = this.nextChunk;
    assert(chunk !== undefined, 'the next record is on disk');
    const losses = this.#losses;
    const rewinds = this.#rewinds;
    const bytes = target.subarray(0, chunk.bytes);
    try {
      await this.#spill.read(chunk, bytes);
    } catch (error) {
      if (losses === this.#losses)
        this.lose(`the disk backlog cannot be read (${messageOf(error)})`);
      return undefined;
    }
    // Meanwhile the link may have changed, and with it what is next: perhaps the same once more.
    if (losses !== this.#losses || rewinds !== this.#rewinds) return undefined;
    const from = this.#findIn(bytes, chunk);
    if (from === undefined) {
      this.lose('the disk backlog is damaged');
      return undefined;
    }
    this.#next = chunk.lastSequence + 1;
    this.#seek();
    return { from, to: chunk.bytes };
  }

  /** The standby goes on at `sequence`: send from there. False when that is not held any more. */
  rewind(sequence: number): boolean {
    if (this.#mode !== 'holding') return false;
    if (sequence < this.tailSequence || sequence > this.#head + 1) return false;
    this.#rewinds += 1;
    this.#next = sequence;
    this.#seek();
    return true;
  }

  /** The standby has everything up to `sequence` on disk. */
  acknowledge(sequence: number): void {
    if (this.#mode !== 'holding') return;
    this.#acknowledged = Math.max(this.#acknowledged, Math.min(sequence, this.#next - 1));
    this.#trim();
  }

  /** A scan was asked for: what comes before its beginning is of no use. */
  awaitScan(): void {
    this.#letGo('awaiting');
    this.#scanAfter = this.#head;
  }

  /** Lets everything go; the standby will need a scan. */
  lose(reason: string): void {
    if (this.#mode === 'dropping') return;
    this.#letGo('dropping');
    this.#onLost(reason);
  }

  /** True when {@link spillSome} should be called. */
  get isCrowded(): boolean {
    if (this.#mode !== 'holding' || this.#spilling) return false;
    return this.#ringBytes > this.#ring.capacity * SPILL_ABOVE;
  }

  /**
   * Moves the oldest records of the ring to disk, or lets everything go when that is full. Resolves
   * with false when there was no room and no need yet.
   */
  async spillSome(): Promise<boolean> {
    assert(!this.#spilling, 'one spill at a time');
    const chunk = this.#oldestChunk();
    const refusal = this.#spill.refusal(chunk.bytes);
    if (refusal !== undefined) {
      if (this.#ringBytes < this.#ring.capacity * DROP_ABOVE) return false;
      this.lose(refusal);
      return true;
    }
    this.#spilling = true;
    const losses = this.#losses;
    const { position } = this.#ring.readable(this.#ring.released);
    const from = this.#ring.offsetOf(position);
    const bytes = this.#ring.bytes.subarray(from, from + chunk.bytes);
    try {
      await this.#spill.append(bytes, chunk);
    } catch (error) {
      if (losses === this.#losses)
        this.lose(`the disk backlog cannot be written (${messageOf(error)})`);
    } finally {
      this.#spilling = false;
    }
    if (losses === this.#losses) {
      this.#releaseTo((position + chunk.bytes) >>> 0, chunk.lastSequence + 1);
      this.#trim();
    }
    return true;
  }

  /** Removes the files on disk. */
  close(): void {
    this.#losses += 1;
    this.#spill.clear();
  }

  get #ringBytes(): number {
    return (this.#sealed - this.#ring.released) >>> 0;
  }

  #letGo(mode: BacklogMode): void {
    this.#setMode(mode);
    this.#losses += 1;
    this.#spill.clear();
    this.#forgetRing();
  }

  /** Nothing sealed so far is held any more. */
  #forgetRing(): void {
    this.#releaseTo(this.#sealed, this.#head + 1);
    this.#position = this.#sealed;
    this.#next = this.#head + 1;
    this.#acknowledged = this.#head;
  }

  /** Seals records of a contiguous stretch; returns the bytes looked at. */
  #seal(position: number, bytes: number, bytesMax: number): number {
    const start = this.#ring.offsetOf(position);
    const { view } = this.#ring;
    let length = 0;
    while (length < bytes && length < bytesMax && !this.#ring.isSkipAt(start + length)) {
      const at = start + length;
      assert(view.getUint32(at + field.magic, true) === RECORD_MAGIC, 'the ring holds records');
      const sequence = sequenceAt(view, at);
      assert(sequence === this.#head + 1, 'records in the ring have no gap');
      this.#sealed = (position + length) >>> 0;
      if (this.#mode === 'awaiting' && this.#isScanBegin(at, sequence)) {
        this.#forgetRing();
        this.#setMode('holding');
      }
      if (this.#mode === 'holding') sealRecord(this.#ring.bytes, view, at);
      this.#head = sequence;
      length += recordBytes(view, at);
      this.records += 1;
    }
    this.#sealed = (position + length) >>> 0;
    this.bytes += length;
    if (this.#mode !== 'holding') this.#forgetRing();
    return length;
  }

  #isScanBegin(at: number, sequence: number): boolean {
    const type = this.#ring.view.getUint8(at + field.type);
    return type === recordType.scanBegin && sequence > this.#scanAfter;
  }

  #oldestChunk(): SpillChunk {
    const { position, bytes } = this.#ring.readable(this.#ring.released);
    const start = this.#ring.offsetOf(position);
    const available = Math.min(bytes, (this.#sealed - position) >>> 0);
    const { view } = this.#ring;
    const firstSequence = sequenceAt(view, start);
    let length = 0;
    let lastSequence = firstSequence - 1;
    while (length < available && !this.#ring.isSkipAt(start + length)) {
      const total = recordBytes(view, start + length);
      if (length > 0 && length + total > CHUNK_BYTES) break;
      length += total;
      lastSequence += 1;
    }
    const capturedAt = readU53(view, start + field.capturedAt);
    return { firstSequence, lastSequence, capturedAt, bytes: length };
  }

  /** Frees what is acknowledged: on disk first, then in the ring. */
  #trim(): void {
    this.#spill.free(this.#acknowledged);
    // While the oldest part of the ring is being written to disk it has to stay.
    if (this.#spilling || this.#spill.oldest !== undefined) return;
    let position = this.#ring.released;
    let first = this.#ringFirst;
    while (first <= this.#acknowledged) {
      position = this.#behind(position);
      first += 1;
    }
    this.#releaseTo(position, first);
  }

  #releaseTo(position: number, first: number): void {
    this.#ringFirst = first;
    this.#ring.note = first;
    if (position !== this.#ring.released) this.#ring.release(position);
  }

  /** Sets `#position` when the next record to send is in the ring. */
  #seek(): void {
    if (this.nextChunk !== undefined) return;
    let position = this.#ring.released;
    for (let skip = this.#ringFirst; skip < this.#next; skip += 1) {
      position = this.#behind(position);
    }
    this.#position = position;
  }

  /** Position behind the record at `position`. */
  #behind(position: number): number {
    const { position: at } = this.#ring.readable(position);
    return (at + recordBytes(this.#ring.view, this.#ring.offsetOf(at))) >>> 0;
  }

  /** Where the next record to send begins in a chunk read from disk; undefined when it is damaged. */
  #findIn(bytes: Buffer, chunk: SpillChunk): number | undefined {
    const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    let from: number | undefined;
    let sequence = chunk.firstSequence;
    for (let at = 0; at < bytes.length; sequence += 1) {
      const total = checkRecord(bytes, view, at, bytes.length - at);
      if (typeof total !== 'number' || sequenceAt(view, at) !== sequence) return undefined;
      if (sequence === this.#next) from = at;
      at += total;
    }
    return from;
  }
}
