// The etcd arbiter against real etcd: one member, three members with failures, TLS, passwords.
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { nodeId } from '../../core/ids.ts';
import type { ArbiterRequest } from '../machine/effect-types.ts';
import type { ArbiterAnswer } from './arbiter.ts';
import { EtcdArbiter, type EtcdArbiterOptions } from './etcd-arbiter.ts';
import { EtcdClient } from './etcd-client.ts';
import { EtcdCluster } from './fixtures/etcd-cluster.ts';

const A = { id: nodeId('aaaaaaaaaaaaaaaa'), name: 'a' };
const B = { id: nodeId('bbbbbbbbbbbbbbbb'), name: 'b' };
const TIMEOUT_MS = 2000;

let cluster: EtcdCluster;
let groups = 0;
const open: EtcdArbiter[] = [];

/** The same group as seen by both nodes; every test has a group of its own. */
function pair(changes: Partial<EtcdArbiterOptions> = {}): [EtcdArbiter, EtcdArbiter] {
  groups += 1;
  const groupId = groups.toString(16).padStart(32, '0');
  const { endpoints, tls } = cluster;
  const common = { groupId, groupName: 'shop', endpoints, ...(tls === undefined ? {} : { tls }) };
  const a = new EtcdArbiter({ ...common, self: A, ...changes });
  const b = new EtcdArbiter({ ...common, self: B, ...changes });
  open.push(a, b);
  return [a, b];
}

afterEach(async () => {
  cluster.thaw(0);
  for (const arbiter of open.splice(0)) await arbiter.close();
});

const acquire = (epoch: number, token: string | null): ArbiterRequest => ({
  kind: 'acquire',
  epoch,
  token,
  alone: false,
});

async function done(arbiter: EtcdArbiter, request: ArbiterRequest): Promise<ArbiterAnswer> {
  const answer = await arbiter.ask(request, TIMEOUT_MS);
  expect(answer).toMatchObject({ result: 'done', why: '' });
  return answer;
}

function tokenOf({ record }: ArbiterAnswer): string {
  if (record === null) throw new TypeError('no record');
  return record.token;
}

/** From now on etcd wants to know who asks. Returns the file with the password of "root". */
async function demandPasswords(): Promise<string> {
  const client = new EtcdClient({ endpoints: cluster.endpoints });
  const call = async (path: string, body: unknown): Promise<unknown> =>
    client.call(path, body, TIMEOUT_MS);
  await call('/v3/auth/user/add', { name: 'root', password: 'geheim' });
  await call('/v3/auth/role/add', { name: 'root' });
  await call('/v3/auth/user/grant', { user: 'root', role: 'root' });
  await call('/v3/auth/enable', {});
  await client.close();
  const passwordFile = join(cluster.directory, 'password');
  writeFileSync(passwordFile, 'geheim\n');
  return passwordFile;
}

