// Turns what the driver did into records in the shared ring: the one place where sequences are given.
//
// Rule: a change is recorded after it succeeded underneath and before the kernel is answered, by the
// one thread that does both. Hence the order of records is the order of changes.
import { assert } from '../core/assert.ts';
import type { RingProducer } from '../core/byte-ring.ts';
import {
  ATTR_BYTES,
  attrField,
  field,
  HEADER_BYTES,
  NAMESPACE_BYTES,
  NO_TIME,
  padded,
  PATH_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  RECORD_MAGIC,
  RECORD_VERSION,
  recordFlag,
  type RecordType,
  writeI53,
  writeU53,
} from '../journal/record.ts';
import { packDevice, type Stat } from '../linux/stat.ts';
import { ChangedExtents } from './changed-extents.ts';
import { word } from './shared-state.ts';

/** What the next record will say. Reset by {@link Capture.draft}; sizes and offsets in bytes. */
export class RecordDraft {
  type = 0;
  directory = 0;
  path = '';
  path2 = '';
  /** Bits of `recordFlag`, besides `duringScan`. */
  flags = 0;
  aux = 0;
  offset = 0;
  length = 0;
  mtimeSec = 0;
  mtimeNsec: number = NO_TIME;
  payloadLength = 0;
}

export class Capture {
  /** Counts the points at which the stream was marked (see journal/marks.ts). */
  period = 0;
  /** Contents changed since the stream was marked. */
  readonly changed = new ChangedExtents();
  /** Records are not made: those of the operation under way are in the ring already. */
  muted = false;
  /** Called when some records of an operation have to become visible before the others. */
  onPartial: () => void = () => undefined;
  #enabled = false;
  #duringScan = false;
  readonly #flags: Int32Array;
  readonly ring: RingProducer;
  readonly #buffer: Buffer;
  readonly #epoch: number;
  readonly #draft = new RecordDraft();
  #sequence: number;

  /**
   * `firstSequence` is the sequence of the first record. `flags`: words of the shared state (`word`),
   * where a successor finds whether it has to record.
   */
  constructor(
    ring: RingProducer,
    epoch: number,
    firstSequence: number,
    flags: Int32Array = new Int32Array(word.lacking + 1),
  ) {
    this.#flags = flags;
    this.#enabled = flags[word.enabled] === 1;
    this.#duringScan = flags[word.scanning] === 1;
    this.ring = ring;
    this.#buffer = Buffer.from(ring.bytes.buffer);
    this.#epoch = epoch;
    this.#sequence = firstSequence - 1;
  }

