// The API of one node as strangers, token holders and root meet it: a real service, no groups.
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { httpsCall, type HttpsCall } from '../fixtures/https-call.ts';
import { standInPrograms, TestNode, until } from '../fixtures/two-nodes.ts';
import { acceptJoin } from '../pairing.ts';
import type { AuditEntry } from './audit.ts';
import { ROLES } from './caller.ts';
import { FrameSplitter, LocalApi } from './client.ts';
import { proposalsSchema } from './discovery.ts';
import type { OpenApiDocument } from './openapi.ts';
import type { PatternPreview } from './pattern-preview.ts';
import type { TokenView } from './tokens.ts';

const ADDRESS = `127.${64 + (process.pid % 128)}.251.1`;
const DOCUMENT = '/api/openapi.json';

let top = '';
let node: TestNode;
let api: LocalApi;
const tokens: Record<string, string> = {};

async function ask(path: string, call: Partial<HttpsCall> = {}) {
  return httpsCall({ host: ADDRESS, path, ...call });
}

async function document(): Promise<OpenApiDocument> {
  return (await ask(DOCUMENT, { token: tokens['viewer'] ?? '' })).json as OpenApiDocument;
}

function codeOf(json: unknown): string {
  return (json as { error?: { code?: string } } | undefined)?.error?.code ?? '';
}

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'understudy-api-'));
  mkdirSync(join(top, 'stand-in'));
  node = new TestNode({ top, name: 'one', address: ADDRESS, programs: standInPrograms });
  await node.init();
  await node.start();
  api = node.api;
  for (const role of ROLES) {
    const made = await api.call<TokenView & { token: string }>({
      method: 'POST',
      path: '/tokens',
      body: { name: `${role}-token`, role },
    });
    tokens[role] = made.token;
  }
});
afterAll(async () => {
  await node.stop();
  rmSync(top, { recursive: true, force: true });
});

/** Every route of the document with its parameters filled in. */
async function everyRoute(): Promise<{ method: string; path: string; role: string }[]> {
  const { paths } = await document();
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({
      method: method.toUpperCase(),
      path: path.replaceAll(/\{\w+\}/g, 'x'),
      role: operation['x-role'],
    })),
  );
}

describe('access', () => {
  test('no route answers without a login, and none tells whether it exists', async () => {
    const routes = await everyRoute();
    expect(routes.length).toBeGreaterThan(40);
    for (const { method, path } of [...routes, { method: 'GET', path: '/api/v1/nonsense' }]) {
      const { status, json } = await ask(path, { method });
      expect([method, path, status, codeOf(json)]).toEqual([method, path, 401, 'LOGIN_NEEDED']);
    }
  });

  test('each route refuses the role below its own, and lets its own in', async () => {
    for (const { method, path, role } of await everyRoute()) {
      const needed = ROLES.findIndex((one) => one === role);
      expect([path, needed]).not.toEqual([path, -1]);
      const below = ROLES[needed - 1];
      if (below === undefined) continue;
      const { status, json } = await ask(path, { method, token: tokens[below] ?? '' });
      expect([method, path, status, codeOf(json)]).toEqual([
        method,
        path,
        403,
        'ROLE_INSUFFICIENT',
      ]);
    }
  });

  test('a path that is none is said to be none, to whoever may see the description', async () => {
    const path = '/api/v1/groups/shop/switchver';
    for (const [role, status, code] of [
      ['viewer', 404, 'METHOD_UNKNOWN'],
      ['operator', 404, 'METHOD_UNKNOWN'],
      ['nobody', 401, 'LOGIN_NEEDED'],
    ] as const) {
      const { [role]: token } = tokens;
      const answer = await ask(path, { method: 'POST', ...(token === undefined ? {} : { token }) });
      expect([role, answer.status, codeOf(answer.json)]).toEqual([role, status, code]);
    }
  });

  test('a console lowers the role of its token, and never raises it', async () => {
    const headers = { 'x-understudy-user': 'alice', 'x-understudy-role': 'viewer' };
    const token = tokens['administrator'] ?? '';
    const lowered = await ask('/api/v1/session', { token, headers });
    expect(lowered.json).toMatchObject({ kind: 'token', user: 'alice', role: 'viewer' });
    expect((await ask('/api/v1/audit', { token, headers })).status).toBe(403);
    const raised = await ask('/api/v1/session', {
      token: tokens['viewer'] ?? '',
      headers: { 'x-understudy-role': 'administrator' },
    });
    expect(raised.json).toMatchObject({ role: 'viewer' });
    const wrong = await ask('/api/v1/session', { token, headers: { 'x-understudy-role': 'god' } });
    expect([wrong.status, codeOf(wrong.json)]).toEqual([400, 'REQUEST_INVALID']);
  });

  test('a revoked, a wrong and an over token are worth nothing', async () => {
    const made = await api.call<TokenView & { token: string }>({
      method: 'POST',
      path: '/tokens',
      body: { name: 'short', role: 'viewer' },
    });
    expect((await ask('/api/v1/session', { token: made.token })).status).toBe(200);
    const wrong = `${made.token.slice(0, -1)}${made.token.endsWith('A') ? 'B' : 'A'}`;
    expect((await ask('/api/v1/session', { token: wrong })).status).toBe(401);
    await api.call({ method: 'DELETE', path: '/tokens/short' });
    expect((await ask('/api/v1/session', { token: made.token })).status).toBe(401);
    await expect(api.call({ method: 'DELETE', path: '/tokens/short' })).rejects.toMatchObject({
      code: 'ACCESS_TOKEN_UNKNOWN',
    });
  });

  test('guessing tokens ends after ten tries; right ones still pass', async () => {
    const seen: number[] = [];
    for (let tries = 0; tries < 12; tries += 1) {
      seen.push((await ask('/api/v1/session', { token: `ust1.${'0'.repeat(12)}.x` })).status);
    }
    expect(seen[0]).toBe(401);
    expect(seen.at(-1)).toBe(429);
    expect((await ask('/api/v1/session', { token: tokens['viewer'] ?? '' })).status).toBe(200);
  });

  test('the node API of the peers stays closed to tokens', async () => {
    const { status } = await ask('/v1/node', { token: tokens['administrator'] ?? '' });
    expect(status).toBe(403);
  });
});