describe('one member', () => {
  beforeAll(async () => {
    cluster = await EtcdCluster.start(1);
  });
  afterAll(async () => cluster.stop());

  test('a record from the first acquisition to the takeover', async () => {
    const [a, b] = pair();
    expect(await a.check()).toEqual([]);
    expect(await done(a, { kind: 'read' })).toMatchObject({ record: null });
    const first = await done(a, acquire(1, null));
    expect(first.record).toMatchObject({ holder: A.id, epoch: 1, alone: false, released: false });
    const seen = await done(b, { kind: 'read' });
    expect(seen.record).toEqual(first.record);
    const alone = await done(a, { kind: 'renew', epoch: 1, token: tokenOf(first), alone: true });
    expect(alone.record?.alone).toBe(true);
    expect(tokenOf(alone)).not.toBe(tokenOf(first));
    // What b saw is out of date: it may not take over with it, and learns of the loneliness.
    const refused = await b.ask(acquire(2, tokenOf(seen)), TIMEOUT_MS);
    expect(refused).toMatchObject({ result: 'conflict', record: alone.record });
    const taken = await done(b, acquire(2, tokenOf(alone)));
    expect(taken.record).toMatchObject({ holder: B.id, epoch: 2 });
    const late: ArbiterRequest = { kind: 'renew', epoch: 1, token: tokenOf(alone), alone: true };
    expect(await a.ask(late, TIMEOUT_MS)).toMatchObject({
      result: 'conflict',
      record: taken.record,
    });
    const released = await done(b, {
      kind: 'release',
      epoch: 2,
      token: tokenOf(taken),
      alone: false,
    });
    expect(released.record).toMatchObject({ holder: B.id, released: true });
    const again: ArbiterRequest = {
      kind: 'renew',
      epoch: 2,
      token: tokenOf(released),
      alone: false,
    };
    expect(await b.ask(again, TIMEOUT_MS)).toMatchObject({ result: 'conflict' });
  });

  test('of two that acquire at once exactly one gets it, twenty times', async () => {
    const [a, b] = pair();
    let token: string | null = null;
    for (let epoch = 1; epoch <= 20; epoch += 1) {
      const answers: ArbiterAnswer[] = await Promise.all(
        [a, b].map(async (one) => one.ask(acquire(epoch, token), TIMEOUT_MS)),
      );
      expect(answers.map(({ result }) => result).toSorted()).toEqual(['conflict', 'done']);
      const [first, second] = answers;
      expect(first?.record).toEqual(second?.record);
      token = first?.record?.token ?? null;
    }
  });

  test('an epoch that is not above is refused; force takes it whatever the token', async () => {
    const [a, b] = pair();
    const first = await done(a, acquire(5, null));
    expect(await b.ask(acquire(5, tokenOf(first)), TIMEOUT_MS)).toMatchObject({
      result: 'conflict',
    });
    const low: ArbiterRequest = { kind: 'seize', epoch: 5, alone: true };
    expect(await b.ask(low, TIMEOUT_MS)).toMatchObject({ result: 'conflict' });
    const seized = await done(b, { kind: 'seize', epoch: 6, alone: true });
    expect(seized.record).toMatchObject({ holder: B.id, epoch: 6, alone: true });
  });

  test('a watcher is told of changes by others', async () => {
    const [a, b] = pair();
    let changes = 0;
    const stop = b.watch(() => {
      changes += 1;
    });
    await sleep(500);
    const first = await done(a, acquire(1, null));
    await done(a, { kind: 'renew', epoch: 1, token: tokenOf(first), alone: false });
    await expect.poll(() => changes, { timeout: 3000 }).toBeGreaterThanOrEqual(1);
    stop();
  });

  test('a key that somebody else wrote is not taken for a record', async () => {
    const [a] = pair({ prefix: '/foreign/' });
    const client = new EtcdClient({ endpoints: cluster.endpoints });
    const key = Buffer.from(`/foreign/${groups.toString(16).padStart(32, '0')}`).toString('base64');
    await client.call('/v3/kv/put', { key, value: 'AAAA' }, TIMEOUT_MS);
    await client.close();
    const answer = await a.ask({ kind: 'read' }, TIMEOUT_MS);
    expect(answer).toMatchObject({ result: 'unreachable' });
    expect(answer.why).toContain('not written by Understudy');
  });

  test('no answer in time is said in time', async () => {
    const [a] = pair();
    await done(a, acquire(1, null));
    await cluster.freeze(0);
    const start = performance.now();
    const answer = await a.ask({ kind: 'read' }, 300);
    expect(performance.now() - start).toBeLessThan(700);
    expect(answer).toMatchObject({ result: 'unreachable', record: null });
    expect(answer.why).toContain('no answer in time');
    cluster.thaw(0);
    const back = performance.now();
    await expect
      .poll(async () => (await a.ask({ kind: 'read' }, 300)).result, {
        interval: 50,
        timeout: 5000,
      })
      .toBe('done');
    process.stdout.write(
      `etcd answers ${(performance.now() - back).toFixed(0)} ms after it was thawed\n`,
    );
  });

  test('an etcd that does not exist is refused at configuration time', async () => {
    const [a] = pair({ endpoints: ['http://127.0.0.1:1'] });
    await expect(a.check()).rejects.toMatchObject({
      code: 'ARBITER_UNREACHABLE',
      message: expect.stringContaining('ECONNREFUSED'),
    });
  });

  test('history that nobody compacts is pointed out', async () => {
    const [a] = pair({ uncompactedMax: 100 });
    const client = new EtcdClient({ endpoints: cluster.endpoints });
    const put = { request_put: { key: 'AAA=', value: 'AAAA' } };
    for (let revision = 0; revision < 110; revision += 1) {
      await client.call('/v3/kv/txn', { success: [put] }, TIMEOUT_MS);
    }
    const advice = await a.check();
    expect(advice).toEqual([expect.stringContaining('--auto-compaction-mode=periodic')]);
    const { header } = (await client.call('/v3/kv/put', { key: 'AAA=' }, TIMEOUT_MS)) as {
      header: { revision: string };
    };
    await client.call('/v3/kv/compaction', { revision: header.revision }, TIMEOUT_MS);
    expect(await a.check()).toEqual([]);
    await client.close();
  });

  test('users and passwords', async () => {
    const passwordFile = await demandPasswords();
    const [a] = pair({ username: 'root', passwordFile });
    await done(a, acquire(1, null));
    writeFileSync(passwordFile, 'wrong\n');
    const [b] = pair({ username: 'root', passwordFile });
    const answer = await b.ask({ kind: 'read' }, TIMEOUT_MS);
    expect(answer.result).toBe('unreachable');
    expect(answer.why).toContain('authentication failed');
    expect(answer.why).not.toContain('wrong');
    const [nobody] = pair();
    expect((await nobody.ask({ kind: 'read' }, TIMEOUT_MS)).result).toBe('unreachable');
  });
});

