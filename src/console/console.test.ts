// A stand-alone console as browsers and attackers meet it, with one real node.
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { request, type ServerResponse } from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { type AddressInfo, connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TOTP } from 'otpauth';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { AuditEntry } from '../service/admin-api/audit.ts';
import { urlOf } from '../service/admin-api/route.ts';
import type { TokenView } from '../service/admin-api/tokens.ts';
import { fingerprintOf, generateCertificate } from '../service/identity.ts';
import { httpsCall } from '../service/fixtures/https-call.ts';
import { standInPrograms, TestNode, until } from '../service/fixtures/two-nodes.ts';
import { consolePaths, type ConsolePaths } from './console-paths.ts';
import { Browser } from './fixtures/browser.ts';
import type { FleetOverview } from './fleet/overview.ts';
import { type StandAlone, startStandAlone } from './stand-alone.ts';

const BLOCK = `127.${64 + (process.pid % 128)}.252`;
const NODE = `${BLOCK}.1`;
const CONSOLE = `${BLOCK}.2`;
const PORT = 7443;
const PASSWORD = 'correct horse battery';

let top = '';
let paths: ConsolePaths;
let node: TestNode;
let running: StandAlone;
let admin: Browser;
const others: Record<string, Browser> = {};
let nodeId = '';

function browser(): Browser {
  return new Browser(CONSOLE, PORT);
}

beforeAll(async () => {
  top = mkdtempSync(join(tmpdir(), 'understudy-console-'));
  mkdirSync(join(top, 'stand-in'));
  const web = join(top, 'web');
  mkdirSync(join(web, 'assets'), { recursive: true });
  writeFileSync(join(web, 'index.html'), '<meta name="csp-nonce" content="__CSP_NONCE__">app');
  writeFileSync(join(web, 'assets', 'app-1234.js'), 'void 0');
  writeFileSync(join(top, 'secret'), 'secret');
  node = new TestNode({ top, name: 'one', address: NODE, programs: standInPrograms });
  await node.init();
  await node.start();
  paths = consolePaths({
    UNDERSTUDY_ETC: join(top, 'etc'),
    UNDERSTUDY_STATE: join(top, 'console'),
  });
  // As a version before left it: with the password that was replaced.
  mkdirSync(paths.state, { recursive: true });
  const old = { what: 'POST /account/password', input: '{"present":"the former one"}' };
  const by = { at: '2026-01-02T03:04:05.678Z', who: 'former', role: 'viewer', from: '192.0.2.7' };
  const entry = { ...by, ...old, result: 'done', operation: null };
  writeFileSync(paths.audit, `${JSON.stringify(entry)}\n`);
  const config = { address: CONSOLE, port: PORT };
  running = await startStandAlone({ paths, config, version: '0.0.0', webDirectory: web });
  admin = browser();
  await admin.begin('admin', running.firstUser?.password ?? '', PASSWORD);
  for (const role of ['viewer', 'operator']) {
    const made = await admin.post('/users', { name: role, role });
    const { oneTimePassword } = made.json as { oneTimePassword: string };
    const other = browser();
    await other.begin(role, oneTimePassword, PASSWORD);
    others[role] = other;
  }
}, 60_000);
afterAll(async () => {
  await running.close();
  await node.stop();
  rmSync(top, { recursive: true, force: true });
});

async function tokenOf(role: string): Promise<string> {
  const name = `console-${role}-${Math.random().toString(36).slice(2, 8)}`;
  const made = await node.api.call<TokenView & { token: string }>({
    method: 'POST',
    path: '/tokens',
    body: { name, role },
  });
  return made.token;
}

