// What a filter leaves to its successor: one piece of memory that lives as long as somebody holds its
// descriptor (the service does). It has the ring, the log of known objects and open files
// (state-log.ts), what is being carried out (intent.ts), and notes of the process.
//
//       0  head: what this is, flags of the capture thread, tails of the log, per directory: see `mountWord`
//   4 KiB  positions of the ring
//   8 KiB  intents, one for each directory
//  16 KiB  the process's note, twice
//   1 MiB  index of the records that were put aside on disk
//  16 MiB  data of the ring
//   2 GiB  log, and at 6 GiB the other half of it: one is in use, the next snapshot goes to the other
//
// Nothing of it is ever read after a crash of the machine. Everything is written so that a process that
// dies at any instruction leaves either the old or the new state: what is new becomes valid by one store.
import { assert } from '../core/assert.ts';
import { assertCapacity, type RingMemory } from '../core/byte-ring.ts';
import { sys } from '../linux/libc.ts';
import { createMemory, mapMemory } from '../linux/shared-memory.ts';

const MAGIC = 0x31465355;
/** Enough for what tells whether the rest can be understood. */
const HEAD_WORDS = 16;
/** To be raised with every change of the layout, the log or the note: others then begin anew. */
const VERSION = 1;

export const MOUNTS_MAX = 64;
const PAGE = 4096;
const MiB = 1024 * 1024;
const POSITIONS_AT = PAGE;
export const INTENTS_AT = 2 * PAGE;
export const INTENT_BYTES = 64;
const NOTE_AT = 4 * PAGE;
const NOTE_BYTES = 2 * PAGE;
const CONTROL_BYTES = 8 * PAGE;
const SPILL_AT = MiB;
export const SPILL_INDEX_BYTES = 4 * MiB;
const RING_AT = 16 * MiB;
const LOG_AT = 2 * 1024 * MiB;
const LOG_STRIDE = 4 * 1024 * MiB;
const TOTAL_BYTES = LOG_AT + 2 * LOG_STRIDE;
/** Largest log; beyond it there is no successor. */
export const LOG_BYTES_MAX = 1024 * MiB;

/** Words of the head. */
export const word = {
  magic: 0,
  version: 1,
  ringBytes: 2,
  /** The capture thread records. */
  enabled: 4,
  /** A scan was begun and has not ended. */
  scanning: 5,
  /** Half of the log that is in use. */
  logHalf: 6,
  /** Not everything is in the log: nobody can go on from here. */
  logBroken: 7,
  /** Bytes of each half. */
  logTail: 8,
  /** Which of the two notes is valid: 0 none, 1, 2. */
  note: 10,
  /** Two words, one for each. */
  noteBytes: 11,
  /** The stream lacks something that only a scan brings, and that one was not begun yet. */
  lacking: 13,
  mounts: 32,
} as const;

/** Words of each directory. */
export const mountWord = {
  info: 0,
  /** Request whose traces in log and ring were complete last. */
  settledLow: 1,
  settledHigh: 2,
  /** It is settled once the log is so long. */
  settledTail: 3,
  count: 8,
} as const;
/** Bits of `info`. */
export const mountInfo = { initialised: 1, passthrough: 2, resend: 4 } as const;

/** First word of a directory's. */
export const mountBase = (index: number): number => word.mounts + index * mountWord.count;

/** The shared memory of one filter as one thread sees it. */
export class SharedState {
  readonly fd: number;
  readonly control: ArrayBuffer;
  readonly words: Int32Array;

  private constructor(fd: number) {
    this.fd = fd;
    this.control = mapMemory(fd, 0, CONTROL_BYTES);
    this.words = new Int32Array(this.control);
  }

  /** New memory. Errors: SHARED_MEMORY_UNAVAILABLE. */
  static create(name: string, ringBytes: number): SharedState {
    assertCapacity(ringBytes);
    const state = new SharedState(createMemory(`understudy:${name}`, TOTAL_BYTES));
    state.words[word.ringBytes] = ringBytes;
    state.words[word.version] = VERSION;
    Atomics.store(state.words, word.magic, MAGIC);
    return state;
  }

  /** The memory behind `fd`, which {@link create} made in this process or in another one. */
  static open(fd: number): SharedState {
    return new SharedState(fd);
  }

  /**
   * Why this version cannot go on from the memory behind `fd`, as a clause; null: it can. Nothing is mapped for the
   * question.
   */
  static whyUnusable(fd: number): string | null {
    const head = Buffer.alloc(HEAD_WORDS * 4);
    const read = sys.pread(fd, head, head.length, 0);
    if (read !== head.length) return 'its memory cannot be read';
    if (head.readInt32LE(4 * word.magic) !== MAGIC) return 'its memory is of something else';
    const version = head.readInt32LE(4 * word.version);
    if (version !== VERSION)
      return `its memory has layout ${version}, and this version reads ${VERSION}`;
    if (head.readInt32LE(4 * word.logBroken) !== 0) return 'more is open than its log has room for';
    return null;
  }

  /** Whether this version can go on from what is in there. */
  get isUsable(): boolean {
    const { words } = this;
    return (
      words[word.magic] === MAGIC && words[word.version] === VERSION && words[word.logBroken] === 0
    );
  }

  get ringBytes(): number {
    return this.words[word.ringBytes] ?? 0;
  }

  /** The ring; `control`: the wake-ups of this process. */
  ring(control: SharedArrayBuffer): RingMemory {
    return {
      control,
      data: mapMemory(this.fd, RING_AT, this.ringBytes),
      positions: mapMemory(this.fd, POSITIONS_AT, PAGE),
    };
  }

  /** The index of records on disk; what it means is its user's business. */
  spillIndex(): ArrayBuffer {
    return mapMemory(this.fd, SPILL_AT, SPILL_INDEX_BYTES);
  }

  /** The first `bytes` of one half of the log. */
  log(half: number, bytes: number): ArrayBuffer {
    return mapMemory(this.fd, logOffset(half), bytes);
  }

  /** The process's note to its successor: any value that survives JSON. */
  get note(): unknown {
    const which = Atomics.load(this.words, word.note);
    if (which === 0) return undefined;
    const bytes = this.words[word.noteBytes + which - 1] ?? 0;
    const at = NOTE_AT + (which - 1) * NOTE_BYTES;
    return JSON.parse(Buffer.from(this.control, at, bytes).toString('utf8'));
  }
  set note(value: unknown) {
    const which = Atomics.load(this.words, word.note) === 1 ? 2 : 1;
    const text = Buffer.from(JSON.stringify(value));
    assert(text.length <= NOTE_BYTES, 'the note of a filter has room');
    text.copy(Buffer.from(this.control, NOTE_AT + (which - 1) * NOTE_BYTES, NOTE_BYTES));
    this.words[word.noteBytes + which - 1] = text.length;
    Atomics.store(this.words, word.note, which);
  }
}

export const logOffset = (half: number): number => LOG_AT + half * LOG_STRIDE;
