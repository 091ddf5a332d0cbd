// Ransomware guard: tells mass encryption from ordinary work, from the stream and what the copy still
// has. Pure: files of the copy are looked at through `peek`.
//
// A file counts as *spoilt* when real content (plain, or of a known format) gives way to noise of no
// known format. There are three ways in which programs do that:
//
//   in place      write over existing content                      the old content is in the copy still
//   emptied       truncate, then write                              remembered at the truncate
//   to a new one  create, write noise, then unlink or rename over   the new file is remembered
//
// Some dozens of spoilt files within the window, many more than this group is used to, are an alarm. So
// is the same new ending on dozens of names. A group of videos or of encrypted backups has no content
// that could give way, and no alarm.
import { field, readU53, recordType } from '../../journal/record.ts';
import type { RecordView } from '../applier/record-view.ts';
import { BoundedMap } from './bounded-map.ts';
import type { RewriteAlarm, RewriteLimits } from './rewrite-alarm.ts';
import { type Kind, kindOf, SAMPLE_BYTES, SAMPLE_BYTES_MIN } from './contents.ts';

/** When the primary captured the record at `at`, ms of its wall clock. */
export function capturedMs(view: DataView, at: number): number {
  return readU53(view, at + field.capturedAt) / 1000;
}

/**
 * Reads from a file of the copy into `bytes`; returns how many, or a negative number when there is no such
 * file. `size` of the file is put into `peekedSize`.
 */
export interface Peek {
  read(directory: number, path: string, offset: number, bytes: Uint8Array): number;
  readonly size: number;
}

interface Fresh {
  readonly key: string;
  readonly path: string;
  readonly directory: number;
  kind: Kind;
  size: number;
  isUsed: boolean;
}

interface Spoilt {
  readonly atMs: number;
  readonly sequence: number;
  readonly path: string;
}

const FRESH_MAX = 4096;
const REMEMBERED_MAX = 4096;
/** New files that may stand in for one that goes. */
const PARTNERS_MAX = 64;
/** Looks into the copy for one file, and for all files within a tenth of a second. */
const LOOKS_PER_FILE = 3;
const LOOKS_PER_TICK = 60;
const TICK_MS = 100;
/** What a file begins with is judged up to here. */
const HEADER_BYTES_MAX = 4096;
const ENDINGS_MAX = 64;
/** An alarm begins this many times above what the group is used to. */
const USUAL_FACTOR = 5;
const USUAL_SHARE = 0.1;
const QUIET_AFTER_ALARM_MS = 600_000;
const EXAMPLES_MAX = 3;
/** What people and programs put behind names for honest reasons. */
const HONEST_ENDING =
  /^[.~_-]?(\d+|bak|backup|old|orig|save|saved|tmp|new|gz|xz|zst|bz2|lz4|disabled|done|processed|deleted|part|swp|~)?$/i;

export class RewriteWatch {
  readonly #limits: RewriteLimits;
  readonly #peek: Peek;
  readonly #sample = new Uint8Array(new ArrayBuffer(SAMPLE_BYTES));
  readonly #fresh = new BoundedMap<Fresh>(FRESH_MAX);
  /** Content that was there before a file was emptied. */
  readonly #emptied = new BoundedMap<Kind>(REMEMBERED_MAX);
  /** Looks so far. */
  readonly #looked = new BoundedMap<number>(REMEMBERED_MAX);
  /** Where a file that has moved still is in the copy. */
  readonly #moved = new BoundedMap<string>(REMEMBERED_MAX);
  readonly #counted = new BoundedMap<true>(REMEMBERED_MAX);
  readonly #endings = new BoundedMap<Spoilt[]>(ENDINGS_MAX);
  #spoilt: Spoilt[] = [];
  #nowMs = 0;
  #tick = 0;
  #looksInTick = 0;
  #windowEndsMs = 0;
  #inWindow = 0;
  /** Spoilt files in a window, as this group has them usually. */
  #usual = 0;
  #quietUntilMs = Number.NEGATIVE_INFINITY;
  #alarm: RewriteAlarm | undefined;

  constructor(limits: RewriteLimits, peek: Peek) {
    this.#limits = limits;
    this.#peek = peek;
  }

  /** Whether records of this type matter here at all. */
  static counts(type: number): boolean {
    return RELEVANT.has(type);
  }

  /** Spoilt files so far within the window, for people and tests. */
  get spoiltCount(): number {
    return this.#spoilt.length;
  }

