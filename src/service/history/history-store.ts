// Measures over time, in SQLite, bounded: each value goes into three tiers of growing grain, each of which is kept for its time.
//
//   tier   grain    kept
//   0      10 s     6 hours
//   1      1 min    7 days
//   2      15 min   90 days
//
// A point holds count, sum, least and most of its grain. What is measured waits in memory for a minute, so that an idle node does
// not write all the time. The history may be lost with a disk: nothing depends on it, so a damaged file is put aside.
import { existsSync, renameSync, rmSync } from 'node:fs';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

export interface Tier {
  readonly grainSeconds: number;
  readonly keptSeconds: number;
}

const HOUR = 3600;
const DAY = 24 * HOUR;
export const TIERS: readonly Tier[] = [
  { grainSeconds: 10, keptSeconds: 6 * HOUR },
  { grainSeconds: 60, keptSeconds: 7 * DAY },
  { grainSeconds: 900, keptSeconds: 90 * DAY },
];

const PAGE_BYTES = 4096;
/** Busy groups may need more: then less of the past is kept. */
const FILE_BYTES_MAX = 160 * 1024 * 1024;
const CACHE_KIB = 128;
const WAITING_MAX = 10_000;
const PRUNE_EVERY_MS = 600_000;
/** In a file that has its full size, less and less of the time of each tier is kept, until there is room for what is new. */
const SHARE_STEP = 0.75;
const SHARE_MIN = 0.01;

const SCHEMA = `
CREATE TABLE IF NOT EXISTS series (
  id INTEGER PRIMARY KEY, subject TEXT NOT NULL, measure TEXT NOT NULL, UNIQUE (subject, measure)
);
CREATE TABLE IF NOT EXISTS points (
  series INTEGER NOT NULL, tier INTEGER NOT NULL, at INTEGER NOT NULL,
  n INTEGER NOT NULL, sum REAL NOT NULL, least REAL NOT NULL, most REAL NOT NULL,
  PRIMARY KEY (series, tier, at)
) WITHOUT ROWID;`;

interface Waiting {
  readonly subject: string;
  readonly measure: string;
  readonly atSeconds: number;
  readonly value: number;
}

/** Seconds since the epoch, mean, least, most. */
export type HistoryPoint = readonly [at: number, mean: number, least: number, most: number];

export interface HistoryQuery {
  readonly subject: string;
  readonly measure: string;
  readonly tier: number;
  readonly fromSeconds: number;
  readonly toSeconds: number;
  /** The grain of the answer, a multiple of the tier's. */
  readonly grainSeconds: number;
}

export class HistoryStore {
  readonly #path: string;
  readonly #nowSeconds: () => number;
  readonly #pagesMax: number;
  readonly #series = new Map<string, number>();
  #database: DatabaseSync | undefined;
  #insert: StatementSync | undefined;
  #waiting: Waiting[] = [];
  #prunedMs = Number.NEGATIVE_INFINITY;

  /** `nowSeconds`: wall clock, since the epoch. `bytesMax`: of the file. */
  constructor(path: string, nowSeconds: () => number, bytesMax = FILE_BYTES_MAX) {
    this.#path = path;
    this.#nowSeconds = nowSeconds;
    this.#pagesMax = Math.floor(bytesMax / PAGE_BYTES);
  }

