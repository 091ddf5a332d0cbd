// Descriptors kept by the kernel itself: sent with SCM_RIGHTS through a pair of sockets, and never
// received. They stay open as long as somebody has the sockets, whatever becomes of who sent them. So a file
// without a name outlives the process that had it open, and is gone when that is wanted.
//
// The queue of the sockets is the store. What is first can be looked at without taking it out; what is
// further behind is reached by sending what is before it to the end once more. A process that dies in
// the middle of that leaves something twice, never nothing. Since that takes time for all of the queue, what is to be
// removed from the middle gathers until it is a share of the queue, or until it is time again ({@link DescriptorStore.sweep}).
import { assert } from '../core/assert.ts';
import { errno } from './constants.ts';
import { pin, sys } from './libc.ts';
import { setIntOption } from './sockets.ts';

const AF_UNIX = 1;
const SOCK_SEQPACKET = 5;
const SOCK_NONBLOCK_CLOEXEC = 0o2004000;
const SOL_SOCKET = 1;
const SO_SNDBUFFORCE = 32;
const SCM_RIGHTS = 1;
const MSG_PEEK = 2;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
/** Room for more than twice as many as are ever kept: what moves needs some, and a full queue could not be read. */
const SEND_BUFFER_BYTES = 8 * 1024 * 1024;
const STORED_MAX = 8192;

/** struct msghdr, iovec, cmsghdr with one descriptor, and what a message says. */
const at = { iov: 16, iovCount: 24, control: 32, controlBytes: 40, bytes: 56 } as const;
const CONTROL_BYTES = 24;
const CONTROL_LENGTH = 20;
const MESSAGE_BYTES = 32;
const MARK = -1;
/** What is to be removed is removed at once when it is so large a share of the queue. */
const SWEPT_SHARE = 8;
/** Sweeping takes one part in so many of the time. */
const SWEEP_TIME_SHARE = 10;

/** Both ends of a store. */
export interface StoreSockets {
  readonly store: number;
  readonly storeEnd: number;
}

/** What a descriptor stands for: two numbers of its owner, and a third one for a check. */
export interface StoredKey {
  readonly space: number;
  readonly id: number;
  readonly check: number;
}

export interface Stored extends StoredKey {
  /** A copy of this process, close-on-exec. */
  readonly fd: number;
}

/** Makes the sockets of a store. Negative errno on failure. */
export function createStoreSockets(): StoreSockets | number {
  const pair = Buffer.alloc(8);
  const made = sys.socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK_CLOEXEC, 0, pair);
  if (made < 0) return made;
  const sockets = { store: pair.readInt32LE(0), storeEnd: pair.readInt32LE(4) };
  setIntOption(sockets.store, SOL_SOCKET, SO_SNDBUFFORCE, SEND_BUFFER_BYTES);
  return sockets;
}

export class DescriptorStore {
  readonly #sockets: StoreSockets;
  /** What is in the queue, the first one first. */
  #queue: StoredKey[] = [];
  /** Names of what is in the queue and to be removed. */
  readonly #unwanted = new Set<string>();
  #nextSweepMs = 0;
  readonly #memory = Buffer.from(new ArrayBuffer(at.bytes + 16 + CONTROL_BYTES + MESSAGE_BYTES));
  readonly #address = pin(this.#memory);
  readonly #message = at.bytes + 16 + CONTROL_BYTES;

  constructor(sockets: StoreSockets) {
    this.#sockets = sockets;
  }

  get size(): number {
    return this.#queue.length;
  }