describe('access', () => {
  test('no route but the login answers without a session', async () => {
    const open: string[] = [];
    for (const one of running.console.routes) {
      const path = urlOf(one).replaceAll(/:\w+/g, 'x').replace('*', 'api/v1/status');
      const { status, code } = await browser().send(one.method, path);
      if (one.role === 'public') open.push(path);
      else
        expect([one.method, path, status, code]).toEqual([one.method, path, 401, 'LOGIN_NEEDED']);
    }
    expect(open).toEqual(['/api/console/login']);
    expect((await browser().get('/nonsense')).status).toBe(401);
  });

  test('each route refuses the role below its own', async () => {
    const below: Record<string, string> = { operator: 'viewer', administrator: 'operator' };
    for (const one of running.console.routes) {
      const lower = others[below[one.role] ?? ''];
      if (lower === undefined) continue;
      const path = urlOf(one).replaceAll(/:\w+/g, 'x').replace('*', 'api/v1/status');
      const { status, code } = await lower.send(one.method, path);
      expect([one.method, path, status, code]).toEqual([
        one.method,
        path,
        403,
        'ROLE_INSUFFICIENT',
      ]);
    }
  });

  test('a one-time password opens nothing but the choice of another one', async () => {
    const made = await admin.post('/users', { name: 'fresh', role: 'administrator' });
    const { oneTimePassword } = made.json as { oneTimePassword: string };
    const fresh = browser();
    expect((await fresh.login('fresh', oneTimePassword)).json).toMatchObject({
      mustChangePassword: true,
    });
    expect((await fresh.get('/fleet')).code).toBe('PASSWORD_CHANGE_NEEDED');
    expect((await fresh.get('/session')).status).toBe(200);
    for (const password of ['short', 'fresh-fresh-fresh', 'aaaaaaaaaaaaaaa', oneTimePassword]) {
      const weak = await fresh.post('/account/password', { present: oneTimePassword, password });
      expect([password, weak.code]).toEqual([password, 'PASSWORD_WEAK']);
    }
    const wrong = await fresh.post('/account/password', { present: 'x', password: PASSWORD });
    expect(wrong.code).toBe('LOGIN_FAILED');
    await admin.post('/users/fresh', undefined, 'DELETE');
    expect((await fresh.get('/session')).status).toBe(401);
  });

  test('the last administrator stays, and nobody removes the own account', async () => {
    const demote = await admin.post('/users/admin', { role: 'viewer' }, 'PATCH');
    expect(demote.code).toBe('LAST_ADMINISTRATOR');
    expect((await admin.post('/users/admin', undefined, 'DELETE')).code).toBe('USER_IS_SELF');
  });
});

