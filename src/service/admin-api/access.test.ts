// The parts that bound and remember: tokens, audit, operations, limits, acknowledgements.
import { existsSync, mkdtempSync, readFileSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { UnderstudyError } from '../../core/errors.ts';
import { Acknowledgements } from './acknowledgements.ts';
import { AuditLog, withoutSecrets } from './audit.ts';
import { type Caller, lowerRole, requireRole } from './caller.ts';
import { FailureLimit } from './failure-limit.ts';
import { Operations } from './operations.ts';
import { RequestLimit } from './request-limit.ts';
import { TokenStore } from './tokens.ts';

let top = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-access-'));
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

const caller: Caller = { kind: 'root', name: 'root', user: null, role: 'operator', from: 'socket' };

describe('tokens', () => {
  let nowMs = 0;
  const clock = { wallMs: () => nowMs, monotonicMs: () => nowMs };
  const store = () => new TokenStore(join(top, 'tokens.json'), { clock });
  const wish = { role: 'viewer' as const, validMs: null, createdBy: 'root' };

  test('only the hash is kept; a token outlives a restart, and ends when it is said to', () => {
    nowMs = 1_800_000_000_000;
    const { token, id } = store().create({ ...wish, name: 'a', validMs: 60_000 });
    const file = readFileSync(join(top, 'tokens.json'), 'utf8');
    expect(file).not.toContain(token.split('.')[2]);
    expect(statSync(join(top, 'tokens.json')).mode & 0o777).toBe(0o600);
    expect(store().find(token)).toMatchObject({ id, name: 'a', role: 'viewer' });
    nowMs += 60_000;
    expect(store().find(token)).toBeUndefined();
  });

  test.each([
    '',
    'ust1',
    'ust1.000000000000.x',
    `ust1.${'0'.repeat(12)}.${'A'.repeat(43)}`,
    'x'.repeat(10_000),
  ])('none: %s', (text) => {
    store().create({ ...wish, name: 'a' });
    expect(store().find(text)).toBeUndefined();
  });

  test('names are unique, and there is a limit', () => {
    const one = store();
    one.create({ ...wish, name: 'a' });
    expect(() => one.create({ ...wish, name: 'a' })).toThrow(/already/);
    for (let index = 1; index < 64; index += 1) one.create({ ...wish, name: `n${index}` });
    expect(() => one.create({ ...wish, name: 'more' })).toThrow(/limit/);
    one.revoke('n5');
    one.create({ ...wish, name: 'more' });
  });
});

describe('audit', () => {
  const call = {
    who: 'x',
    role: 'viewer',
    from: 'socket',
    input: null,
    result: 'done',
    operation: null,
  };

  test('newest first, over files that are turned; never more than four', () => {
    const log = new AuditLog(join(top, 'audit.jsonl'));
    const input = 'y'.repeat(1900);
    for (let index = 0; index < 3000; index += 1)
      log.add({ ...call, what: `call ${index}`, input });
    expect(log.last(3).map(({ what }) => what)).toEqual(['call 2999', 'call 2998', 'call 2997']);
    const ends = ['', '.1', '.2', '.3', '.4'];
    const present = ends.filter((end) => existsSync(join(top, `audit.jsonl${end}`)));
    expect(present).toEqual(['', '.1', '.2', '.3']);
    for (const end of present) {
      expect(statSync(join(top, `audit.jsonl${end}`)).size).toBeLessThan(1.1 * 1024 * 1024);
    }
    expect(new AuditLog(join(top, 'audit.jsonl')).last(5000).length).toBeGreaterThan(1500);
  });

  test('secrets of any depth are left out, long input is cut', () => {
    const text = withoutSecrets({
      a: { password: 'p1', list: [{ accessToken: 't1' }] },
      secretKey: 's1',
      present: 'o1',
      code: 'c1',
      fencing: { passwd: 'f1' },
      headers: { Authorization: 'h1' },
      url: 'http://ann:u1@shop/',
      channel: { url: 'https://qyapi.example/cgi-bin/webhook/send?key=w1-of-the-robot' },
      probe: { url: 'http://127.0.0.1:8080/health', start: 'curl http://ann:u2@shop/' },
      replication_passwd: 4711,
      port: 4712,
      name: 'n',
    });
    expect(text).toContain('"port":4712,"name":"n"');
    expect(text).toContain('"url":"http://127.0.0.1:8080/health"');
    const secrets = ['p1', 't1', 's1', 'o1', 'c1', 'f1', 'h1', 'u1', 'u2', 'w1', '4711'];
    for (const secret of secrets) expect(text).not.toContain(secret);
    expect(withoutSecrets({ x: 'y'.repeat(10_000) }).length).toBeLessThan(2100);
  });

  test('a disk that does not take it is counted, not thrown', () => {
    const log = new AuditLog(join(top, 'missing', 'audit.jsonl'));
    log.add({ ...call, what: 'x' });
    expect(log.lost).toBe(1);
  });
});

describe('operations', () => {
  const start = (operations: Operations, work: () => Promise<unknown>, isCancellable = false) =>
    operations.start({ kind: 'test', group: null, caller, isCancellable, work });

  test('run to a result or an error, which those who wait get at once', async () => {
    const operations = new Operations();
    const good = start(operations, async () => Promise.resolve({ x: 1 }));
    const bad = start(operations, async () =>
      Promise.reject(new UnderstudyError('NOT_HALTED', 'no')),
    );
    const broken = start(operations, async () => Promise.reject(new TypeError('oops')));
    expect(await operations.wait(good.id, 5000)).toMatchObject({
      state: 'done',
      result: { x: 1 },
      by: 'root',
    });
    expect(await operations.wait(bad.id, 5000)).toMatchObject({
      state: 'failed',
      error: { code: 'NOT_HALTED' },
    });
    expect((await operations.wait(broken.id, 5000)).error).toMatchObject({
      code: 'INTERNAL',
      message: 'oops',
    });
  });

  test('a wait ends in time, or when the caller goes away', async () => {
    const operations = new Operations();
    const { id } = start(operations, async () => new Promise(() => undefined));
    expect((await operations.wait(id, 20)).state).toBe('running');
    const gone = new AbortController();
    const waiting = operations.wait(id, 60_000, gone.signal);
    gone.abort();
    expect((await waiting).state).toBe('running');
    expect(() => operations.cancel(id)).toThrow(/cannot be given up/);
  });

  test('both those that run and those that ended are bounded', async () => {
    const operations = new Operations();
    const first = start(operations, async () => Promise.resolve(0));
    for (let index = 0; index < 150; index += 1) {
      const { id } = start(operations, async () => Promise.resolve(index));
      await operations.wait(id, 1000);
    }
    expect(operations.list().length).toBeLessThanOrEqual(101);
    expect(() => operations.get(first.id)).toThrow(/OPERATION|no operation/);
    for (let index = 0; index < 32; index += 1)
      start(operations, async () => new Promise(() => undefined));
    expect(() => start(operations, async () => Promise.resolve())).toThrow(/32 operations/);
  });
});

test('requests of an address within a minute', () => {
  const limit = new RequestLimit({ requestsMax: 3, windowMs: 60_000 });
  expect([0, 1, 2, 3, 4].map((at) => limit.take('a', at))).toEqual([0, 0, 0, 60, 60]);
  expect(limit.take('b', 5)).toBe(0);
  expect(limit.take('a', 60_000)).toBe(0);
});

test('failures of a key; addresses that are forgotten are the oldest', () => {
  const limit = new FailureLimit({ failuresMax: 2, windowMs: 1000 });
  limit.failed('a', 0);
  expect(limit.waitMs('a', 0)).toBe(0);
  limit.failed('a', 400);
  expect(limit.waitMs('a', 500)).toBe(500);
  expect(limit.waitMs('a', 1000)).toBe(0);
  limit.failed('a', 1000);
  limit.forgive('a');
  expect(limit.waitMs('a', 1000)).toBe(0);
  for (let index = 0; index < 5000; index += 1) limit.failed(`x${index}`, 1000);
  limit.failed('x4999', 1000);
  expect([limit.waitMs('x4999', 1000), limit.waitMs('x0', 1000)]).toEqual([1000, 0]);
});

test('roles can be lowered, never raised', () => {
  expect(lowerRole('administrator', 'viewer')).toBe('viewer');
  expect(lowerRole('viewer', 'administrator')).toBe('viewer');
  expect(() => requireRole(caller, 'administrator')).toThrow(/"administrator"/);
  requireRole(caller, 'viewer');
});

test('acknowledgements: single ones and all up to one, across a restart', () => {
  const path = join(top, 'acknowledged.json');
  const one = new Acknowledgements(path);
  one.acknowledge([5, 7], 'alice');
  one.acknowledgeUpTo(6, 'bob');
  const other = new Acknowledgements(path);
  expect([4, 5, 6, 7, 8].map((id) => other.of(id)?.by ?? null)).toEqual([
    'bob',
    'bob',
    'bob',
    'alice',
    null,
  ]);
  other.acknowledgeUpTo(3, 'eve');
  expect(other.of(2)?.by).toBe('bob');
});