  /** Off until a standby wants the stream; then nothing is recorded and nothing waits. */
  get enabled(): boolean {
    return this.#enabled;
  }
  set enabled(enabled: boolean) {
    this.#enabled = enabled;
    Atomics.store(this.#flags, word.enabled, enabled ? 1 : 0);
  }

  /** A first copy or resync is under way. */
  get duringScan(): boolean {
    return this.#duringScan;
  }
  set duringScan(duringScan: boolean) {
    this.#duringScan = duringScan;
    if (!duringScan) return;
    Atomics.store(this.#flags, word.scanning, 1);
    Atomics.store(this.#flags, word.lacking, 0);
  }

  /** Something that has happened is not in the stream, whatever becomes of this process: a scan brings it. */
  lack(): void {
    Atomics.store(this.#flags, word.lacking, 1);
  }

  /** No scan is owed to the standby any more: its end is in the ring, or it was given up. */
  endScan(): void {
    Atomics.store(this.#flags, word.scanning, 0);
  }

  /** Sequence of the last record. */
  get sequence(): number {
    return this.#sequence;
  }

  /** Starts a record about `path` in protected directory number `directory`. */
  draft(type: RecordType, directory: number, path: string): RecordDraft {
    const draft = this.#draft;
    draft.type = type;
    draft.directory = directory;
    draft.path = path;
    draft.path2 = '';
    draft.flags = 0;
    draft.aux = 0;
    draft.offset = 0;
    draft.length = 0;
    draft.mtimeSec = 0;
    draft.mtimeNsec = NO_TIME;
    draft.payloadLength = 0;
    return draft;
  }

  /**
   * Finds room for a record with `payloadBytes` of payload and returns the ring offset where the
   * payload belongs, waiting for the sender when the ring is full.
   */
  room(payloadBytes: number): number {
    assert(payloadBytes <= PAYLOAD_BYTES_MAX, 'a record payload is within its limit');
    const bytes = HEADER_BYTES + payloadBytes + 2 * PATH_BYTES_MAX + 8;
    let at = this.ring.reserve(bytes);
    if (at < 0 && this.ring.isHolding) this.onPartial();
    while (at < 0) {
      this.ring.waitForRoom(bytes, 1000);
      at = this.ring.reserve(bytes);
    }
    return at + HEADER_BYTES;
  }

  /**
   * Publishes the draft; its payload is already at `payloadAt`, as {@link room} returned. The sender sees
   * it when the ring is flushed, which happens before an answer and at every wake-up.
   */
  publish(payloadAt: number): void {
    if (this.muted) return;
    const draft = this.#draft;
    const at = payloadAt - HEADER_BYTES;
    const view = this.ring.view;
    const pathAt = payloadAt + draft.payloadLength;
    const pathLength = draft.path === '' ? 0 : this.#buffer.write(draft.path, pathAt, 'latin1');
    const path2Length =
      draft.path2 === '' ? 0 : this.#buffer.write(draft.path2, pathAt + pathLength, 'latin1');
    this.#sequence += 1;
    view.setUint32(at + field.magic, RECORD_MAGIC, true);
    view.setUint8(at + field.version, RECORD_VERSION);
    view.setUint8(at + field.type, draft.type);
    view.setUint8(at + field.flags, draft.flags | (this.duringScan ? recordFlag.duringScan : 0));
    view.setUint8(at + field.directory, draft.directory);
    view.setUint32(at + field.epoch, this.#epoch, true);
    view.setUint16(at + field.pathLength, pathLength, true);
    view.setUint16(at + field.path2Length, path2Length, true);
    writeU53(view, at + field.sequence, this.#sequence);
    view.setUint32(at + field.payloadLength, draft.payloadLength, true);
    view.setUint32(at + field.aux, draft.aux, true);
    writeU53(view, at + field.offset, draft.offset);
    writeU53(view, at + field.length, draft.length);
    writeI53(view, at + field.mtimeSec, draft.mtimeSec);
    view.setUint32(at + field.mtimeNsec, draft.mtimeNsec, true);
    view.setUint32(at + field.reserved, 0, true);
    writeU53(view, at + field.capturedAt, Date.now() * 1000);
    const length = HEADER_BYTES + draft.payloadLength + pathLength + path2Length;
    const total = padded(length);
    if (total > length) this.ring.bytes.fill(0, at + length, at + total);
    this.ring.hold(total);
  }

  /** Publishes a draft that has no payload. */
  publishBare(): void {
    this.publish(this.room(0));
  }

  /** Publishes the draft with a copy of `payload`. */
  publishPayload(payload: Uint8Array): void {
    const at = this.room(payload.length);
    this.ring.bytes.set(payload, at);
    this.#draft.payloadLength = payload.length;
    this.publish(at);
  }

  /** Publishes the draft with the attribute block of `stat`. */
  publishAttributes(stat: Stat): void {
    const at = this.room(ATTR_BYTES);
    this.#attributes(at, stat);
    this.#draft.payloadLength = ATTR_BYTES;
    this.publish(at);
  }

  /**
   * Publishes the draft with a namespace block: attributes of `object` (none: zeros) and the mtimes
   * of the parents of path and path2 after the change, followed by `tail`.
   */
  publishNamespace(
    object: Stat | undefined,
    parent: Stat | undefined,
    parent2?: Stat,
    tail?: Uint8Array,
  ): void {
    const at = this.room(NAMESPACE_BYTES + (tail?.length ?? 0));
    const view = this.ring.view;
    if (object === undefined) this.ring.bytes.fill(0, at, at + ATTR_BYTES);
    else this.#attributes(at, object);
    writeI53(view, at + attrField.parentSec, parent?.mtimeSec ?? 0);
    view.setUint32(at + attrField.parentNsec, parent?.mtimeNsec ?? NO_TIME, true);
    writeI53(view, at + attrField.parent2Sec, parent2?.mtimeSec ?? 0);
    view.setUint32(at + attrField.parent2Nsec, parent2?.mtimeNsec ?? NO_TIME, true);
    if (tail !== undefined) this.ring.bytes.set(tail, at + NAMESPACE_BYTES);
    this.#draft.payloadLength = NAMESPACE_BYTES + (tail?.length ?? 0);
    this.publish(at);
  }

  #attributes(at: number, stat: Stat): void {
    const view = this.ring.view;
    view.setUint32(at + attrField.mode, stat.mode, true);
    view.setUint32(at + attrField.uid, stat.uid, true);
    view.setUint32(at + attrField.gid, stat.gid, true);
    view.setUint32(at + attrField.rdev, packDevice(stat), true);
    writeI53(view, at + attrField.atimeSec, stat.atimeSec);
    writeI53(view, at + attrField.mtimeSec, stat.mtimeSec);
    view.setUint32(at + attrField.atimeNsec, stat.atimeNsec, true);
    view.setUint32(at + attrField.mtimeNsec, stat.mtimeNsec, true);
    writeU53(view, at + attrField.size, stat.size);
  }
}
