// The applications of the demo on one server without Understudy: they work, they survive a power
// cut on their own disk, and their checks notice what is missing or wrong.
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { LabHost } from '../host.ts';
import { Lab } from '../lab.ts';
import { waitUntil } from '../run.ts';
import { type DemoApplication, runAgentCommand } from './application.ts';
import { LedgerApplication } from './ledger-application.ts';
import { PostgresqlApplication } from './postgresql-application.ts';

interface Damage {
  /** Takes one acknowledged commit away. */
  readonly lose: (host: LabHost, id: string) => Promise<unknown>;
  /** Makes the data disagree with itself. */
  readonly spoil: (host: LabHost) => Promise<unknown>;
  readonly finding: RegExp;
}

const psql = async (host: LabHost, sql: string): Promise<string> =>
  await host.must(['psql', '-c', sql, 'bench'], { user: 'postgres' });

const sqlite = async (host: LabHost, sql: string): Promise<string> => {
  const script = `
    const { DatabaseSync } = require('node:sqlite');
    new DatabaseSync('/srv/ledger/ledger.sqlite').exec(process.argv[1]);`;
  return await host.must([process.execPath, '-e', script, sql]);
};

const cases: readonly [DemoApplication, Damage][] = [
  [
    new LedgerApplication(),
    {
      lose: async (host, id) =>
        await sqlite(host, `PRAGMA foreign_keys = ON; DELETE FROM transfer WHERE id = '${id}'`),
      spoil: async (host) =>
        await sqlite(host, 'UPDATE account SET balance = balance + 1 WHERE number = 7'),
      finding: /sum of balances is 100000001; accounts .*7/,
    },
  ],
  [
    new PostgresqlApplication(),
    {
      lose: async (host, id) => await psql(host, `DELETE FROM promise WHERE id = '${id}'`),
      spoil: async (host) =>
        await psql(host, 'UPDATE pgbench_branches SET bbalance = bbalance + 1 WHERE bid = 1'),
      finding: /sums of pgbench differ/,
    },
  ],
];

describe.each(cases)('$name', { timeout: 120_000 }, (application, damage) => {
  let lab: Lab;
  let a: LabHost;
  let client: LabHost;

  beforeAll(async () => {
    lab = await Lab.up({ hosts: ['a', 'client'], services: [] });
    a = lab.host('a');
    client = lab.host('client');
    await application.prepare(a);
  }, 120_000);

  afterAll(async () => await lab.down(), 60_000);

  it('leaves no process after its preparation', async () => {
    const processes = (await a.must(['ps', '-e', '-o', 'comm='])).trim().split('\n');
    expect(processes.filter((name) => name !== 'sleep' && name !== 'ps')).toEqual([]);
  });

  it('keeps every acknowledged commit over a power cut under load', async () => {
    await runAgentCommand(a, application.agent.start);
    await application.startLoad(client, a.address('lan'));
    expect(await waitUntil(() => application.acknowledged(client).length > 200, 30_000)).toBe(true);
    await a.powerOff();
    await a.boot();
    const before = application.acknowledged(client).length;
    await runAgentCommand(a, application.agent.start);
    await application.turnLoad(client);
    const goesOn = (): boolean => application.acknowledged(client).length > before + 20;
    expect(await waitUntil(goesOn, 30_000)).toBe(true);
    await application.stopLoad(client);
    const acknowledged = application.acknowledged(client);
    const verdict = await application.verify(a, acknowledged);
    expect(verdict).toMatchObject({ lost: [], integrity: 'ok' });
  });

  it('notices a lost commit and data that disagree', async () => {
    const acknowledged = application.acknowledged(client);
    const victim = acknowledged[10]!;
    await damage.lose(a, victim.id);
    expect((await application.verify(a, acknowledged)).lost).toEqual([victim]);
    await damage.spoil(a);
    expect((await application.verify(a, acknowledged)).integrity).toMatch(damage.finding);
  });
});
