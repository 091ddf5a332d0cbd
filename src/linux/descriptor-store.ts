// Descriptors kept by the kernel itself: sent with SCM_RIGHTS through a pair of sockets, and never
// received. They stay open as long as somebody has the sockets, whatever becomes of who sent them. So a file
// without a name outlives the process that had it open, and is gone when that is wanted.
//
// The queue of the sockets is the store. What is first can be looked at without taking it out; what is
// further behind is reached by sending what is before it to the end once more. A process that dies in
// the middle of that leaves something twice, never nothing.
import { assert } from '../core/assert.ts';
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
/** Room for several thousand descriptors. */
const SEND_BUFFER_BYTES = 8 * 1024 * 1024;

/** struct msghdr, iovec, cmsghdr with one descriptor, and what a message says. */
const at = { iov: 16, iovCount: 24, control: 32, controlBytes: 40, bytes: 56 } as const;
const CONTROL_BYTES = 24;
const CONTROL_LENGTH = 20;
const MESSAGE_BYTES = 32;
const MARK = -1;

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
  readonly #memory = Buffer.from(new ArrayBuffer(at.bytes + 16 + CONTROL_BYTES + MESSAGE_BYTES));
  readonly #address = pin(this.#memory);
  readonly #message = at.bytes + 16 + CONTROL_BYTES;

  constructor(sockets: StoreSockets) {
    this.#sockets = sockets;
  }

  get size(): number {
    return this.#queue.length;
  }

  /** Keeps what `fd` refers to. Returns 0 or a negative errno. */
  put(key: StoredKey, fd: number): number {
    const sent = this.#send(key, fd, 0);
    if (sent < 0) return sent;
    this.#queue.push(key);
    return 0;
  }

  /** Keeps it no longer. */
  remove(space: number, id: number): void {
    const isIt = (key: StoredKey): boolean => key.space === space && key.id === id;
    let left = this.#queue.length;
    while (left > 0 && this.#queue.some(isIt)) {
      const first = this.#queue[0];
      if (first !== undefined && isIt(first)) this.#drop();
      else this.#rotate();
      left -= 1;
    }
  }

  /** Copies of everything that is kept, also by another process before. */
  all(): Stored[] {
    const mark = Math.random();
    if (this.#send({ space: MARK, id: MARK, check: MARK }, -1, mark) < 0) return [];
    const found: Stored[] = [];
    const known = new Set<string>();
    this.#queue = [];
    for (;;) {
      const first = this.#receive(MSG_PEEK);
      assert(first !== undefined, 'the mark is in the store');
      if (first.space === MARK) {
        this.#receive(0);
        if (first.mark === mark) return found;
        continue;
      }
      const { space, id, check, fd } = first;
      const isKnown = known.has(`${space} ${id}`);
      known.add(`${space} ${id}`);
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
