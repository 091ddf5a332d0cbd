// One FUSE connection: reading requests, answering them. Knows bytes, not files.
import { assert } from '../core/assert.ts';
import { writeU53 } from '../journal/record.ts';
import { errno } from '../linux/constants.ts';
import { addressOf, sys } from '../linux/libc.ts';
import { packDevice, type Stat } from '../linux/stat.ts';
import { TOO_LATE } from '../linux/timed-write.ts';
import {
  attr,
  attrOut,
  entryOut,
  inHeader,
  IN_HEADER_BYTES,
  MAX_WRITE_BYTES,
  OUT_HEADER_BYTES,
} from './fuse-protocol.ts';
import type { Lease } from './lease.ts';
import type { Node } from './node.ts';

/** Bit of the high half of a request's number: it was read before by a process that is gone. */
export const RESENT = 0x8000_0000 | 0;

/** FUSE_NOTIFY_INVAL_INODE: an offset below zero leaves the contents alone. */
const NOTIFY_INVAL_INODE = 2;
const NOTIFICATION_BYTES = 40;

const REPLY_BYTES = OUT_HEADER_BYTES + MAX_WRITE_BYTES + 4096;
/** Everything goes through this kernel's cache, so what it knows stays true. */
const VALID_SECONDS = 86_400;

/** The request being served. One object is reused for all of them. */
export class Request {
  readonly view: DataView;
  readonly bytes: Uint8Array;
  readonly #buffer: Buffer;
  readonly #address: number;
  /** Offset of the request within `bytes`. */
  at = 0;
  opcode = 0;
  /** Length of what follows the request header, bytes. */
  bodyBytes = 0;
  uniqueLow = 0;
  uniqueHigh = 0;
  nodeid = 0;
  uid = 0;
  gid = 0;

  /** `bytes`: memory that requests are read into. */
  constructor(bytes: Uint8Array, view: DataView) {
    this.bytes = bytes;
    this.view = view;
    this.#buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
    this.#address = addressOf(bytes);
  }

  /** Takes in the header of the request of `length` bytes at offset `at`. */
  load(at: number, length: number): void {
    const view = this.view;
    this.at = at;
    this.opcode = view.getUint32(at + inHeader.opcode, true);
    this.bodyBytes = length - IN_HEADER_BYTES;
    this.uniqueLow = view.getUint32(at + inHeader.unique, true);
    this.uniqueHigh = view.getUint32(at + inHeader.unique + 4, true);
    this.nodeid = u53(view, at + inHeader.nodeid);
    this.uid = view.getUint32(at + inHeader.uid, true);
    this.gid = view.getUint32(at + inHeader.gid, true);
  }

  /** It was read before, by a process that died without answering. */
  get isResent(): boolean {
    return this.uniqueHigh >= 0x8000_0000;
  }

  /** Offset of the body within `bytes`. */
  get body(): number {
    return this.at + IN_HEADER_BYTES;
  }

  u32(offset: number): number {
    return this.view.getUint32(this.body + offset, true);
  }

  /** An unsigned 64-bit field; 2^53 and above come out as Infinity, which every caller refuses. */
  u64(offset: number): number {
    return u53(this.view, this.body + offset);
  }

  i64(offset: number): number {
    const at = this.body + offset;
    return this.view.getInt32(at + 4, true) * 0x1_0000_0000 + this.view.getUint32(at, true);
  }

  /** Address of a byte of the body, for system calls. */
  address(offset: number): number {
    return this.#address + this.body + offset;
  }

  /** Address of a byte of the request memory. */
  addressAt(at: number): number {
    return this.#address + at;
  }

  /** The NUL-terminated name at `offset` of the body as latin1. */
  name(offset: number): string {
    const from = this.body + offset;
    const end = this.bytes.indexOf(0, from);
    assert(end >= from, 'a name in a request is terminated');
    return this.#buffer.toString('latin1', from, end);
  }
}

function u53(view: DataView, at: number): number {
  const high = view.getUint32(at + 4, true);
  if (high >= 0x20_0000) return Infinity;
  return high * 0x1_0000_0000 + view.getUint32(at, true);
}

export class FuseChannel {
  readonly fd: number;
  /** Told of every negative errno that is answered. */
  onError: ((result: number) => void) | undefined;
  /** Called before every answer: what the operation did must be kept by then. */
  beforeReply: (request: Request) => void = () => undefined;
  /** Set while an operation is served whose success may only be told with a valid lease. */
  lease: Lease | undefined;
  readonly #reply = new Uint8Array(new ArrayBuffer(REPLY_BYTES));
  readonly #view = new DataView(this.#reply.buffer);
  readonly #address = addressOf(this.#reply);
  readonly #notification = new DataView(new ArrayBuffer(NOTIFICATION_BYTES));

  constructor(fd: number) {
    this.fd = fd;
  }

  /** Where the body of a reply is built. */
  get body(): DataView {
    return this.#view;
  }

  get bytes(): Uint8Array {
    return this.#reply;
  }

  /** Address of a byte of the reply's body. */
  bodyAddress(offset: number): number {
    return this.#address + OUT_HEADER_BYTES + offset;
  }

  /** Answers with a negative errno, or with success and no body when `result` is 0. */
  result(request: Request, result: number): void {
    if (result < 0) this.onError?.(result);
    this.#send(request, result, 0);
  }