  /** A record that was received and is not applied yet. `nowMs`: wall clock of the primary. */
  examine(record: RecordView, nowMs: number): void {
    this.#advance(nowMs);
    switch (record.type) {
      case recordType.create:
        this.#created(record);
        return;
      case recordType.write:
        this.#written(record);
        return;
      case recordType.truncate:
        this.#truncated(record);
        return;
      case recordType.rename:
        this.#renamed(record);
        return;
      case recordType.unlink:
        this.#unlinked(record);
        return;
      default:
    }
  }

  /** The alarm that the records so far amount to, once. */
  take(): RewriteAlarm | undefined {
    const alarm = this.#alarm;
    this.#alarm = undefined;
    return alarm;
  }

  #advance(nowMs: number): void {
    // A clock that was set back must not open the window again.
    this.#nowMs = Math.max(this.#nowMs, nowMs);
    const { windowMs } = this.#limits;
    if (this.#nowMs < this.#windowEndsMs) return;
    if (this.#windowEndsMs > 0) {
      const passed = Math.min(100, 1 + Math.floor((this.#nowMs - this.#windowEndsMs) / windowMs));
      this.#usual =
        (this.#usual * (1 - USUAL_SHARE) + this.#inWindow * USUAL_SHARE) *
        (1 - USUAL_SHARE) ** (passed - 1);
    }
    this.#inWindow = 0;
    this.#windowEndsMs = this.#nowMs + windowMs;
  }

  #created({ directory, path }: RecordView): void {
    const key = keyOf(directory, path);
    this.#fresh.set(key, { key, path, directory, kind: 'unclear', size: 0, isUsed: false });
  }

  #written(record: RecordView): void {
    const { directory, path, offset, payload } = record;
    const key = keyOf(directory, path);
    const fresh = this.#fresh.get(key);
    if (fresh !== undefined) {
      // A short header may come by itself.
      if (fresh.kind === 'unclear' && offset <= HEADER_BYTES_MAX) fresh.kind = this.#kind(record);
      fresh.size = Math.max(fresh.size, offset + payload.length);
      return;
    }
    if (this.#counted.has(key)) return;
    const before = this.#emptied.get(key);
    if (before !== undefined) {
      const after = this.#kind(record);
      if (after === 'format') this.#emptied.delete(key);
      else if (offset <= HEADER_BYTES_MAX && isLost(before, after)) this.#spoil(record, path);
      return;
    }
    if (payload.length < SAMPLE_BYTES_MIN) return;
    const looks = this.#looked.get(key) ?? 0;
    if (looks >= LOOKS_PER_FILE || !this.#mayLook()) return;
    if (this.#kind(record) !== 'noise') return;
    this.#looked.set(key, looks + 1);
    if (isLost(this.#lookAt(directory, path, offset, payload.length), 'noise')) {
      this.#spoil(record, path);
    }
  }

  #kind({ payload, offset }: RecordView): Kind {
    return kindOf(payload, 0, payload.length, offset === 0);
  }

  #truncated({ directory, path, offset }: RecordView): void {
    const key = keyOf(directory, path);
    if (offset !== 0 || this.#fresh.has(key) || this.#emptied.has(key) || !this.#mayLook()) return;
    const kind = this.#lookAt(directory, path, 0, SAMPLE_BYTES);
    if (kind === 'plain' || kind === 'format') this.#emptied.set(key, kind);
  }

  #renamed(record: RecordView): void {
    const { directory, path, path2 } = record;
    const from = keyOf(directory, path);
    const to = keyOf(directory, path2);
    const fresh = this.#fresh.delete(from);
    if (fresh === undefined) {
      this.#moved.set(to, this.#moved.delete(from) ?? path);
      this.#countEnding(record);
    } else {
      if (fresh.kind === 'noise' && !this.#fresh.has(to) && this.#mayLook()) {
        const kind = this.#lookAt(directory, path2, 0, SAMPLE_BYTES);
        if (isLost(kind, 'noise')) this.#spoil(record, path2);
        fresh.isUsed = true;
      }
      this.#fresh.set(to, { ...fresh, key: to, path: path2 });
    }
    const kind = this.#emptied.delete(from);
    if (kind !== undefined) this.#emptied.set(to, kind);
  }

  #unlinked(record: RecordView): void {
    const { directory, path } = record;
    const key = keyOf(directory, path);
    if (this.#fresh.delete(key) !== undefined || this.#counted.has(key) || !this.#mayLook()) return;
    const partners = this.#fresh
      .newest(PARTNERS_MAX)
      .filter((each) => each.kind === 'noise' && !each.isUsed && isBeside(each, directory, path));
    if (partners.length === 0) return;
    const kind = this.#lookAt(directory, path, 0, SAMPLE_BYTES);
    if (!isLost(kind, 'noise')) return;
    const { size } = this.#peek;
    const partner = partners.find(
      (each) => isNamedAfter(each.path, path) || isAsLarge(each.size, size),
    );
    if (partner === undefined) return;
    partner.isUsed = true;
    this.#spoil(record, path);
  }

  /** The content that the copy has there; `unclear` when there is none. */
  #lookAt(directory: number, path: string, offset: number, length: number): Kind {
    const bytes = this.#sample.subarray(0, Math.min(length, SAMPLE_BYTES));
    let read = this.#peek.read(directory, path, offset, bytes);
    const former = this.#moved.get(keyOf(directory, path));
    if (read < 0 && former !== undefined) read = this.#peek.read(directory, former, offset, bytes);
    return kindOf(bytes, 0, Math.max(0, read), offset === 0);
  }

  /** Looking costs system calls: under heavy load, some records are passed over. */
  #mayLook(): boolean {
    const tick = Math.floor(this.#nowMs / TICK_MS);
    if (tick !== this.#tick) this.#looksInTick = 0;
    this.#tick = tick;
    this.#looksInTick += 1;
    return this.#looksInTick <= LOOKS_PER_TICK;
  }

  #spoil({ directory, sequence }: RecordView, path: string): void {
    const key = keyOf(directory, path);
    if (this.#counted.has(key)) return;
    this.#counted.set(key, true);
    this.#inWindow += 1;
    this.#spoilt = this.#withNew(this.#spoilt, { atMs: this.#nowMs, sequence, path });
    const usual = this.#usual * USUAL_FACTOR;
    if (this.#spoilt.length >= Math.max(this.#limits.files, usual)) this.#raise(this.#spoilt);
  }

  #countEnding({ sequence, path, path2 }: RecordView): void {
    if (!path2.startsWith(path)) return;
    const ending = path2.slice(path.length);
    if (ending.includes('/') || HONEST_ENDING.test(ending)) return;
    const one = { atMs: this.#nowMs, sequence, path: path2 };
    const names = this.#withNew(this.#endings.get(ending) ?? [], one);
    this.#endings.set(ending, names);
    if (names.length >= this.#limits.names) this.#raise(names, ending);
  }

  #withNew(list: readonly Spoilt[], one: Spoilt): Spoilt[] {
    const since = this.#nowMs - this.#limits.windowMs;
    // An alarm needs no more of them than this.
    return [...list.filter(({ atMs }) => atMs >= since).slice(-this.#keptMax), one];
  }

  get #keptMax(): number {
    return 10 * Math.max(this.#limits.files, this.#limits.names);
  }

  #raise(list: readonly Spoilt[], ending?: string): void {
    const [first] = list;
    if (first === undefined || this.#nowMs < this.#quietUntilMs) return;
    this.#quietUntilMs = this.#nowMs + QUIET_AFTER_ALARM_MS;
    this.#alarm = {
      sinceMs: first.atMs,
      sequence: first.sequence - 1,
      count: list.length,
      examples: list.slice(0, EXAMPLES_MAX).map(({ path }) => path),
      ending,
    };
  }
}

const RELEVANT: ReadonlySet<number> = new Set([
  recordType.create,
  recordType.write,
  recordType.truncate,
  recordType.rename,
  recordType.unlink,
]);

const keyOf = (directory: number, path: string): string => `${directory}/${path}`;

/** Real content has given way to noise. */
function isLost(before: Kind, after: Kind): boolean {
  return after === 'noise' && (before === 'plain' || before === 'format');
}

function isBeside(fresh: Fresh, directory: number, path: string): boolean {
  return fresh.directory === directory && directoryOf(fresh.path) === directoryOf(path);
}

const directoryOf = (path: string): string => path.slice(0, path.lastIndexOf('/') + 1);

/** `report.enc` and `report.txt.enc` are named after `report.txt`. */
function isNamedAfter(name: string, original: string): boolean {
  const dot = original.lastIndexOf('.');
  return name.startsWith(dot > original.lastIndexOf('/') ? original.slice(0, dot) : original);
}

/** Encryption adds little. */
function isAsLarge(size: number, original: number): boolean {
  return size >= original && size <= original + 4096 + original / 100;
}