describe('sessions', () => {
  test('the cookie cannot be read by scripts nor sent by other sites', async () => {
    const one = browser();
    const { headers } = await one.login('viewer', PASSWORD);
    const [cookie = ''] = headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^understudy=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Max-Age=/);
  });

  test('fixation: a login never continues a session that was there before', async () => {
    const victim = browser();
    victim.cookie = `understudy=${'A'.repeat(43)}`;
    await victim.login('viewer', PASSWORD);
    expect(victim.cookie).not.toContain('AAAA');
    const attacker = browser();
    attacker.cookie = `understudy=${'A'.repeat(43)}`;
    expect((await attacker.get('/session')).status).toBe(401);
    // A second login in the same browser ends the session before.
    const first = victim.cookie;
    await victim.login('viewer', PASSWORD);
    attacker.cookie = first;
    expect((await attacker.get('/session')).status).toBe(401);
  });

  test('a logout and another password end sessions on the server', async () => {
    const one = browser();
    await one.login('viewer', PASSWORD);
    const stolen = browser();
    stolen.cookie = one.cookie;
    expect((await stolen.get('/session')).status).toBe(200);
    await one.post('/logout');
    expect((await stolen.get('/session')).status).toBe(401);
    await one.login('viewer', PASSWORD);
    stolen.cookie = one.cookie;
    const next = `${PASSWORD} 2`;
    const changed = await one.post('/account/password', { present: PASSWORD, password: next });
    expect(changed.status).toBe(200);
    expect((await stolen.get('/session')).status).toBe(401);
    one.csrf = (changed.json as { csrf: string }).csrf;
    await one.post('/account/password', { present: next, password: PASSWORD });
    others['viewer'] = browser();
    await others['viewer'].login('viewer', PASSWORD);
  });

  test('CSRF: a change needs the token, and must not come from another site', async () => {
    const body = { name: 'evil', role: 'administrator' };
    const path = '/api/console/users';
    const attempts = [
      { body, bare: true },
      { body, bare: true, headers: { 'x-csrf-token': 'x' } },
      { body, headers: { origin: 'https://evil.example' } },
      { body, headers: { origin: 'null' } },
      { body, headers: { 'sec-fetch-site': 'cross-site' } },
      { body, headers: { 'sec-fetch-site': 'same-site' } },
    ];
    for (const attempt of attempts) {
      const { status, code } = await admin.send('POST', path, attempt);
      expect([attempt, status, code]).toEqual([attempt, 403, 'CSRF_TOKEN_WRONG']);
    }
    const login = await browser().send('POST', '/api/console/login', {
      body: { name: 'admin', password: PASSWORD },
      headers: { origin: 'https://evil.example' },
    });
    expect(login.code).toBe('CSRF_TOKEN_WRONG');
    const origin = { origin: `http://${CONSOLE}:${PORT}`, 'sec-fetch-site': 'same-origin' };
    const own = await admin.send('POST', path, {
      body: { name: 'x y', role: 'viewer' },
      headers: origin,
    });
    expect(own.code).toBe('REQUEST_INVALID');
    const { json } = await admin.get('/users');
    expect((json as { name: string }[]).map(({ name }) => name)).not.toContain('evil');
  });

  test('DNS rebinding: a name that leads to this machine is not answered', async () => {
    const headers = { host: 'evil.example:7443', origin: 'http://evil.example:7443' };
    const body = { name: 'admin', password: PASSWORD };
    const answer = await browser().send('POST', '/api/console/login', { body, headers });
    expect([answer.status, answer.code]).toEqual([400, 'REQUEST_INVALID']);
    expect((await admin.send('GET', '/api/console/session', { headers })).status).toBe(400);
  });

  test('a form of another site cannot speak JSON', async () => {
    const form = await admin.send('POST', '/api/console/users', {
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    });
    expect(form.status).toBe(400);
  });
});

