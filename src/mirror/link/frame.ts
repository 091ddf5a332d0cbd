// Frames of the replication link: an 8-byte header, then the body.
//
//  offset size field (little endian)
//   0      4   body length
//   4      1   type
//   5      3   zero
//
// Every bound is checked before a byte is kept. The codec does no I/O and returns faults instead of
// throwing on bytes.
//
//   primary → standby   hello, records, packed, ping, close
//   standby → primary   welcome, refuse, ack, need, pong
import { assert } from '../../core/assert.ts';
import { KiB, MiB } from '../../core/units.ts';
import { RECORD_BYTES_MAX, readU53, writeU53 } from '../../journal/record.ts';

/**
 * Version of the link's protocol; both ends must have the same.
 *
 *  1  first
 *  2  marks: hello says what both nodes may know in common, scans of mode `changed`
 *  3  records may come compressed (`packed`)
 */
export const LINK_VERSION = 4;
export const FRAME_HEADER_BYTES = 8;
export const CONTROL_BODY_BYTES_MAX = 64 * KiB;
export const RECORDS_BODY_BYTES_MAX = 2 * MiB;
assert(RECORD_BYTES_MAX <= RECORDS_BODY_BYTES_MAX, 'any record fits a frame');

/** Numbers on the wire: never reuse one. */
export const frameType = {
  hello: 1,
  welcome: 2,
  records: 3,
  ack: 4,
  need: 5,
  refuse: 6,
  ping: 7,
  pong: 8,
  close: 9,
  packed: 10,
} as const;

/** Greatest body per type that an end accepts; types that are not listed are faults. */
export type FrameLimits = ReadonlyMap<number, number>;

/** What the standby accepts from the primary. */
export const primaryFrames: FrameLimits = new Map([
  [frameType.hello, CONTROL_BODY_BYTES_MAX],
  [frameType.records, RECORDS_BODY_BYTES_MAX],
  [frameType.packed, RECORDS_BODY_BYTES_MAX],
  [frameType.ping, CONTROL_BODY_BYTES_MAX],
  [frameType.close, CONTROL_BODY_BYTES_MAX],
]);

/** What the primary accepts from the standby. */
export const standbyFrames: FrameLimits = new Map([
  [frameType.welcome, CONTROL_BODY_BYTES_MAX],
  [frameType.refuse, CONTROL_BODY_BYTES_MAX],
  [frameType.ack, CONTROL_BODY_BYTES_MAX],
  [frameType.need, CONTROL_BODY_BYTES_MAX],
  [frameType.pong, CONTROL_BODY_BYTES_MAX],
]);

/** Writes a frame's header at the front of `target`. */
export function writeFrameHeader(target: Buffer, type: number, bodyBytes: number): void {
  target.writeUInt32LE(bodyBytes, 0);
  target.writeUInt32LE(type, 4);
}

/** A whole frame with a body. */
export function encodeFrame(type: number, body: Uint8Array): Buffer {
  const frame = Buffer.allocUnsafe(FRAME_HEADER_BYTES + body.length);
  writeFrameHeader(frame, type, body.length);
  frame.set(body, FRAME_HEADER_BYTES);
  return frame;
}

/** Takes a frame's body, which is valid only during the call; false stops the parser for good. */
export type FrameHandler = (type: number, body: Buffer) => boolean;

/** Cuts a byte stream into frames. Copies only frames that arrive in pieces. */
export class FrameParser {
  readonly #limits: FrameLimits;
  readonly #handler: FrameHandler;
  readonly #header = Buffer.alloc(FRAME_HEADER_BYTES);
  #headerBytes = 0;
  #type = 0;
  #bodyBytes = 0;
  /** Grows with the frames that come, up to the greatest limit. */
  #body = Buffer.alloc(0);
  #filled = 0;
  #stopped = false;

  constructor(limits: FrameLimits, handler: FrameHandler) {
    this.#limits = limits;
    this.#handler = handler;
  }