  /** Keeps what `fd` refers to. Returns 0 or a negative errno: EAGAIN when there is no room. */
  put(key: StoredKey, fd: number): number {
    if (this.#unwanted.has(nameOf(key))) this.#removeUnwanted();
    if (this.#queue.length >= STORED_MAX) this.#removeUnwanted();
    if (this.#queue.length >= STORED_MAX) return -errno.EAGAIN;
    const sent = this.#send(key, fd, 0);
    if (sent < 0) return sent;
    this.#queue.push(key);
    return 0;
  }

  /** Keeps it no longer; what is behind others in the queue stays open until it is its turn. */
  remove(space: number, id: number): void {
    const isIt = (key: StoredKey): boolean => key.space === space && key.id === id;
    if (!this.#queue.some(isIt)) return;
    this.#unwanted.add(nameOf({ space, id }));
    if (this.#unwanted.size * SWEPT_SHARE >= this.#queue.length) this.#removeUnwanted();
    else this.#dropUnwanted();
  }

  /** Removes what waits for that, unless much time was spent on it lately. To be called again and again. */
  sweep(): void {
    if (this.#unwanted.size === 0) return;
    const from = performance.now();
    if (from < this.#nextSweepMs) return;
    this.#removeUnwanted();
    const now = performance.now();
    this.#nextSweepMs = now + (now - from) * SWEEP_TIME_SHARE;
  }

  /** As many as are unwanted at the front of the queue. */
  #dropUnwanted(): void {
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      if (!this.#unwanted.delete(nameOf(first))) return;
      this.#drop();
    }
  }

  #removeUnwanted(): void {
    if (this.#unwanted.size === 0) return;
    for (let left = this.#queue.length; left > 0; left -= 1) {
      const first = this.#queue[0];
      if (first !== undefined && this.#unwanted.has(nameOf(first))) this.#drop();
      else this.#rotate();
    }
    this.#unwanted.clear();
  }

  /** Copies of everything that is kept, also by another process before. */
  all(): Stored[] {
    const mark = Math.random();
    if (this.#send({ space: MARK, id: MARK, check: MARK }, -1, mark) < 0) return [];
    const found: Stored[] = [];
    const known = new Set<string>();
    this.#queue = [];
    this.#unwanted.clear();
    for (;;) {
      const first = this.#receive(MSG_PEEK);
      assert(first !== undefined, 'the mark is in the store');
      if (first.space === MARK) {
        this.#receive(0);
        if (first.mark === mark) return found;
        continue;
      }
      const { space, id, check, fd } = first;
      const isKnown = known.has(nameOf(first));
      known.add(nameOf(first));
      // Behind the mark, where it is not found again, and only then taken from here.
      if (!isKnown && this.#send({ space, id, check }, fd, 0) >= 0) {
        this.#queue.push({ space, id, check });
        found.push({ space, id, check, fd });
      } else sys.close(fd);
      this.#drop(false);
    }
  }

  #rotate(): void {
    const first = this.#receive(MSG_PEEK);
    if (first === undefined) return;
    const { space, id, check, fd } = first;
    const sent = this.#send({ space, id, check }, fd, 0);
    sys.close(fd);
    if (sent < 0) return;
    this.#queue.push({ space, id, check });
    this.#drop();
  }

  /** Takes the first one out of the queue. */
  #drop(isListed = true): void {
    const first = this.#receive(0);
    if (first !== undefined && first.fd >= 0) sys.close(first.fd);
    if (isListed) this.#queue.shift();
  }

  #prepare(withControl: boolean): void {
    const memory = this.#memory;
    memory.fill(0, 0, at.bytes + 16);
    memory.writeBigUInt64LE(BigInt(this.#address + at.bytes), at.iov);
    memory.writeUInt32LE(1, at.iovCount);
    memory.writeBigUInt64LE(BigInt(this.#address + this.#message), at.bytes);
    memory.writeUInt32LE(MESSAGE_BYTES, at.bytes + 8);
    if (!withControl) return;
    memory.writeBigUInt64LE(BigInt(this.#address + at.bytes + 16), at.control);
    memory.writeUInt32LE(CONTROL_BYTES, at.controlBytes);
  }

  #send({ space, id, check }: StoredKey, fd: number, mark: number): number {
    this.#prepare(fd >= 0);
    const memory = this.#memory;
    const control = at.bytes + 16;
    memory.fill(0, control, control + CONTROL_BYTES);
    memory.writeUInt32LE(CONTROL_LENGTH, control);
    memory.writeInt32LE(SOL_SOCKET, control + 8);
    memory.writeInt32LE(SCM_RIGHTS, control + 12);
    memory.writeInt32LE(fd, control + 16);
    [space, id, check, mark].forEach((value, index) =>
      memory.writeDoubleLE(value, this.#message + 8 * index),
    );
    return sys.sendmsg(this.#sockets.store, this.#address, 0);
  }

  #receive(flags: number): (Stored & { readonly mark: number }) | undefined {
    this.#prepare(true);
    const memory = this.#memory;
    const control = at.bytes + 16;
    memory.writeInt32LE(-1, control + 16);
    if (sys.recvmsg(this.#sockets.storeEnd, this.#address, flags | MSG_CMSG_CLOEXEC) < 0)
      return undefined;
    const hasDescriptor = memory.readUInt32LE(at.controlBytes) >= CONTROL_LENGTH;
    const number = (index: number): number => memory.readDoubleLE(this.#message + 8 * index);
    return {
      space: number(0),
      id: number(1),
      check: number(2),
      mark: number(3),
      fd: hasDescriptor ? memory.readInt32LE(control + 16) : -1,
    };
  }
}

const nameOf = ({ space, id }: { space: number; id: number }): string => `${space} ${id}`;
