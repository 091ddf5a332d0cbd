// The capture thread's loop: reads requests of all mounts of a group and serves them one by one.
//
// Requests are read straight into the ring, so that data written by applications is already where
// its record belongs. When the ring is full, requests are read into a spare buffer instead: reads
// and other calls that change nothing go on, writes wait for room.
import { assert } from '../core/assert.ts';
import { PATH_BYTES_MAX } from '../journal/record.ts';
import { errno, O, POLLIN } from '../linux/constants.ts';
import { addressOf, sys } from '../linux/libc.ts';
import { populate } from '../linux/shared-memory.ts';
import type { Capture } from './capture.ts';
import { Request } from './channel.ts';
import { MAX_WRITE_BYTES, op, openIn } from './fuse-protocol.ts';
import type { Lease } from './lease.ts';
import type { Mount } from './mount.ts';
import * as attributes from './operations/attributes.ts';
import * as directory from './operations/directory.ts';
import * as filesystem from './operations/filesystem.ts';
import * as io from './operations/io.ts';
import * as lookup from './operations/lookup.ts';
import * as namespace from './operations/namespace.ts';
import * as open from './operations/open.ts';
import { answerSettled } from './operations/settled.ts';
import { rename } from './operations/rename.ts';
import { SpinPredictor } from './spin-predictor.ts';
import * as xattr from './operations/xattr.ts';

const REQUEST_BYTES = MAX_WRITE_BYTES + 4096;
/** Room for a request and for the paths behind the data of a write. */
const RESERVE_BYTES = REQUEST_BYTES + 2 * PATH_BYTES_MAX + 8;
const ENOTTY = 25;
/** FUSE_NOTIFY_RESEND (Linux 6.9): requests that were read and not answered come again. */
const NOTIFY_RESEND = 7;
/** Pages of the ring are made present in steps of so many bytes (a power of two). */
const POPULATE_SHIFT = 21;

type Operation = (mount: Mount, request: Request) => void;

const operations = new Map<number, Operation>([
  [op.LOOKUP, lookup.lookup],
  [op.FORGET, lookup.forget],
  [op.BATCH_FORGET, lookup.batchForget],
  [op.GETATTR, attributes.getattr],
  [op.SETATTR, attributes.setattr],
  [op.READLINK, namespace.readlink],
  [op.SYMLINK, namespace.symlink],
  [op.MKNOD, namespace.mknod],
  [op.MKDIR, namespace.mkdir],
  [op.UNLINK, namespace.unlink],
  [op.RMDIR, namespace.rmdir],
  [op.RENAME, rename],
  [op.RENAME2, rename],
  [op.LINK, namespace.link],
  [op.OPEN, open.open],
  [op.CREATE, open.create],
  [op.TMPFILE, open.tmpfile],
  [op.RELEASE, open.release],
  [op.READ, io.read],
  [op.WRITE, io.write],
  [op.FSYNC, io.fsync],
  [op.FALLOCATE, io.fallocate],
  [op.LSEEK, io.lseek],
  [op.COPY_FILE_RANGE, io.copyFileRange],
  [op.OPENDIR, directory.opendir],
  [op.READDIR, directory.readdir],
  [op.READDIRPLUS, directory.readdirplus],
  [op.RELEASEDIR, directory.releasedir],
  [op.FSYNCDIR, directory.fsyncdir],
  [op.SETXATTR, xattr.setxattr],
  [op.GETXATTR, xattr.getxattr],
  [op.LISTXATTR, xattr.listxattr],
  [op.REMOVEXATTR, xattr.removexattr],
  [op.STATFS, filesystem.statfs],
  [op.INIT, filesystem.init],
  [op.IOCTL, (mount, request) => mount.channel.result(request, -ENOTTY)],
  [op.DESTROY, (mount, request) => mount.channel.result(request, 0)],
]);
const table: (Operation | undefined)[] = Array.from({ length: 64 }, (_, opcode) =>
  operations.get(opcode),
);