  /** Consumes a chunk; returns a sentence when the peer broke the rules, and takes nothing more. */
  push(chunk: Buffer): string | undefined {
    let at = 0;
    while (at < chunk.length && !this.#stopped) {
      if (this.#headerBytes < FRAME_HEADER_BYTES) {
        at += this.#takeHeader(chunk, at);
        if (this.#headerBytes < FRAME_HEADER_BYTES) return undefined;
        const fault = this.#checkHeader();
        if (fault !== undefined) {
          this.#stopped = true;
          return fault;
        }
      }
      const missing = this.#bodyBytes - this.#filled;
      const here = Math.min(missing, chunk.length - at);
      if (this.#filled === 0 && here === missing) {
        this.#finish(chunk.subarray(at, at + here));
      } else {
        this.#reserve();
        chunk.copy(this.#body, this.#filled, at, at + here);
        this.#filled += here;
        if (here === missing) this.#finish(this.#body.subarray(0, this.#bodyBytes));
      }
      at += here;
    }
    // A frame without a body is whole as soon as its header is.
    return undefined;
  }

  #takeHeader(chunk: Buffer, at: number): number {
    const bytes = Math.min(FRAME_HEADER_BYTES - this.#headerBytes, chunk.length - at);
    chunk.copy(this.#header, this.#headerBytes, at, at + bytes);
    this.#headerBytes += bytes;
    return bytes;
  }

  #checkHeader(): string | undefined {
    const bytes = this.#header.readUInt32LE(0);
    const type = this.#header.readUInt32LE(4);
    const limit = this.#limits.get(type);
    if (limit === undefined) return `a frame of unknown type ${type}`;
    if (bytes > limit) return `a frame of type ${type} with ${bytes} bytes, more than ${limit}`;
    if (bytes === 0) return `a frame of type ${type} without a body`;
    this.#type = type;
    this.#bodyBytes = bytes;
    return undefined;
  }

  #reserve(): void {
    if (this.#body.length >= this.#bodyBytes) return;
    const grown = Math.min(
      RECORDS_BODY_BYTES_MAX,
      Math.max(this.#bodyBytes, this.#body.length * 2),
    );
    this.#body = Buffer.from(new ArrayBuffer(grown));
  }

  #finish(body: Buffer): void {
    this.#headerBytes = 0;
    this.#filled = 0;
    if (!this.#handler(this.#type, body)) this.#stopped = true;
  }
}

/** How far a standby has come; `copy` is its copy state. */
export interface Ack {
  readonly receivedSequence: number;
  readonly durableSequence: number;
  readonly appliedSequence: number;
  readonly copy: CopyState;
}

/** Copy states by their number on the wire. */
export const COPY_STATES = [
  'empty',
  'syncing',
  'catching-up',
  'up-to-date',
  'diverged',
  'halted',
] as const;
export type CopyState = (typeof COPY_STATES)[number];

const ACK_BODY_BYTES = 32;

/** Layout: received u64, durable u64, applied u64, copy state u8, zero. */
export function encodeAck(ack: Ack): Buffer {
  const frame = Buffer.from(new ArrayBuffer(FRAME_HEADER_BYTES + ACK_BODY_BYTES));
  writeFrameHeader(frame, frameType.ack, ACK_BODY_BYTES);
  const view = new DataView(frame.buffer, FRAME_HEADER_BYTES);
  writeU53(view, 0, ack.receivedSequence);
  writeU53(view, 8, ack.durableSequence);
  writeU53(view, 16, ack.appliedSequence);
  view.setUint8(24, COPY_STATES.indexOf(ack.copy));
  return frame;
}

/** Undefined when the bytes are not an acknowledgement. */
export function decodeAck(body: Buffer): Ack | undefined {
  if (body.length !== ACK_BODY_BYTES) return undefined;
  const view = new DataView(body.buffer, body.byteOffset, body.length);
  const copy = COPY_STATES[view.getUint8(24)];
  if (copy === undefined) return undefined;
  const ack = {
    receivedSequence: readU53(view, 0),
    durableSequence: readU53(view, 8),
    appliedSequence: readU53(view, 16),
    copy,
  };
  const ordered =
    ack.appliedSequence <= ack.durableSequence && ack.durableSequence <= ack.receivedSequence;
  return ordered && ack.receivedSequence <= Number.MAX_SAFE_INTEGER ? ack : undefined;
}