  add(subject: string, measure: string, value: number, atSeconds: number): void {
    if (this.#waiting.length >= WAITING_MAX) return;
    this.#waiting.push({ subject, measure, value, atSeconds });
  }

  /** Writes what waits. Without effect on a disk that is full or has failed. */
  flush(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    if (waiting.length === 0) return;
    try {
      this.#writeAll(waiting);
      if (performance.now() - this.#prunedMs > PRUNE_EVERY_MS) this.#prune(1);
    } catch (thrown) {
      if (!this.#writeInRoom(waiting)) this.#mend(thrown);
    }
  }

  #writeAll(waiting: readonly Waiting[]): void {
    const database = this.#open();
    database.exec('BEGIN IMMEDIATE');
    try {
      for (const one of waiting) this.#write(one);
      database.exec('COMMIT');
    } catch (thrown) {
      // A full file has ended the transaction itself.
      if (database.isTransaction) database.exec('ROLLBACK');
      throw thrown;
    }
  }

  /** Writes in the room that older points leave. False where it is not the size of the file that was in the way. */
  #writeInRoom(waiting: readonly Waiting[]): boolean {
    for (let share = 1; share > SHARE_MIN; share *= SHARE_STEP) {
      try {
        if (!this.#isFull()) return false;
        this.#prune(share);
        this.#writeAll(waiting);
        return true;
      } catch {
        // With less of the past, then.
      }
    }
    return false;
  }

  #isFull(): boolean {
    const count = this.#database?.prepare('PRAGMA page_count').get()?.['page_count'];
    return Number(count ?? 0) >= this.#pagesMax;
  }

  /** Points in their order. Empty where nothing is known. */
  points(query: HistoryQuery): HistoryPoint[] {
    const { subject, measure, tier, fromSeconds, toSeconds, grainSeconds } = query;
    this.flush();
    if (this.#database === undefined && !existsSync(this.#path)) return [];
    try {
      const rows = this.#open()
        .prepare(
          `SELECT (at / CAST(:grain AS INTEGER)) * :grain AS at, sum(sum) / sum(n) AS mean, min(least) AS least, max(most) AS most
           FROM points JOIN series ON series.id = points.series
           WHERE subject = :subject AND measure = :measure AND tier = :tier AND at BETWEEN :from AND :to
           GROUP BY 1 ORDER BY 1`,
        )
        .all({
          grain: grainSeconds,
          subject,
          measure,
          tier,
          from: fromSeconds - (fromSeconds % grainSeconds),
          to: toSeconds,
        });
      return rows.map(
        ({ at, mean, least, most }) =>
          [Number(at), Number(mean), Number(least), Number(most)] as const,
      );
    } catch (thrown) {
      this.#mend(thrown);
      return [];
    }
  }

  /** Forgets a subject that is no more. */
  forget(subject: string): void {
    this.#waiting = this.#waiting.filter((one) => one.subject !== subject);
    if (this.#database === undefined && !existsSync(this.#path)) return;
    try {
      const database = this.#open();
      const ids = 'SELECT id FROM series WHERE subject = ?';
      database.prepare(`DELETE FROM points WHERE series IN (${ids})`).run(subject);
      database.prepare('DELETE FROM series WHERE subject = ?').run(subject);
      this.#series.clear();
    } catch (thrown) {
      this.#mend(thrown);
    }
  }

  close(): void {
    this.flush();
    this.#close();
  }

  #open(): DatabaseSync {
    if (this.#database !== undefined) return this.#database;
    const database = new DatabaseSync(this.#path);
    database.exec(
      `PRAGMA page_size = ${PAGE_BYTES}; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;
       PRAGMA cache_size = -${CACHE_KIB}; PRAGMA wal_autocheckpoint = 200; PRAGMA journal_size_limit = 1048576;
       PRAGMA max_page_count = ${this.#pagesMax};`,
    );
    database.exec(SCHEMA);
    this.#insert = database.prepare(
      `INSERT INTO points VALUES (?, ?, ?, 1, ?, ?, ?) ON CONFLICT DO UPDATE SET
       n = n + 1, sum = sum + excluded.sum, least = min(least, excluded.least), most = max(most, excluded.most)`,
    );
    this.#database = database;
    return database;
  }

  #write({ subject, measure, atSeconds, value }: Waiting): void {
    const series = this.#seriesOf(subject, measure);
    TIERS.forEach(({ grainSeconds }, tier) => {
      const at = atSeconds - (atSeconds % grainSeconds);
      this.#insert?.run(series, tier, at, value, value, value);
    });
  }

  #seriesOf(subject: string, measure: string): number {
    const key = `${subject} ${measure}`;
    const known = this.#series.get(key);
    if (known !== undefined) return known;
    const database = this.#open();
    database
      .prepare('INSERT OR IGNORE INTO series (subject, measure) VALUES (?, ?)')
      .run(subject, measure);
    const row = database
      .prepare('SELECT id FROM series WHERE subject = ? AND measure = ?')
      .get(subject, measure);
    const id = Number(row?.['id']);
    this.#series.set(key, id);
    return id;
  }

  /** Forgets what is older than this share of the time that it is kept. */
  #prune(share: number): void {
    this.#prunedMs = performance.now();
    const now = this.#nowSeconds();
    // With the series named, only what goes is looked at, and not every point that there is.
    const statement = this.#open().prepare(
      'DELETE FROM points WHERE series IN (SELECT id FROM series) AND tier = ? AND at < ?',
    );
    TIERS.forEach(({ keptSeconds }, tier) => statement.run(tier, now - keptSeconds * share));
  }

  /** A file that is damaged is put aside; everything else passes, or comes again. */
  #mend(thrown: unknown): void {
    this.#close();
    const text = String(thrown);
    if (!/malformed|not a database|corrupt/i.test(text)) return;
    try {
      for (const end of ['-wal', '-shm']) rmSync(`${this.#path}${end}`, { force: true });
      renameSync(this.#path, `${this.#path}.damaged`);
    } catch {
      // It stays as it is, and there is no history.
    }
  }

  #close(): void {
    const database = this.#database;
    this.#database = undefined;
    this.#insert = undefined;
    this.#series.clear();
    try {
      database?.close();
    } catch {
      // Of a disk that has failed.
    }
  }
}