/** Operations that change something or confirm a change: they need the lease. OPEN: see below. */
const mutating = new Set<number>([
  op.SETATTR,
  op.SYMLINK,
  op.MKNOD,
  op.MKDIR,
  op.UNLINK,
  op.RMDIR,
  op.RENAME,
  op.RENAME2,
  op.LINK,
  op.CREATE,
  op.TMPFILE,
  op.WRITE,
  op.FSYNC,
  op.FALLOCATE,
  op.COPY_FILE_RANGE,
  op.FSYNCDIR,
  op.SETXATTR,
  op.REMOVEXATTR,
]);
const mutates: boolean[] = Array.from({ length: 64 }, (_, opcode) => mutating.has(opcode));

function needsLease(request: Request): boolean {
  if (request.opcode === op.OPEN) return (request.u32(openIn.flags) & O.TRUNC) !== 0;
  return mutates[request.opcode] === true;
}

/** What the process before has settled needs an answer only, which confirms it as well. */
function serve(operation: Operation, mount: Mount, request: Request): void {
  if (!request.isResent || !answerSettled(mount, request)) operation(mount, request);
}

/** A request that ends a sleep is noticed so much later than one that is looked for. */
const WAKE_UP_MS = 0.05;

export interface DriverOptions {
  readonly mounts: readonly Mount[];
  readonly capture: Capture;
  /** Descriptor that ends a sleep when another thread has a message. */
  readonly wakeFd: number;
  /** How long to look for the next request before going to sleep, µs. */
  readonly spinMicroseconds: number;
  /** Without it this node may always write. */
  readonly lease: Lease | undefined;
}

export class Driver {
  readonly #live: Mount[];
  readonly #capture: Capture;
  readonly #inRing: Request;
  readonly #spare: Request;
  readonly #spinMs: number;
  readonly #spin = new SpinPredictor();
  #lastOpcode = 0;
  readonly #pollFds: Uint8Array;
  readonly #pollAddress: number;
  readonly #wakeFd: number;
  readonly #lease: Lease | undefined;
  readonly #drain = Buffer.alloc(8);
  /** Per 2 MiB of the ring: its pages are present. */
  readonly #populated: Uint8Array;

  constructor(options: DriverOptions) {
    this.#live = [...options.mounts];
    this.#capture = options.capture;
    this.#inRing = new Request(options.capture.ring.bytes, options.capture.ring.view);
    this.#populated = new Uint8Array((options.capture.ring.capacity >>> POPULATE_SHIFT) + 1);
    // Its pages have to be there as well: see `#populate`.
    const spare = new Uint8Array(new ArrayBuffer(REQUEST_BYTES)).fill(1);
    this.#spare = new Request(spare, new DataView(spare.buffer));
    this.#spinMs = options.spinMicroseconds / 1000;
    this.#wakeFd = options.wakeFd;
    this.#lease = options.lease;
    this.#pollFds = new Uint8Array(new ArrayBuffer(8 * (options.mounts.length + 1)));
    this.#pollAddress = addressOf(this.#pollFds);
  }

  /** False when every directory has been unmounted. */
  get alive(): boolean {
    return this.#live.length > 0;
  }

  /**
   * Asks the kernel for the requests that another process read and did not answer. To be called before the
   * first request is read: they come before all others, and marked.
   */
  resend(): void {
    const bytes = new Uint8Array(new ArrayBuffer(16));
    const view = new DataView(bytes.buffer);
    view.setUint32(0, 16, true);
    view.setInt32(4, NOTIFY_RESEND, true);
    for (const { channel } of this.#live) {
      const written = sys.write(channel.fd, bytes, 16);
      assert(
        written === 16 || written === -errno.ENODEV || written === -errno.ENOTCONN,
        `the kernel sends requests again (${written})`,
      );
    }
  }

  /** Serves what is there, at most `limit` requests; the number served. */
  serve(limit: number): number {
    let served = 0;
    for (let i = this.#live.length - 1; i >= 0; i -= 1) {
      const mount = this.#live[i];
      if (mount === undefined) continue;
      for (let n = 0; n < limit; n += 1) {
        const result = this.#serveOne(mount);
        if (result === 0) break;
        if (result < 0) {
          this.#live.splice(i, 1);
          break;
        }
        served += 1;
      }
    }
    return served;
  }

