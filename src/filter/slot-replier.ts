// Answers the kernel for finished slots of the commit gate.
import { assert } from '../core/assert.ts';
import { errno } from '../linux/constants.ts';
import { addressOf, sys } from '../linux/libc.ts';
import { TOO_LATE } from '../linux/timed-write.ts';
import { base, LOCAL_DONE, REMOTE_DONE, slot } from './gate-memory.ts';
import type { Lease } from './lease.ts';

/** Writes replies of finished slots; each thread has its own. */
export class SlotReplier {
  readonly #words: Int32Array;
  readonly #lease: Lease | undefined;
  readonly #reply: Uint8Array;
  readonly #view: DataView;
  readonly address: number;

  constructor(words: Int32Array, bodyBytes: number, lease: Lease | undefined) {
    this.#words = words;
    this.#lease = lease;
    this.#reply = new Uint8Array(new ArrayBuffer(16 + bodyBytes));
    this.#view = new DataView(this.#reply.buffer);
    this.address = addressOf(this.#reply);
  }

  /** Marks one part of the slot done; true when it was the last, and the caller has to answer. */
  done(index: number, part: number): boolean {
    const old = Atomics.or(this.#words, base(index) + slot.done, part);
    const both = LOCAL_DONE | REMOTE_DONE;
    return (old | part) === both && old !== both;
  }

  /**
   * Answers a commit of which both parts are done. False: it has to be repeated, because there is no
   * lease; with `mayBlock` it waits for one instead.
   */
  answerCommit(index: number, mayBlock: boolean): boolean {
    const at = base(index);
    const refused = this.#words[at + slot.refused] === 1;
    this.#prepare(index, refused ? -errno.EIO : (this.#words[at + slot.result] ?? 0), 0);
    const lease = this.#view.getInt32(4, true) === 0 ? this.#lease : undefined;
    if (lease !== undefined) {
      const fuseFd = this.#words[at + slot.fuseFd] ?? -1;
      const written = mayBlock
        ? lease.write(fuseFd, this.address, 16)
        : lease.tryWrite(fuseFd, this.address, 16);
      if (written !== TOO_LATE) {
        this.#free(index, written);
        return true;
      }
      if (!mayBlock && !lease.isGivenUp) return false;
      this.#view.setInt32(4, -errno.EIO, true);
    }
    this.#send(index, 0);
    return true;
  }

  /** Answers a read with `bodyBytes` of body or a negative errno. */
  answerRead(index: number, result: number): void {
    const bodyBytes = Math.max(result, 0);
    this.#prepare(index, Math.min(result, 0), bodyBytes);
    this.#send(index, bodyBytes);
  }

  #prepare(index: number, error: number, bodyBytes: number): void {
    const at = base(index);
    this.#view.setUint32(0, 16 + bodyBytes, true);
    this.#view.setInt32(4, error, true);
    this.#view.setInt32(8, this.#words[at + slot.uniqueLow] ?? 0, true);
    this.#view.setInt32(12, this.#words[at + slot.uniqueHigh] ?? 0, true);
  }

  #send(index: number, bodyBytes: number): void {
    const fuseFd = this.#words[base(index) + slot.fuseFd] ?? -1;
    this.#free(index, sys.write(fuseFd, this.address, 16 + bodyBytes));
  }

  /** After an answer, of which `written` is the result. */
  #free(index: number, written: number): void {
    Atomics.store(this.#words, base(index) + slot.used, 0);
    assert(
      written >= 0 ||
        written === -errno.ENOENT ||
        written === -errno.ENODEV ||
        written === -errno.EBADF,
      `the kernel takes a deferred reply (${written})`,
    );
  }
}