describe('logins', () => {
  test('brute force: after five tries a name is locked out, also for the right password', async () => {
    await admin.post('/users', { name: 'target', role: 'viewer' });
    const seen: string[] = [];
    for (let tries = 0; tries < 6; tries += 1) {
      seen.push((await browser().login('target', `guess ${tries}`)).code);
    }
    expect(seen).toEqual([
      ...Array.from({ length: 5 }, () => 'LOGIN_FAILED'),
      'LOGIN_TRIES_EXCEEDED',
    ]);
    const locked = await browser().login('target', PASSWORD);
    expect([locked.status, locked.code]).toEqual([429, 'LOGIN_TRIES_EXCEEDED']);
    expect(Number(locked.headers['retry-after'])).toBeGreaterThan(600);
    const { json } = await admin.get('/audit');
    // Neither the password that was chosen nor the one that it replaced.
    const oneTime = running.firstUser?.password ?? '?';
    for (const password of [PASSWORD, oneTime])
      expect(JSON.stringify(json)).not.toContain(password);
    expect(JSON.stringify(json)).not.toContain('the former one');
    expect((json as AuditEntry[]).find(({ who }) => who === 'former')?.input).toBe(
      '{"present":"…"}',
    );
    const failed = (json as AuditEntry[]).filter(
      ({ who, result }) => who === 'target' && result === 'LOGIN_FAILED',
    );
    expect(failed).toHaveLength(5);
    expect(JSON.stringify(json)).not.toContain('guess');
  });

  test('a name that does not exist is answered as one that does', async () => {
    const known = await browser().login('operator', 'wrong password');
    const unknown = await browser().login('nobody', 'wrong password');
    expect(unknown.text).toBe(known.text);
  });

  test('an authenticator: a code is needed, works once, and cannot be guessed', async () => {
    const made = await admin.post('/users', { name: 'careful', role: 'viewer' });
    const careful = browser();
    await careful.begin(
      'careful',
      (made.json as { oneTimePassword: string }).oneTimePassword,
      PASSWORD,
    );
    const begun = await careful.post('/account/totp', { password: PASSWORD });
    const { secret, uri } = begun.json as { secret: string; uri: string };
    expect(uri).toMatch(/^otpauth:\/\/totp\/Understudy/);
    const app = new TOTP({ secret, period: 30, digits: 6 });
    expect((await careful.post('/account/totp', { code: '000000' }, 'PUT')).code).toBe(
      'CODE_WRONG',
    );
    // The one before counts as well, so that the next login has a later one.
    const earlier = app.generate({ timestamp: Date.now() - 30_000 });
    expect((await careful.post('/account/totp', { code: earlier }, 'PUT')).status).toBe(200);
    expect((await browser().login('careful', PASSWORD)).code).toBe('LOGIN_CODE_NEEDED');
    expect((await browser().login('careful', PASSWORD, earlier)).code).toBe('LOGIN_FAILED');
    const code = app.generate();
    expect((await browser().login('careful', PASSWORD, code)).status).toBe(200);
    expect((await browser().login('careful', PASSWORD, code)).code).toBe('LOGIN_FAILED');
    // Asking what is missing in between does not begin the count anew.
    const seen = [];
    for (let tries = 0; tries < 5; tries += 1) {
      await browser().login('careful', PASSWORD);
      seen.push((await browser().login('careful', PASSWORD, '123456')).code);
    }
    expect(seen.at(-1)).toBe('LOGIN_TRIES_EXCEEDED');
  });
});