describe('requests', () => {
  test('the description is made of the routes that there are, and makes none', async () => {
    const listen = vi.spyOn(node.service.events, 'onEvent');
    for (const path of [DOCUMENT, '/api/docs', DOCUMENT]) {
      expect((await ask(path, { token: tokens['viewer'] ?? '' })).status).toBe(200);
    }
    expect(listen).not.toHaveBeenCalled();
  });

  test('however many ask for the agents, they are asked once', async () => {
    const list = vi.spyOn(node.service.catalog, 'list');
    const path = '/agents';
    const all = await Promise.all(
      Array.from({ length: 8 }, async () => api.call({ method: 'GET', path })),
    );
    expect(new Set(all.map((one) => JSON.stringify(one))).size).toBe(1);
    expect(list).toHaveBeenCalledTimes(1);
    list.mockRestore();
  });

  test('an invitation for half a millisecond more would make its file unreadable', async () => {
    const body = { validMs: 60_000.5 };
    const odd = api.call({ method: 'POST', path: '/pairing/invitation', body });
    await expect(odd).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });

  test('what is wrong is said together with where', async () => {
    const wrong = api.call({
      method: 'POST',
      path: '/tokens',
      body: { name: 'x', role: 'god', extra: 1 },
    });
    await expect(wrong).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
      details: { fields: ['role', ''], faults: [expect.any(String), expect.any(String)] },
    });
  });

  test('bodies that are no JSON, too large, or of another type', async () => {
    const token = tokens['administrator'] ?? '';
    const big = await ask('/api/v1/groups', {
      method: 'POST',
      token,
      body: { input: { name: 'x'.repeat(600_000) } },
    });
    // A client that is cut off while it sends sees that instead.
    expect([big.status, codeOf(big.json)]).toEqual([413, 'REQUEST_TOO_LARGE']);
    const text = await ask('/api/v1/groups', {
      method: 'POST',
      token,
      headers: { 'content-type': 'text/plain' },
      body: 'x',
    });
    expect([text.status, codeOf(text.json)]).toEqual([400, 'REQUEST_INVALID']);
  });

  test('groups and operations that there are not', async () => {
    const group = api.call({ method: 'GET', path: '/groups/shop' });
    await expect(group).rejects.toMatchObject({ code: 'GROUP_UNKNOWN' });
    const operation = api.call({ method: 'GET', path: '/operations/0' });
    await expect(operation).rejects.toMatchObject({ code: 'OPERATION_UNKNOWN' });
    const route = await ask('/api/v1/nonsense', { token: tokens['viewer'] ?? '' });
    expect([route.status, codeOf(route.json)]).toEqual([404, 'METHOD_UNKNOWN']);
    await expect(api.call({ method: 'GET', path: '/nonsense' })).rejects.toMatchObject({
      code: 'METHOD_UNKNOWN',
    });
  });

  test('answers have the shapes that the document promises', async () => {
    const { allRoutes } = await import('./routes.ts');
    const { makeContext } = await import('./context.ts');
    const routes = allRoutes(makeContext(node.service));
    for (const { method, path, reply } of routes) {
      if (method !== 'GET' || reply === undefined || path.includes(':')) continue;
      // Of a group: real-groups.root.test.ts.
      if (path === '/history') continue;
      const call = path === '/browse' ? { query: { path: '/' } } : {};
      const answer = await api.call({ method: 'GET', path, ...call });
      const fault = reply().safeParse(answer).error?.message;
      expect([path, fault]).toEqual([path, undefined]);
    }
  });

  test('discovery is a process of its own; who asks meanwhile shares its answer', async () => {
    const look = async (): Promise<unknown> => api.call({ method: 'GET', path: '/discover' });
    const [one, other] = await Promise.all([look(), look()]);
    expect(proposalsSchema().safeParse(one).success).toBe(true);
    expect(other).toEqual(one);
  });

  test('the document as a page has no script, and needs a login as well', async () => {
    const page = await ask('/api/docs', { token: tokens['viewer'] ?? '' });
    expect(page.headers['content-security-policy']).toContain("default-src 'none'");
    expect(page.text).toContain('/api/v1/groups/{group}/switchover');
    expect(page.text).not.toContain('<script');
  });
});

