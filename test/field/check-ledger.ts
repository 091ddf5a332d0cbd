// node check-ledger.ts DIRECTORY < ACKNOWLEDGED.jsonl
//
// Opens the ledger's database itself, without the ledger, and holds it against what clients were promised:
// every acknowledged transfer is there once and unchanged, and every balance is what the transfers make of it.
// Prints one JSON object (`LedgerVerdict`).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import type { Acknowledged } from '../../examples/ledger/client-log.ts';
import type { Transfer } from '../../examples/ledger/ledger.ts';

const OPENING_BALANCE = 1_000_000;
const IDS_SHOWN_MAX = 5;

export interface LedgerVerdict {
  readonly transfers: number;
  /** Acknowledged, and not in the database, or there with other values. */
  readonly lost: number;
  readonly lostIds: readonly string[];
  /** When the first lost one had been acknowledged. */
  readonly lostFrom: number | null;
  /**
   * Acknowledged by the same node after the first lost one, and there: more than 0 says that it is not a tail
   * that was lost.
   */
  readonly keptAfterLost: number;
  /** `ok`, or what is wrong with the data. */
  readonly integrity: string;
}

interface StoredTransfer extends Transfer {
  readonly madeAt: number;
}

/** Compares; pure. */
export function judge(
  acknowledged: readonly Acknowledged[],
  stored: readonly StoredTransfer[],
  balances: ReadonlyMap<number, number>,
): LedgerVerdict {
  const byId = new Map(stored.map((transfer) => [transfer.id, transfer]));
  const lost = acknowledged.filter((entry) => !isSame(entry, byId.get(entry.id)));
  const first = lost.toSorted((one, other) => one.at - other.at)[0];
  const lostIds = new Set(lost.map(({ id }) => id));
  const keptAfterLost = acknowledged.filter(
    ({ at, id, node }) =>
      first !== undefined && node === first.node && at > first.at && !lostIds.has(id),
  );
  const findings = wrongBalances(stored, balances);
  if (byId.size !== stored.length) findings.push(`${stored.length - byId.size} transfers twice`);
  return {
    transfers: stored.length,
    lost: lost.length,
    lostIds: lost.slice(0, IDS_SHOWN_MAX).map(({ id }) => id),
    lostFrom: first?.at ?? null,
    keptAfterLost: keptAfterLost.length,
    integrity: findings.length === 0 ? 'ok' : findings.join('; '),
  };
}

function isSame(entry: Acknowledged, found: StoredTransfer | undefined): boolean {
  if (found === undefined) return false;
  return found.from === entry.from && found.to === entry.to && found.amount === entry.amount;
}

function wrongBalances(
  stored: readonly StoredTransfer[],
  balances: ReadonlyMap<number, number>,
): string[] {
  const expected = new Map([...balances.keys()].map((account) => [account, OPENING_BALANCE]));
  for (const { from, to, amount } of stored) {
    expected.set(from, (expected.get(from) ?? 0) - amount);
    expected.set(to, (expected.get(to) ?? 0) + amount);
  }
  const wrong = [...expected].filter(([account, balance]) => balances.get(account) !== balance);
  if (wrong.length === 0) return [];
  return [`accounts ${wrong.map(([account]) => account).join(', ')} disagree with their transfers`];
}

function readDatabase(directory: string): {
  stored: StoredTransfer[];
  balances: Map<number, number>;
  integrity: string;
} {
  const database = new DatabaseSync(join(directory, 'ledger.sqlite'));
  try {
    // One moment of a database that may be in use.
    database.exec('BEGIN');
    const stored = database
      .prepare(
        'SELECT id, source AS "from", target AS "to", amount, made_at AS madeAt FROM transfer',
      )
      .all() as unknown as StoredTransfer[];
    const accounts = database.prepare('SELECT number, balance FROM account').all() as {
      number: number;
      balance: number;
    }[];
    const rows = database.prepare('PRAGMA integrity_check').all() as { integrity_check: string }[];
    return {
      stored,
      balances: new Map(accounts.map(({ number, balance }) => [number, balance])),
      integrity: rows.map((row) => row.integrity_check).join('; '),
    };
  } finally {
    database.close();
  }
}

function main(): void {
  const [directory] = process.argv.slice(2);
  if (directory === undefined) {
    console.error('usage: check-ledger.ts DIRECTORY < ACKNOWLEDGED.jsonl');
    process.exit(2);
  }
  const acknowledged = readFileSync(0, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Acknowledged);
  const { stored, balances, integrity } = readDatabase(directory);
  const verdict = judge(acknowledged, stored, balances);
  const both = [integrity, verdict.integrity].filter((text) => text !== 'ok');
  console.log(
    JSON.stringify({ ...verdict, integrity: both.length === 0 ? 'ok' : both.join('; ') }),
  );
}

if (import.meta.main) main();