  /** Answers with EIO although nothing is wrong with the disk. */
  refuse(request: Request): void {
    this.#send(request, -errno.EIO, 0);
  }

  /**
   * The kernel no longer believes the attributes that it knows of an object. To be called on behalf of a caller that has the
   * object open: the kernel waits for one that it is just dropping.
   */
  forgetAttributes(nodeid: number): void {
    const view = this.#notification;
    view.setUint32(0, NOTIFICATION_BYTES, true);
    view.setInt32(4, NOTIFY_INVAL_INODE, true);
    writeU53(view, OUT_HEADER_BYTES, nodeid);
    view.setBigInt64(OUT_HEADER_BYTES + 8, -1n, true);
    sys.write(this.fd, new Uint8Array(view.buffer), NOTIFICATION_BYTES);
  }

  /** Answers with the first `bytes` bytes of the body. */
  success(request: Request, bytes: number): void {
    this.#send(request, 0, bytes);
  }

  #send(request: Request, error: number, bytes: number): void {
    this.beforeReply(request);
    const length = OUT_HEADER_BYTES + bytes;
    this.#view.setUint32(0, length, true);
    this.#view.setInt32(4, error, true);
    this.#view.setUint32(8, request.uniqueLow, true);
    this.#view.setUint32(12, request.uniqueHigh, true);
    const written =
      error !== 0 || this.lease === undefined
        ? sys.write(this.fd, this.#address, length)
        : this.#sendWithLease(this.lease, length);
    // ENOENT: the request was interrupted and is gone. ENODEV: unmounted. Both are fine.
    if (written < 0) {
      assert(
        written === -errno.ENOENT || written === -errno.ENODEV,
        `the kernel takes the reply to opcode ${request.opcode} (${written})`,
      );
    }
  }

  /** Sends the reply that lies ready or, when the lease was given up, a failure instead. */
  #sendWithLease(lease: Lease, length: number): number {
    const written = lease.write(this.fd, this.#address, length);
    if (written !== TOO_LATE) return written;
    this.#view.setUint32(0, OUT_HEADER_BYTES, true);
    this.#view.setInt32(4, -errno.EIO, true);
    return sys.write(this.fd, this.#address, OUT_HEADER_BYTES);
  }

  /** Puts `fuse_entry_out` at `offset` of the body. */
  entry(offset: number, node: Node, stat: Stat): void {
    const at = OUT_HEADER_BYTES + offset;
    writeU53(this.#view, at + entryOut.nodeid, node.nodeid);
    writeU53(this.#view, at + entryOut.generation, node.generation);
    writeU53(this.#view, at + entryOut.entryValid, VALID_SECONDS);
    writeU53(this.#view, at + entryOut.attrValid, VALID_SECONDS);
    this.#view.setUint32(at + entryOut.entryValidNsec, 0, true);
    this.#view.setUint32(at + entryOut.attrValidNsec, 0, true);
    this.#attributes(at + entryOut.attr, stat);
  }

  /** Answers a lookup of a name that does not exist, to be remembered by the kernel. */
  noEntry(request: Request): void {
    this.#reply.fill(0, OUT_HEADER_BYTES, OUT_HEADER_BYTES + entryOut.bytes);
    writeU53(this.#view, OUT_HEADER_BYTES + entryOut.entryValid, VALID_SECONDS);
    this.success(request, entryOut.bytes);
  }

  /** Puts `fuse_attr_out` at the start of the body. */
  attributes(stat: Stat): void {
    writeU53(this.#view, OUT_HEADER_BYTES + attrOut.attrValid, VALID_SECONDS);
    writeU53(this.#view, OUT_HEADER_BYTES + attrOut.attrValidNsec, 0);
    this.#attributes(OUT_HEADER_BYTES + attrOut.attr, stat);
  }

  #attributes(at: number, stat: Stat): void {
    const view = this.#view;
    const from = stat.view;
    copy64(from, 32, view, at + attr.ino);
    copy64(from, 40, view, at + attr.size);
    copy64(from, 48, view, at + attr.blocks);
    copy64(from, 64, view, at + attr.atime);
    copy64(from, 112, view, at + attr.mtime);
    copy64(from, 96, view, at + attr.ctime);
    view.setUint32(at + attr.atimeNsec, stat.atimeNsec, true);
    view.setUint32(at + attr.mtimeNsec, stat.mtimeNsec, true);
    view.setUint32(at + attr.ctimeNsec, stat.ctimeNsec, true);
    view.setUint32(at + attr.mode, stat.mode, true);
    view.setUint32(at + attr.nlink, stat.nlink, true);
    view.setUint32(at + attr.uid, stat.uid, true);
    view.setUint32(at + attr.gid, stat.gid, true);
    view.setUint32(at + attr.rdev, packDevice(stat), true);
    view.setUint32(at + attr.blksize, stat.blksize, true);
    view.setUint32(at + attr.flags, 0, true);
  }
}

function copy64(from: DataView, fromAt: number, to: DataView, toAt: number): void {
  to.setUint32(toAt, from.getUint32(fromAt, true), true);
  to.setUint32(toAt + 4, from.getUint32(fromAt + 4, true), true);
}