describe('audit', () => {
  test('each change is kept with who, from where and its result, without secrets', async () => {
    await ask('/api/v1/pairing/join', {
      method: 'POST',
      token: tokens['administrator'] ?? '',
      headers: { 'x-understudy-user': 'bob' },
      body: { token: 'usy1.secret-text' },
    });
    await ask('/api/v1/pairing', { method: 'DELETE', token: tokens['operator'] ?? '' });
    const entries = await until('both ends are written', async () => {
      const all = await api.call<AuditEntry[]>({ method: 'GET', path: '/audit' });
      return all.some(({ what, operation }) => what === 'join' && operation !== null) && all;
    });
    expect(JSON.stringify(entries)).not.toContain('secret-text');
    expect(entries.find(({ what }) => what.startsWith('POST /api/v1/pairing/join'))).toMatchObject({
      who: 'bob (token administrator-token)',
      from: '127.0.0.1',
      result: 'started',
    });
    expect(entries.find(({ what }) => what === 'join')).toMatchObject({
      result: 'TOKEN_MALFORMED',
    });
    expect(entries.find(({ what }) => what === 'DELETE /api/v1/pairing')).toMatchObject({
      who: 'token operator-token',
      result: 'ROLE_INSUFFICIENT',
    });
  });
});

describe('directories', () => {
  test('names, kinds and sizes; links are shown and not followed', async () => {
    const dir = join(top, 'look');
    mkdirSync(join(dir, 'inner'), { recursive: true });
    writeFileSync(join(dir, '<img src=x onerror=alert(1)>'), 'abc');
    writeFileSync(Buffer.concat([Buffer.from(`${dir}/`), Buffer.from([0x66, 0xff])]), '');
    symlinkSync('/etc', join(dir, 'link'));
    const { entries } = await api.call<{ entries: Record<string, unknown>[] }>({
      method: 'GET',
      path: '/browse',
      query: { path: dir },
    });
    expect(entries).toEqual([
      { name: 'inner', isText: true, kind: 'directory', size: null, owner: null },
      { name: '<img src=x onerror=alert(1)>', isText: true, kind: 'file', size: 3, owner: null },
      { name: 'f�', isText: false, kind: 'file', size: 0, owner: null },
      { name: 'link', isText: true, kind: 'symlink', size: null, owner: null },
    ]);
  });

  test.each([
    ['REQUEST_INVALID', '/srv/../etc'],
    ['REQUEST_INVALID', 'etc'],
    ['REQUEST_INVALID', '/etc//ssl'],
    ['REQUEST_INVALID', '/etc/\0'],
    ['PATH_NOT_FOUND', '/does/not/exist'],
    ['PATH_IS_SYMLINK', '/proc/self/cwd'],
    ['PATH_NOT_READABLE', '/etc/passwd'],
  ])('%s: %j', async (code, path) => {
    const answer = api.call({ method: 'GET', path: '/browse', query: { path } });
    await expect(answer).rejects.toMatchObject({ code });
  });

  test('a link on the way is refused as well', async () => {
    const dir = join(top, 'way');
    mkdirSync(join(dir, 'real', 'deep'), { recursive: true });
    symlinkSync(join(dir, 'real'), join(dir, 'link'));
    const path = join(dir, 'link', 'deep');
    const answer = api.call({ method: 'GET', path: '/browse', query: { path } });
    await expect(answer).rejects.toMatchObject({
      code: 'PATH_IS_SYMLINK',
      details: { path: join(dir, 'link') },
    });
  });

  test("Understudy's own directories are named as such", async () => {
    const query = { path: node.paths.state };
    const { owner } = await api.call<{ owner: string }>({ method: 'GET', path: '/browse', query });
    expect(owner).toContain('Understudy');
  });

  test('what patterns would mirror: files and bytes', async () => {
    const dir = join(top, 'preview');
    mkdirSync(join(dir, 'cache'), { recursive: true });
    mkdirSync(join(dir, 'db'));
    writeFileSync(join(dir, 'db', 'a.db'), 'x'.repeat(100));
    writeFileSync(join(dir, 'db', 'a.tmp'), 'x'.repeat(10));
    writeFileSync(join(dir, 'cache', 'c'), 'x');
    const seen = await api.run<PatternPreview>({
      method: 'POST',
      path: '/preview',
      body: { dir, include: ['**'], exclude: ['**/*.tmp', 'cache/**'] },
    });
    expect(seen).toMatchObject({
      files: 1,
      bytes: 100,
      leftOutFiles: 2,
      leftOutBytes: 11,
      isComplete: true,
      samples: ['db/a.db'],
    });
    const wrong = api.run({ method: 'POST', path: '/preview', body: { dir, include: ['/x'] } });
    await expect(wrong).rejects.toMatchObject({ code: 'PATTERN_INVALID' });
  });

  test('of a pattern that has more ways through a name than there is time', async () => {
    const dir = join(top, 'ways');
    mkdirSync(dir);
    writeFileSync(join(dir, 'a'.repeat(100)), '');
    const preview = (include: string) => ({
      method: 'POST' as const,
      path: '/preview',
      body: { dir, include: [include] },
    });
    const seen = await api.run<PatternPreview>(preview('(a+)+b'));
    expect(seen).toMatchObject({ files: 0, leftOutFiles: 1, isComplete: true });
    await expect(api.run(preview('(a+)\\1+b'))).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
  });
});