test('tokens that are signed: a change of users makes a new one necessary', async () => {
  cluster = await EtcdCluster.start(1, { signedTokens: true });
  try {
    const passwordFile = await demandPasswords();
    const [a] = pair({ username: 'root', passwordFile });
    const first = await done(a, acquire(1, null));
    const { endpoints } = cluster;
    const operator = new EtcdClient({ endpoints, username: 'root', passwordFile });
    const user = { name: 'backup', password: 'auch geheim' };
    await operator.call('/v3/auth/user/add', user, TIMEOUT_MS);
    await operator.close();
    await done(a, { kind: 'renew', epoch: 1, token: tokenOf(first), alone: false });
  } finally {
    for (const arbiter of open.splice(0)) await arbiter.close();
    await cluster.stop();
  }
});

describe('three members with TLS', () => {
  beforeAll(async () => {
    cluster = await EtcdCluster.start(3, { tls: true });
  });
  afterAll(async () => cluster.stop());

  test('certificates are demanded on both sides', async () => {
    const [a] = pair();
    await done(a, acquire(1, null));
    const [b] = pair({ tls: { ca: cluster.tls?.ca } });
    expect((await b.ask({ kind: 'read' }, TIMEOUT_MS)).result).toBe('unreachable');
    const [c] = pair({ tls: undefined });
    const answer = await c.ask({ kind: 'read' }, TIMEOUT_MS);
    expect(answer.why).toMatch(/self.signed|SELF_SIGNED|unable to verify/i);
  });

  test('the death of a member costs one request some time, and nothing else', async () => {
    const [a, b] = pair();
    let token = tokenOf(await done(a, acquire(1, null)));
    let unreachable = 0;
    let longestMs = 0;
    for (let round = 0; round < 60; round += 1) {
      if (round === 10) await cluster.kill(0);
      if (round === 40) cluster.startMember(0);
      const start = performance.now();
      const answer = await a.ask({ kind: 'renew', epoch: 1, token, alone: false }, TIMEOUT_MS);
      longestMs = Math.max(longestMs, performance.now() - start);
      if (answer.result === 'unreachable') {
        unreachable += 1;
        token = tokenOf(await done(a, { kind: 'read' }));
        continue;
      }
      expect(answer.result).toBe('done');
      token = tokenOf(answer);
      await sleep(50);
    }
    // A leader that dies takes an election (1 to 2 s) with it.
    expect(unreachable).toBeLessThanOrEqual(3);
    process.stdout.write(`longest renewal over a member's death: ${longestMs.toFixed(0)} ms\n`);
    expect(await done(b, { kind: 'read' })).toMatchObject({ record: { token } });
    await cluster.ready();
  });

  test('a silent member is passed over within one request', async () => {
    const [a] = pair();
    const token = tokenOf(await done(a, acquire(1, null)));
    await cluster.freeze(0);
    await sleep(2500);
    const start = performance.now();
    const answer = await a.ask({ kind: 'renew', epoch: 1, token, alone: false }, 1500);
    expect(answer.result).toBe('done');
    expect(performance.now() - start).toBeLessThan(1500);
    cluster.thaw(0);
    await cluster.ready();
  });

  test('without a majority nothing is granted', async () => {
    const [a, b] = pair();
    const token = tokenOf(await done(a, acquire(1, null)));
    await cluster.kill(1);
    await cluster.kill(2);
    const renew: ArbiterRequest = { kind: 'renew', epoch: 1, token, alone: false };
    expect((await a.ask(renew, 500)).result).toBe('unreachable');
    expect((await b.ask(acquire(2, token), 500)).result).toBe('unreachable');
    cluster.startMember(1);
    cluster.startMember(2);
    await cluster.ready();
    const { record } = await done(b, { kind: 'read' });
    // The requests without an answer may have been done when the majority came back, in one order.
    expect(['aaaaaaaaaaaaaaaa', 'bbbbbbbbbbbbbbbb']).toContain(record?.holder);
  });
});
