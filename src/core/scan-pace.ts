// How far a first copy or resync may be ahead of what was sent: a shared cell between the sender,
// who knows what has left, and the capture thread, whose scanner waits.
//
// Everything goes through one stream in one order, so a change that an application makes now waits
// behind every chunk that the scanner has put there before. With a bandwidth limit that wait is the
// limit's work, and this bounds it. The other way round, it tells the sender how much of what the standby
// asks for still waits for the scanner.
//
//   0  ring position (modulo 2^32) behind the last record that was sent
//   1  bytes that the scanner may be ahead of it; 0: as far as the ring allows
//   2  1: what is to be sent next lies on disk, which is ahead enough
//   3  needs of the standby that are dealt with (modulo 2^32)
const SENT = 0;
const LEAD = 1;
const BEHIND = 2;
const TAKEN = 3;
const WORDS = 4;
const CHUNK_BYTES_MIN = 16_384;

export class ScanPace {
  readonly memory: SharedArrayBuffer;
  readonly #words: Int32Array;

  constructor(memory = new SharedArrayBuffer(WORDS * 4)) {
    this.memory = memory;
    this.#words = new Int32Array(memory);
  }

  /** Sender: everything before ring position `sent` has left. */
  publish(sent: number, isBehind: boolean): void {
    Atomics.store(this.#words, SENT, sent | 0);
    Atomics.store(this.#words, BEHIND, isBehind ? 1 : 0);
  }

  /** Sender: lets the scanner be `bytes` ahead; 0: as far as it likes. */
  setLead(bytes: number): void {
    Atomics.store(this.#words, LEAD, Math.min(bytes, 0x7fff_ffff));
  }

  /** Scanner: true when it has to wait. `head`: ring position behind the last record. */
  isAhead(head: number): boolean {
    const lead = Atomics.load(this.#words, LEAD);
    if (lead === 0) return false;
    if (Atomics.load(this.#words, BEHIND) === 1) return true;
    return (head - Atomics.load(this.#words, SENT)) >>> 0 >= lead;
  }

  /** Scanner: `count` needs more are dealt with, or do not matter any more. */
  needsTaken(count: number): void {
    Atomics.add(this.#words, TAKEN, count);
  }

  /** Sender: how many were dealt with so far (modulo 2^32). */
  get needsTakenCount(): number {
    return Atomics.load(this.#words, TAKEN);
  }

  /** Scanner: how much contents may be put into one record. */
  chunkBytes(max: number): number {
    const lead = Atomics.load(this.#words, LEAD);
    return lead === 0 ? max : Math.min(max, Math.max(CHUNK_BYTES_MIN, lead >>> 1));
  }
}
