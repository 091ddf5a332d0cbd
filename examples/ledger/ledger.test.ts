import { mkdtempSync, rmSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { missingOn, runClient } from './client.ts';
import { type Acknowledged, outagesIn } from './client-log.ts';
import { Ledger, TOTAL } from './ledger.ts';
import { createLedgerServer, parseTransfer } from './server.ts';

let directory: string;
let ledger: Ledger;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'ledger-'));
  ledger = new Ledger(directory);
});

afterEach(() => {
  ledger.close();
  rmSync(directory, { recursive: true });
});

const transfer = { id: 't1', from: 1, to: 2, amount: 5 };

describe('the books', () => {
  it('move money once per id', () => {
    expect(ledger.transfer(transfer, 0)).toEqual({ kind: 'done' });
    expect(ledger.transfer(transfer, 0)).toEqual({ kind: 'repeated' });
    expect(ledger.transfer({ ...transfer, amount: 6 }, 0)).toEqual({ kind: 'conflict' });
    expect([ledger.balance(1), ledger.balance(2)]).toEqual([999_995, 1_000_005]);
    expect(ledger.find('t1')).toEqual(transfer);
  });

  it('do not overdraw, and leave nothing of a refused transfer', () => {
    expect(ledger.transfer({ ...transfer, amount: TOTAL }, 0)).toEqual({ kind: 'insufficient' });
    expect(ledger.find('t1')).toBeUndefined();
    expect(ledger.balance(1)).toBe(1_000_000);
  });

  it('are the same after reopening', () => {
    ledger.transfer(transfer, 0);
    ledger.close();
    ledger = new Ledger(directory);
    expect(ledger.balance(2)).toBe(1_000_005);
    expect(ledger.audit()).toEqual({
      total: TOTAL,
      isTotalRight: true,
      wrongAccounts: [],
      transfers: 1,
      integrity: 'ok',
    });
  });

  it('notice a transfer that lost one of its sides', () => {
    ledger.transfer(transfer, 0);
    const database = new DatabaseSync(join(directory, 'ledger.sqlite'));
    database.exec('UPDATE account SET balance = balance - 5 WHERE number = 2');
    database.close();
    expect(ledger.audit()).toMatchObject({ isTotalRight: false, wrongAccounts: [2] });
  });
});

describe('a request', () => {
  it.each([
    ['', /not JSON/],
    ['null', /not an object/],
    ['{"id":"a b","from":1,"to":2,"amount":1}', /^id/],
    ['{"id":"a","from":0,"to":2,"amount":1}', /1 to 100/],
    ['{"id":"a","from":1,"to":1.5,"amount":1}', /1 to 100/],
    ['{"id":"a","from":1,"to":1,"amount":1}', /same account/],
    ['{"id":"a","from":1,"to":2,"amount":-1}', /positive/],
    ['{"id":"a","from":1,"to":2,"amount":1e300}', /positive/],
  ])('%s is refused', (text, reason) => {
    expect(parseTransfer(text)).toMatch(reason);
  });
});

describe('over HTTP', () => {
  let server: Server;
  let base: string;

  beforeEach(async () => {
    server = createLedgerServer(ledger);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });

  afterEach(() => {
    server.close();
    server.closeAllConnections();
  });

  const post = async (body: string): Promise<number> =>
    (await fetch(`${base}/transfer`, { method: 'POST', body })).status;

  it('answers with the statuses of the README', async () => {
    expect(await post(JSON.stringify(transfer))).toBe(201);
    expect(await post(JSON.stringify(transfer))).toBe(200);
    expect(await post(JSON.stringify({ ...transfer, to: 3 }))).toBe(409);
    expect(await post(JSON.stringify({ ...transfer, id: 'x', amount: TOTAL }))).toBe(422);
    expect(await post('{')).toBe(400);
    expect(await post('x'.repeat(10_000))).toBe(400);
    expect((await fetch(`${base}/transfers/t1`)).status).toBe(200);
    expect((await fetch(`${base}/transfers/t2`)).status).toBe(404);
    expect(await (await fetch(`${base}/balance/2`)).json()).toEqual({ balance: 1_000_005 });
    expect(await (await fetch(`${base}/audit`)).json()).toMatchObject({ isTotalRight: true });
    expect((await fetch(`${base}/health`)).status).toBe(200);
    expect((await fetch(`${base}/health`, { method: 'DELETE' })).status).toBe(405);
  });

  it('a client turns to another server, and its log can be checked', async () => {
    const log: Acknowledged[] = [];
    const stop = new AbortController();
    await runClient({
      targets: ['http://127.0.0.1:1', base],
      workers: 3,
      signal: stop.signal,
      acknowledge: (entry) => {
        log.push(entry);
        if (log.length === 50) stop.abort();
      },
    });
    expect(log.length).toBeGreaterThanOrEqual(50);
    expect(new Set(log.map(({ id }) => id)).size).toBe(log.length);
    expect(await missingOn(base, log)).toEqual([]);
    const invented = { ...log[0]!, id: 'never-posted' };
    const altered = { ...log[1]!, amount: log[1]!.amount + 1 };
    const missing = await missingOn(base, [...log, invented, altered]);
    expect(missing.map(({ id }) => id).toSorted()).toEqual([altered.id, invented.id].toSorted());
    expect(ledger.audit()).toMatchObject({ isTotalRight: true, wrongAccounts: [] });
  });
});

describe('outages', () => {
  it('are gaps between acknowledgements, whatever their order', () => {
    expect(outagesIn([1300, 0, 100, 1400], 250)).toEqual([{ from: 100, to: 1300, ms: 1200 }]);
    expect(outagesIn([], 250)).toEqual([]);
  });
});