describe('events', () => {
  test('filtered, acknowledged, exported without formulas', async () => {
    node.service.emit('warning', 'PEER_LOST', '=cmd|calc and "quotes"');
    const query = { level: 'warning', text: 'CALC' };
    const list = async (more = {}) => {
      const call = { method: 'GET' as const, path: '/events', query: { ...query, ...more } };
      return (await api.call<{ events: { id: number; acknowledged: unknown }[] }>(call)).events;
    };
    const [event] = await list();
    expect(event?.acknowledged).toBeNull();
    const body = { ids: [event?.id] };
    await api.call({ method: 'POST', path: '/events/acknowledge', body });
    expect(await list({ unacknowledged: true })).toEqual([]);
    expect((await list())[0]?.acknowledged).toMatchObject({ by: 'root' });
    const file = await ask('/api/v1/events/export?level=warning&text=calc', {
      token: tokens['viewer'] ?? '',
    });
    expect(file.headers['content-disposition']).toContain('.csv');
    expect(file.text).toContain(`"'=cmd|calc and ""quotes""`);
  });

  test('nobody has seen what has not happened yet', async () => {
    for (const body of [{ upTo: 1_000_000 }, { ids: [1, 1_000_000] }]) {
      const early = api.call({ method: 'POST', path: '/events/acknowledge', body });
      await expect(early).rejects.toMatchObject({ code: 'REQUEST_INVALID' });
    }
    node.service.emit('warning', 'PEER_LOST', 'later than that');
    const query = { text: 'later than that', unacknowledged: true };
    const { events } = await api.call<{ events: { id: number }[] }>({
      method: 'GET',
      path: '/events',
      query,
    });
    expect(events).toHaveLength(1);
    const body = { upTo: events[0]?.id };
    expect(await api.call({ method: 'POST', path: '/events/acknowledge', body })).toEqual({
      by: 'root',
    });
  });

  test('whoever tries pairing tokens without end does not fill the log', async () => {
    const request = { secret: '00'.repeat(16), node: node.service.info };
    for (let tries = 0; tries < 50; tries += 1) {
      await expect(acceptJoin(node.service, request, '')).rejects.toMatchObject({
        code: tries < 10 ? 'TOKEN_UNKNOWN' : 'TOKEN_TRIES_EXCEEDED',
      });
    }
    const refused = node.service.events.find(({ code }) => code === 'JOIN_REFUSED', 100);
    expect(refused).toHaveLength(10);
  });

  test('come over the stream at once, with the status and the operations', async () => {
    const seen: [string, unknown][] = [];
    void api.follow((name, data) => seen.push([name, data])).catch(() => undefined);
    await until('the status came', async () => seen.some(([name]) => name === 'status'));
    node.service.emit('info', 'PEER_BACK', 'over the stream');
    await until('the event came', async () =>
      seen.some(([name, data]) => name === 'event' && JSON.stringify(data).includes('the stream')),
    );
    await api.run({ method: 'POST', path: '/preview', body: { dir: top } });
    await until('the operation came to its end', async () => {
      const states = seen
        .filter(([name]) => name === 'operation')
        .map(([, data]) => (data as { state: string }).state);
      return states[0] === 'running' && states.at(-1) === 'done';
    });
    await until('traffic came', async () => seen.some(([name]) => name === 'traffic'));
  });

  async function follow(token: string): Promise<IncomingMessage> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const headers = { authorization: `Bearer ${token}` };
    const at = { host: ADDRESS, port: 7440, path: '/api/v1/stream', agent: false, headers };
    httpsRequest({ ...at, rejectUnauthorized: false }, resolve)
      .once('error', reject)
      .end();
    return promise;
  }

  test('a token that is revoked hears nothing more over the stream', async () => {
    const body = { name: 'follower', role: 'viewer' };
    const call = { method: 'POST', path: '/tokens', body } as const;
    const { token } = await api.call<TokenView & { token: string }>(call);
    const [answer, other] = [await follow(token), await follow(tokens['viewer'] ?? '')];
    for (const one of [answer, other]) one.on('error', () => undefined).resume();
    await api.call({ method: 'DELETE', path: '/tokens/follower' });
    await api.call(call);
    await until('its stream ends', async () => answer.destroyed, 5000);
    expect(other.destroyed).toBe(false);
    other.destroy();
  });

  test('who takes all places of the stream does not keep others from it', async () => {
    const viewer = tokens['viewer'] ?? '';
    const greedy = await Promise.all(Array.from({ length: 40 }, async () => follow(viewer)));
    for (const answer of greedy) answer.on('error', () => undefined).resume();
    expect(greedy.filter(({ statusCode }) => statusCode === 200).length).toBeGreaterThan(25);
    const other = await follow(tokens['administrator'] ?? '');
    expect(other.statusCode).toBe(200);
    for (const answer of [...greedy, other]) answer.destroy();
  });

  test('frames are put together from any pieces', () => {
    const seen: unknown[] = [];
    const splitter = new FrameSplitter((name, data) => seen.push([name, data]));
    const text = Buffer.from('id: 1\nevent: a\ndata: {"x":"ü"}\n\n: still here\n\ndata: 2\n\n');
    for (let at = 0; at < text.length; at += 1) splitter.push(text.subarray(at, at + 1));
    expect(seen).toEqual([
      ['a', { x: 'ü' }],
      ['message', 2],
    ]);
  });
});