  /** 1 when a request was served, 0 when there was none, -1 when the mount is gone. */
  #serveOne(mount: Mount): number {
    const at = this.#capture.ring.reserve(RESERVE_BYTES);
    const request = at >= 0 ? this.#inRing : this.#spare;
    const from = Math.max(at, 0);
    if (at >= 0) this.#populate(request, at);
    const length = sys.read(mount.channel.fd, request.addressAt(from), REQUEST_BYTES);
    if (length > 0) {
      request.load(from, length);
      this.#lastOpcode = request.opcode;
      this.#dispatch(mount, request);
      return 1;
    }
    if (length === -errno.EAGAIN || length === -errno.EINTR || length === -errno.ENOENT) return 0;
    assert(
      length === -errno.ENODEV || length === 0,
      `requests can be read from the kernel (${length})`,
    );
    return -1;
  }

  /**
   * A process that is killed while the kernel hands a request to absent pages would take the request with
   * it: the application would get an error.
   */
  #populate(request: Request, at: number): void {
    const first = at >>> POPULATE_SHIFT;
    const last = (at + REQUEST_BYTES) >>> POPULATE_SHIFT;
    if (this.#populated[first] === 1 && this.#populated[last] === 1) return;
    const { capacity } = this.#capture.ring;
    for (const step of [first, last]) {
      const from = step << POPULATE_SHIFT;
      const bytes = Math.min(1 << POPULATE_SHIFT, capacity - from);
      if (bytes > 0) populate(request.addressAt(from), bytes);
      this.#populated[step] = 1;
    }
  }

  #dispatch(mount: Mount, request: Request): void {
    this.#perform(mount, request);
    this.#capture.muted = false;
    // Of those that have no answer.
    this.#capture.ring.flush();
    mount.log.flush();
  }

  #perform(mount: Mount, request: Request): void {
    const operation = table[request.opcode];
    if (operation === undefined) mount.channel.result(request, -errno.ENOSYS);
    else if (this.#lease !== undefined && needsLease(request))
      this.#serveWithLease(this.#lease, operation, mount, request);
    else serve(operation, mount, request);
  }

  /** Requests behind one that waits wait too: a node without a lease must not serve. */
  #serveWithLease(lease: Lease, operation: Operation, mount: Mount, request: Request): void {
    if (!lease.wait()) return mount.channel.refuse(request);
    mount.channel.lease = lease;
    serve(operation, mount, request);
    mount.channel.lease = undefined;
  }

  /** Waits for a request or a wake-up, at most `timeoutMs`; looks for a while before sleeping when that pays. */
  idle(timeoutMs: number): void {
    this.#capture.ring.wake();
    const last = this.#lastOpcode;
    const from = performance.now();
    if (!this.#spin.pays(last)) {
      this.#sleep(timeoutMs);
      this.#spin.learn(last, performance.now() - from < this.#spinMs + WAKE_UP_MS);
      return;
    }
    let isSoon = false;
    while (!isSoon && performance.now() < from + this.#spinMs) isSoon = this.serve(1) > 0;
    this.#spin.learn(last, isSoon);
    if (!isSoon) this.#sleep(timeoutMs);
  }

  #sleep(timeoutMs: number): void {
    const view = new DataView(this.#pollFds.buffer);
    this.#live.forEach((mount, index) => {
      view.setInt32(index * 8, mount.channel.fd, true);
      view.setInt16(index * 8 + 4, POLLIN, true);
    });
    const last = this.#live.length * 8;
    view.setInt32(last, this.#wakeFd, true);
    view.setInt16(last + 4, POLLIN, true);
    sys.poll(this.#pollAddress, this.#live.length + 1, timeoutMs);
    if (view.getInt16(last + 6, true) !== 0) sys.read(this.#wakeFd, this.#drain, 8);
  }
}