describe('nodes', () => {
  test('are added by fingerprint and token; a wrong one of either is refused', async () => {
    const probe = await admin.post('/nodes/probe', { host: NODE, port: 7440 });
    const { fingerprint } = probe.json as { fingerprint: string };
    expect(fingerprint).toBe(node.service.identity.fingerprint);
    const token = await tokenOf('administrator');
    const wrongKey = { host: NODE, fingerprint: 'ab'.repeat(32), token };
    expect((await admin.post('/nodes', wrongKey)).code).toBe('NODE_IDENTITY_WRONG');
    const wrongToken = {
      host: NODE,
      fingerprint,
      token: `ust1.${'0'.repeat(12)}.${'A'.repeat(43)}`,
    };
    expect((await admin.post('/nodes', wrongToken)).code).toBe('NODE_TOKEN_REFUSED');
    const added = await admin.post('/nodes', { host: NODE, fingerprint, token });
    expect(added.json).toMatchObject({ name: 'one', role: 'administrator' });
    expect(added.text).not.toContain(token);
    nodeId = (added.json as { id: string }).id;
    expect((await admin.post('/nodes', { host: NODE, fingerprint, token })).code).toBe(
      'NODE_KNOWN',
    );
    expect((await admin.get('/nodes')).text).not.toContain(token);
    await until('it is seen', async () => {
      const { nodes } = (await admin.get('/fleet')).json as FleetOverview;
      return nodes.some(({ name, isReachable }) => name === 'one' && isReachable);
    });
  });

  test('what is no node, or does not say so to its end, is none', async () => {
    const { certificate, key } = await generateCertificate('odd');
    let answer: (response: ServerResponse) => void = () => undefined;
    const odd = createHttpsServer({ cert: certificate, key }, (_request, response) =>
      answer(response),
    );
    await new Promise<void>((resolve) => {
      odd.listen(0, NODE, resolve);
    });
    const { port } = odd.address() as AddressInfo;
    const body = {
      host: NODE,
      port,
      fingerprint: fingerprintOf(certificate),
      token: await tokenOf('viewer'),
    };
    const said: [string, (response: ServerResponse) => void][] = [
      ['NODE_REPLY_INVALID', (response) => response.end('<html>it works</html>')],
      ['NODE_REPLY_INVALID', (response) => response.end('null')],
      ['NODE_REPLY_INVALID', (response) => response.end('{"role":"god"}')],
      ['NODE_REPLY_INVALID', (response) => response.end(`"${'x'.repeat(9 * 1024 * 1024)}"`)],
      ['NODE_UNREACHABLE', (response) => void response.write('{"role":', () => response.destroy())],
    ];
    for (const [code, one] of said) {
      answer = one;
      expect((await admin.post('/nodes', body)).code).toBe(code);
    }
    odd.closeAllConnections();
    odd.close();
  });

  test('calls go there in the name of the user, with the role of the user', async () => {
    const base = `/nodes/${nodeId}/api/v1`;
    expect((await others['viewer']?.get(`${base}/session`))?.json).toMatchObject({
      user: 'viewer',
      role: 'viewer',
    });
    expect((await others['viewer']?.get(`${base}/audit`))?.status).toBe(403);
    const refused = await others['operator']?.post(`${base}/tokens`, { name: 'x', role: 'viewer' });
    expect(refused?.code).toBe('ROLE_INSUFFICIENT');
    await admin.post(`${base}/tokens`, { name: 'by-console', role: 'viewer' });
    const audit = await node.api.call<AuditEntry[]>({ method: 'GET', path: '/audit' });
    expect(audit[0]).toMatchObject({ what: 'POST /api/v1/tokens', result: 'done' });
    expect(audit[0]?.who).toMatch(/^admin \(token console-administrator/);
    expect(audit.find(({ result }) => result === 'ROLE_INSUFFICIENT')?.who).toMatch(/^operator \(/);
  });

  test.each([
    '/../../v1/node',
    '/v1/node',
    '/api/v1/../../v1/node',
    '/api/v1/%2e%2e/%2e%2e/v1/node',
    '/metrics',
  ])('the proxy goes to the API only: %s', async (path) => {
    const { status } = await admin.send('GET', `/api/console/nodes/${nodeId}${path}`);
    expect([400, 404]).toContain(status);
  });

  test('what a node sends is no page for the browser', async () => {
    const answer = await admin.get(`/nodes/${nodeId}/api/v1/status`);
    expect(answer.headers['content-security-policy']).toContain('sandbox');
    expect(answer.headers['content-type']).toContain('application/json');
  });

  test('a node that is gone shows as such, with the age of what is known', async () => {
    const listening = request({
      host: CONSOLE,
      port: PORT,
      path: '/api/console/stream',
      headers: { cookie: admin.cookie },
    });
    const seen: string[] = [];
    listening.on('response', (response) =>
      response.setEncoding('utf8').on('data', (text: string) => seen.push(text)),
    );
    listening.on('error', () => undefined);
    listening.end();
    await until('the fleet came', async () => seen.join('').includes('event: fleet'));
    await node.stop();
    await until('it is told', async () =>
      /event: node\ndata: .*"isReachable":false/.test(seen.join('')),
    );
    const { nodes } = (await admin.get('/fleet')).json as FleetOverview;
    expect(nodes[0]).toMatchObject({ isReachable: false, level: 'error', name: 'one' });
    expect(nodes[0]?.ageMs).toBeGreaterThan(0);
    const call = await admin.get(`/nodes/${nodeId}/api/v1/status`);
    expect([call.status, call.code]).toEqual([502, 'NODE_UNREACHABLE']);
    await node.start();
    await until(
      'it is back',
      async () => seen.join('').split('"isReachable":true').length > 2,
      30_000,
    );
    listening.destroy();
  });
});

describe('files', () => {
  test('the page has a nonce of its own and allows nothing from elsewhere', async () => {
    const [one, other] = [
      await browser().send('GET', '/'),
      await browser().send('GET', '/groups/shop'),
    ];
    const policy = String(one.headers['content-security-policy']);
    const nonce = /'nonce-([^']+)'/.exec(policy)?.[1] ?? '';
    expect(policy).toContain("script-src 'self';");
    expect(one.text).toContain(nonce);
    expect(other.text).toContain('app');
    expect(other.text).not.toContain(nonce);
  });

  test('assets are kept for long; what is outside is not there', async () => {
    const asset = await browser().send('GET', '/assets/app-1234.js');
    expect(asset.headers['cache-control']).toContain('immutable');
    for (const path of [
      '/../secret',
      '/%2e%2e/secret',
      '/assets/..%2f..%2fsecret',
      '/assets/../../secret.js',
    ]) {
      expect((await browser().send('GET', path)).text).not.toContain('secret\n');
      expect((await browser().send('GET', path)).text).not.toBe('secret');
    }
    expect((await browser().send('GET', '/assets/none.js')).status).toBe(404);
  });
});

