// The books: accounts and transfers in one SQLite database.
//
// A transfer is either there with both of its balances or not at all, and once `transfer` has
// returned it survives a loss of power: `synchronous=FULL` makes every COMMIT wait for fsync.
//
// journal_mode is WAL: a commit is one sequential append and one fsync (a rollback journal needs
// three), and after a crash the log's checksums tell where the last whole commit ends. The file
// `-shm` beside it is only an index of the log, which SQLite rebuilds, and may be lost or stale.
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync, type StatementSync } from 'node:sqlite';

export const ACCOUNTS = 100;
const OPENING_BALANCE = 1_000_000;
/** What all balances together always are. */
export const TOTAL = ACCOUNTS * OPENING_BALANCE;

export interface Transfer {
  /** Chosen by the client; the same id never moves money twice. At most 64 characters. */
  readonly id: string;
  /** Account numbers from 1 to {@link ACCOUNTS}. */
  readonly from: number;
  readonly to: number;
  readonly amount: number;
}

export type TransferOutcome =
  | { readonly kind: 'done' }
  /** The same transfer had been made before. */
  | { readonly kind: 'repeated' }
  /** Another transfer has this id. */
  | { readonly kind: 'conflict' }
  | { readonly kind: 'insufficient' };

export interface Audit {
  readonly total: number;
  readonly isTotalRight: boolean;
  /** Accounts whose balance is not what their transfers say. */
  readonly wrongAccounts: readonly number[];
  readonly transfers: number;
  /** SQLite's own check of the file; `ok` when there is nothing to say. */
  readonly integrity: string;
}

const SCHEMA = `
  CREATE TABLE IF NOT EXISTS account (
    number INTEGER PRIMARY KEY,
    balance INTEGER NOT NULL CHECK (balance >= 0)
  ) STRICT;
  CREATE TABLE IF NOT EXISTS transfer (
    id TEXT PRIMARY KEY,
    source INTEGER NOT NULL REFERENCES account,
    target INTEGER NOT NULL REFERENCES account,
    amount INTEGER NOT NULL CHECK (amount > 0),
    made_at INTEGER NOT NULL
  ) STRICT, WITHOUT ROWID;
`;

/** The database of one directory. */
export class Ledger {
  readonly #database: DatabaseSync;
  readonly #find: StatementSync;
  readonly #insert: StatementSync;
  readonly #move: StatementSync;
  readonly #balance: StatementSync;

  constructor(directory: string) {
    mkdirSync(directory, { recursive: true });
    this.#database = new DatabaseSync(join(directory, 'ledger.sqlite'));
    this.#database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    this.#database.exec('PRAGMA foreign_keys = ON;');
    this.#createOnce();
    this.#find = this.#database.prepare(
      'SELECT id, source AS "from", target AS "to", amount FROM transfer WHERE id = ?',
    );
    this.#insert = this.#database.prepare('INSERT INTO transfer VALUES (?, ?, ?, ?, ?)');
    this.#move = this.#database.prepare(
      'UPDATE account SET balance = balance + ? WHERE number = ? AND balance + ? >= 0',
    );
    this.#balance = this.#database.prepare('SELECT balance FROM account WHERE number = ?');
  }

  #createOnce(): void {
    this.#inTransaction(() => {
      this.#database.exec(SCHEMA);
      const { count } = this.#row('SELECT count(*) AS count FROM account') as { count: number };
      if (count > 0) return;
      const open = this.#database.prepare('INSERT INTO account VALUES (?, ?)');
      for (let number = 1; number <= ACCOUNTS; number += 1) open.run(number, OPENING_BALANCE);
    });
  }

  /** Moves money; when it returns `done` (or `repeated`), the transfer is on disk. */
  transfer(transfer: Transfer, nowMs: number): TransferOutcome {
    const { id, from, to, amount } = transfer;
    return this.#inTransaction(() => {
      const known = this.find(id);
      if (known !== undefined) {
        const isSame = known.from === from && known.to === to && known.amount === amount;
        return { kind: isSame ? 'repeated' : 'conflict' };
      }
      if (this.#move.run(-amount, from, -amount).changes === 0) return { kind: 'insufficient' };
      this.#move.run(amount, to, amount);
      this.#insert.run(id, from, to, amount, nowMs);
      return { kind: 'done' };
    });
  }

  find(id: string): Transfer | undefined {
    return this.#find.get(id) as Transfer | undefined;
  }

  balance(account: number): number | undefined {
    return (this.#balance.get(account) as { balance: number } | undefined)?.balance;
  }

  /** Checks everything that can be checked; takes a while with many transfers. */
  audit(): Audit {
    const { total } = this.#row('SELECT sum(balance) AS total FROM account') as { total: number };
    const { count } = this.#row('SELECT count(*) AS count FROM transfer') as { count: number };
    const integrity = this.#database.prepare('PRAGMA integrity_check').all() as {
      integrity_check: string;
    }[];
    const wrong = this.#database
      .prepare(
        `SELECT number FROM account WHERE balance != ?
           + (SELECT coalesce(sum(amount), 0) FROM transfer WHERE target = number)
           - (SELECT coalesce(sum(amount), 0) FROM transfer WHERE source = number)`,
      )
      .all(OPENING_BALANCE) as { number: number }[];
    return {
      total,
      isTotalRight: total === TOTAL,
      wrongAccounts: wrong.map(({ number }) => number),
      transfers: count,
      integrity: integrity.map((row) => row.integrity_check).join('; '),
    };
  }

  close(): void {
    this.#database.close();
  }

  #row(sql: string): unknown {
    return this.#database.prepare(sql).get();
  }

  #inTransaction<T>(action: () => T): T {
    this.#database.exec('BEGIN IMMEDIATE');
    try {
      const result = action();
      this.#database.exec('COMMIT');
      return result;
    } catch (failure) {
      // SQLite has rolled back by itself after some errors of the disk.
      if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      throw failure;
    }
  }
}