test('off this machine there is TLS only, and the cookie says so', async () => {
  const other = consolePaths({
    UNDERSTUDY_STATE: join(top, 'other'),
    UNDERSTUDY_ETC: join(top, 'other'),
  });
  // 0.0.0.0 is no loopback address; it is reached over one here.
  const config = { address: '0.0.0.0', port: 20_000 + (process.pid % 20_000) };
  const open = await startStandAlone({ paths: other, config, version: '0.0.0' });
  try {
    expect(open.url).toMatch(/^https:/);
    const { user = '', password = '' } = open.firstUser ?? {};
    const answer = await httpsCall({
      host: CONSOLE,
      port: config.port,
      method: 'POST',
      path: '/api/console/login',
      body: { name: user, password },
    });
    expect(answer.status).toBe(200);
    const [cookie = ''] = answer.headers['set-cookie'] ?? [];
    expect(cookie).toMatch(/^__Host-understudy=.*; Secure/);
    await expect(new Browser(CONSOLE, config.port).get('/session')).rejects.toThrow();
  } finally {
    await open.close();
  }
});

test('connections of one address that say nothing do not keep others out', async () => {
  const other = consolePaths({
    UNDERSTUDY_STATE: join(top, 'besieged'),
    UNDERSTUDY_ETC: join(top, 'besieged'),
  });
  const config = { address: '0.0.0.0', port: 20_000 + ((process.pid + 2) % 20_000) };
  const open = await startStandAlone({ paths: other, config, version: '0.0.0' });
  const from = { host: '127.0.0.1', port: config.port, localAddress: '127.0.0.9' };
  const silent = Array.from({ length: 600 }, () => connect(from).on('error', () => undefined));
  try {
    await Promise.all(silent.map(async (socket) => once(socket, 'connect').catch(() => undefined)));
    const call = { host: CONSOLE, port: config.port, path: '/api/console/session' };
    expect((await httpsCall(call)).status).toBe(401);
  } finally {
    for (const socket of silent) socket.destroy();
    await open.close();
  }
});

test('a port that is taken: nothing stays, and the password is shown by the start that works', async () => {
  const other = consolePaths({
    UNDERSTUDY_STATE: join(top, 'late'),
    UNDERSTUDY_ETC: join(top, 'late'),
  });
  const timers = (): number =>
    process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
  const before = timers();
  const taken = { address: CONSOLE, port: PORT };
  await expect(
    startStandAlone({ paths: other, config: taken, version: '0.0.0' }),
  ).rejects.toMatchObject({ code: 'API_PORT_UNAVAILABLE' });
  expect(timers()).toBeLessThanOrEqual(before);
  const free = { address: CONSOLE, port: 20_000 + ((process.pid + 1) % 20_000) };
  const open = await startStandAlone({ paths: other, config: free, version: '0.0.0' });
  await open.close();
  expect(open.firstUser).toMatchObject({ user: 'admin' });
});
