// Probes of the network against stand-ins: what each answer, and the lack of one, comes to. Every probe
// ends with its time and leaves no connection behind.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createServer as createHttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { testPlace, type TestPlace } from '../../../test/support/agent-context.ts';
import { makeLinkIdentity } from '../../../test/support/link-identity.ts';
import { exchangeServer } from '../../../test/support/stand-ins/exchange-server.ts';
import { imapServer, smtpServer } from '../../../test/support/stand-ins/mail-server.ts';
import { oracleListener } from '../../../test/support/stand-ins/oracle-listener.ts';
import { freePort, serve, silentServer } from '../../../test/support/stand-ins/serve.ts';
import { sqlserverServer } from '../../../test/support/stand-ins/sqlserver-server.ts';
import { sybaseServer } from '../../../test/support/stand-ins/sybase-server.ts';
import type { ProbeResult } from '../agent.ts';
import { builtins } from './index.ts';
import { connectTo } from './support/connection.ts';

const SHORT_MS = 800;

let place: TestPlace;
let identity: Awaited<ReturnType<typeof makeLinkIdentity>>;

beforeAll(async () => {
  identity = await makeLinkIdentity('mail.example.net');
});
beforeEach(() => {
  place = testPlace();
});
afterEach(() => place[Symbol.dispose]());

async function probe(use: string, given: object, timeoutMs?: number): Promise<ProbeResult> {
  const agent = await builtins.get(use)?.load();
  if (agent === undefined) throw new Error(`no agent ${use}`);
  const context = place.context(timeoutMs === undefined ? {} : { timeoutMs });
  return await agent.probe(agent.parameters.parse(given), context);
}

test('the password in an address is used, and told to nobody', async () => {
  const asked: (string | undefined)[] = [];
  const server = createHttpServer((request, response) => {
    asked.push(request.headers.authorization);
    response.end('ready');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const { port } = server.address() as AddressInfo;
  const url = `http://ann:hunter2@127.0.0.1:${port}/`;
  const seen = [await probe('http', { url }), await probe('http', { url, expectText: 'open' })];
  server.close();
  seen.push(await probe('http', { url }));
  expect(seen.map(({ state }) => state)).toEqual(['ok', 'failed', 'stopped']);
  for (const { sentence } of seen) {
    expect(sentence).toContain(`http://127.0.0.1:${port}/`);
    expect(sentence).not.toContain('hunter2');
  }
  expect(asked).toEqual(Array(2).fill(`Basic ${Buffer.from('ann:hunter2').toString('base64')}`));
});

describe('a server that says nothing', () => {
  test.each([
    ['tcp', (port: number) => ({ port, expect: 'hello' })],
    ['mail', (port: number) => ({ smtpPort: port })],
    ['mail', (port: number) => ({ smtp: false, imap: true, imapPort: port })],
    ['http', (port: number) => ({ url: `http://127.0.0.1:${port}/` })],
    ['http', (port: number) => ({ url: `https://127.0.0.1:${port}/` })],
    ['exchange', (port: number) => ({ smtpPort: port, httpsPort: port })],
    ['sybase', (port: number) => ({ port, login: 'sa', password: 'x' })],
    ['sqlserver', (port: number) => ({ port, login: 'sa', password: 'x' })],
    ['oracle', (port: number) => ({ port, service: 'ORCL', login: 'x', password: 'x' })],
    ['postgresql', (port: number) => ({ host: '127.0.0.1', port, dataDir: '/nonexistent' })],
    ['mysql', (port: number) => ({ host: '127.0.0.1', port, dataDir: '/nonexistent' })],
    ['redis', (port: number) => ({ port })],
  ] as const)('%s gives up in time and leaves', async (use, given) => {
    await using server = await silentServer();
    const from = performance.now();
    await expect(probe(use, given(server.port), SHORT_MS)).rejects.toThrow();
    expect(performance.now() - from).toBeLessThan(SHORT_MS + 4000);
    expect(server.accepted).toBeGreaterThan(0);
    await server.untilLeft();
  });
});

describe('a port at which nobody listens: stopped', () => {
  test.each([
    ['tcp', (port: number) => ({ port })],
    ['mail', (port: number) => ({ smtpPort: port })],
    ['http', (port: number) => ({ url: `http://127.0.0.1:${port}/` })],
    ['exchange', (port: number) => ({ smtpPort: port, httpsPort: port })],
    ['sybase', (port: number) => ({ port })],
    ['sqlserver', (port: number) => ({ port })],
    ['oracle', (port: number) => ({ port, service: 'ORCL' })],
    ['postgresql', (port: number) => ({ host: '127.0.0.1', port, dataDir: '/nonexistent' })],
    ['mysql', (port: number) => ({ host: '127.0.0.1', port, dataDir: '/nonexistent' })],
    ['redis', (port: number) => ({ port })],
  ] as const)('%s', async (use, given) => {
    const result = await probe(use, given(await freePort()));
    expect(result).toMatchObject({ state: 'stopped', sentence: expect.stringMatching(/^no/) });
  });
});

describe('a server of another kind that closes at once: failed, in words', () => {
  test.each([
    ['mail', (port: number) => ({ smtpPort: port })],
    ['http', (port: number) => ({ url: `http://127.0.0.1:${port}/` })],
    ['sybase', (port: number) => ({ port })],
    ['sqlserver', (port: number) => ({ port })],
    ['oracle', (port: number) => ({ port, service: 'ORCL' })],
    ['postgresql', (port: number) => ({ host: '127.0.0.1', port, dataDir: '/nonexistent' })],
    ['mysql', (port: number) => ({ host: '127.0.0.1', port, dataDir: '/nonexistent' })],
    ['redis', (port: number) => ({ port })],
  ] as const)('%s', async (use, given) => {
    await using server = await serve((socket) => {
      socket.resume();
      socket.end('SSH-2.0-OpenSSH_9.2\r\n');
    });
    const result = await probe(use, given(server.port));
    expect(result.state).toBe('failed');
    expect(result.sentence.length).toBeGreaterThan(20);
    await server.untilLeft();
  });
});

describe('tcp', () => {
  test('accepts; answers as expected; answers otherwise', async () => {
    await using server = await serve((socket) => {
      socket.on('data', (chunk) => socket.end(`got ${chunk.toString()}`));
    });
    const { port } = server;
    expect(await probe('tcp', { port })).toMatchObject({ state: 'ok' });
    const send = String.raw`PING\r\n`;
    expect(await probe('tcp', { port, send, expect: 'got PING' })).toMatchObject({ state: 'ok' });
    expect(await probe('tcp', { port, send, expect: 'PONG' })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('said "got PING" instead of "PONG"'),
    });
    await server.untilLeft();
  });

  test('texts in any script are sent and expected as UTF-8', async () => {
    await using server = await serve((socket) => {
      socket.on('data', (chunk) => socket.end(`${chunk.toString()} 正常`));
    });
    const { port } = server;
    const send = '状態';
    expect(await probe('tcp', { port, send, expect: '状態 正常' })).toMatchObject({ state: 'ok' });
    expect((await probe('tcp', { port, send, expect: '異常' })).sentence).toContain(
      'said "状態 正常" instead of "異常"',
    );
  });

  test('one that says much is not listened to for ever', async () => {
    await using server = await serve((socket) => {
      const say = (): void => {
        if (!socket.destroyed) socket.write('x'.repeat(100_000), say);
      };
      say();
    });
    expect(await probe('tcp', { port: server.port, expect: 'never' })).toMatchObject({
      state: 'failed',
    });
    await server.untilLeft();
  });
});

describe('mail', () => {
  test('greeting and EHLO, with and without TLS', async () => {
    await using plain = await smtpServer();
    await using secure = await smtpServer({ offersTls: true, identity });
    expect(await probe('mail', { smtpPort: plain.port })).toMatchObject({
      state: 'ok',
      sentence: expect.stringContaining('said "220 mail.example.net ESMTP ready"'),
      measures: { smtpConnectMs: expect.any(Number), smtpAnswerMs: expect.any(Number) },
    });
    expect(await probe('mail', { smtpPort: plain.port, tls: 'offered' })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('does not offer STARTTLS'),
    });
    expect(await probe('mail', { smtpPort: secure.port, tls: 'starttls' })).toMatchObject({
      state: 'ok',
      sentence: expect.stringContaining('with TLS'),
    });
    const strict = { smtpPort: secure.port, tls: 'starttls', verifyCertificate: true };
    expect(await probe('mail', strict)).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('no TLS session came about'),
    });
    await plain.untilLeft();
    await secure.untilLeft();
  });

  test('too many connections is no failure; a refusal is', async () => {
    await using busy = await smtpServer({ greeting: '421 4.7.0 too many connections' });
    await using closed = await smtpServer({ greeting: '554 no SMTP service here' });
    expect(await probe('mail', { smtpPort: busy.port })).toMatchObject({ state: 'degraded' });
    expect(await probe('mail', { smtpPort: closed.port })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('"554 no SMTP service here" instead of 220'),
    });
  });

  test('IMAP: greeting, capability, STARTTLS', async () => {
    await using server = await imapServer({ offersTls: true, identity });
    await using bye = await imapServer({ greeting: '* BYE out of memory' });
    const given = { smtp: false, imap: true };
    expect(await probe('mail', { ...given, imapPort: server.port })).toMatchObject({ state: 'ok' });
    expect(await probe('mail', { ...given, imapPort: server.port, tls: 'starttls' })).toMatchObject(
      { state: 'ok', sentence: expect.stringContaining('with TLS') },
    );
    expect(await probe('mail', { ...given, imapPort: bye.port })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('BYE out of memory'),
    });
    await server.untilLeft();
  });
});

describe('http', () => {
  const server = createHttpServer((request, response) => {
    response.statusCode = request.url === '/broken' ? 503 : 200;
    response.end(`host ${request.headers.host}: ready, 17 orders`);
  });
  let port = 0;
  beforeAll(async () => {
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    port = typeof address === 'object' && address !== null ? address.port : 0;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  test('status, text, pattern, host', async () => {
    const url = `http://127.0.0.1:${port}/`;
    expect(await probe('http', { url, expectText: 'ready' })).toMatchObject({
      state: 'ok',
      measures: { totalMs: expect.any(Number) },
    });
    const pattern = { url, expectPattern: String.raw`\d+ orders` };
    expect(await probe('http', pattern)).toMatchObject({ state: 'ok' });
    expect(await probe('http', { url, expectText: 'gone' })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('"gone" is not on the page'),
    });
    expect(await probe('http', { url: `${url}broken` })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('answered 503 instead of 200'),
    });
    const broken = { url: `${url}broken`, expectStatus: [200, 503] };
    expect(await probe('http', broken)).toMatchObject({ state: 'ok' });
    const named = { url: `http://shop.example.net:${port}/`, connectTo: '127.0.0.1' };
    expect(
      await probe('http', { ...named, expectText: `host shop.example.net:${port}` }),
    ).toMatchObject({ state: 'ok' });
  });
});

describe('Exchange (stand-in)', () => {
  test('SMTP and health pages; one page that is not healthy is named', async () => {
    await using server = await exchangeServer(identity);
    const given = { smtpPort: server.smtp.port, httpsPort: server.httpsPort };
    expect(await probe('exchange', given)).toMatchObject({
      state: 'ok',
      measures: { smtpMs: expect.any(Number), owaMs: expect.any(Number) },
    });
    server.pages.set('/mapi/healthcheck.htm', 503);
    expect(await probe('exchange', given)).toMatchObject({
      state: 'failed',
      sentence: expect.stringMatching(/mapi\/healthcheck\.htm answered 503 instead of 200$/),
    });
    expect(await probe('exchange', { ...given, smtpPort: await freePort() })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('nobody listens for SMTP'),
    });
  });
});

describe('Sybase ASE (stand-in)', () => {
  const options = { login: 'sa', password: 'secret', databases: ['master', 'shop'] };

  test('login and database', async () => {
    await using server = await sybaseServer(options);
    const given = { port: server.port, login: 'sa', password: 'secret' };
    expect(await probe('sybase', given)).toMatchObject({
      state: 'ok',
      measures: { connectMs: expect.any(Number), queryMs: expect.any(Number) },
    });
    expect(server.commands).toEqual(['use master']);
    expect(await probe('sybase', { ...given, database: 'sales' })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining("Database 'sales' has not been recovered yet"),
    });
    expect(await probe('sybase', { ...given, password: 'wrong' })).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('does not let "sa" in: Login failed. (4002)'),
    });
    expect(await probe('sybase', { port: server.port })).toMatchObject({ state: 'ok' });
    await server.untilLeft();
  });
});

test.skipIf(!existsSync('/usr/bin/tsql'))(
  "the stand-in is a Sybase to FreeTDS's tsql, which we did not write",
  async () => {
    await using server = await sybaseServer({
      login: 'sa',
      password: 'secret',
      databases: ['master', 'shop'],
    });
    const tsql = async (password: string): Promise<string> => {
      const login = ['-H', '127.0.0.1', '-p', String(server.port), '-U', 'sa', '-P', password];
      const env = { ...process.env, TDSVER: '5.0' };
      const child = spawn('tsql', login, { env, timeout: 10_000 });
      child.stdin.on('error', () => undefined);
      child.stdin.end('use shop\ngo\nuse sales\ngo\nexit\n');
      let said = '';
      for (const stream of [child.stdout, child.stderr]) {
        stream.on('data', (chunk: Buffer) => (said += chunk.toString()));
      }
      await new Promise((resolve) => {
        child.once('close', resolve);
      });
      return said;
    };
    expect(await tsql('secret')).toContain("Database 'sales' has not been recovered yet");
    expect(server.commands).toEqual(expect.arrayContaining(['use shop\n', 'use sales\n']));
    expect(await tsql('wrong')).toContain('Login failed');
  },
);

describe('SQL Server (stand-in)', () => {
  const options = {
    login: 'watch',
    password: 'Secret+1',
    databases: { master: 'ONLINE', shop: 'RECOVERING', old: 'SUSPECT', copy: 'READ_ONLY' },
  };
  const given = { login: 'watch', password: 'Secret+1', encrypt: false };

  test('login and state of the database', async () => {
    await using server = await sqlserverServer(options);
    const { port } = server;
    expect(await probe('sqlserver', { ...given, port })).toMatchObject({
      state: 'ok',
      sentence: expect.stringContaining('database "master" of SQL Server'),
      measures: { connectMs: expect.any(Number), loginMs: expect.any(Number) },
    });
    const states: readonly [string, string, string][] = [
      ['shop', 'degraded', 'RECOVERING, not ONLINE'],
      ['old', 'failed', 'SUSPECT, not ONLINE'],
      ['copy', 'degraded', 'read-only'],
      ["it's", 'failed', 'there is no database'],
    ];
    for (const [database, state, said] of states) {
      expect(await probe('sqlserver', { ...given, port, database })).toMatchObject({
        state,
        sentence: expect.stringContaining(said),
      });
    }
    await server.untilLeft();
  });

  test('a wrong password is no failure of the server', async () => {
    await using server = await sqlserverServer(options);
    const { port } = server;
    expect(await probe('sqlserver', { ...given, port, password: 'wrong' })).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining("Login failed for user 'watch'"),
    });
    expect(await probe('sqlserver', { encrypt: false, port })).toMatchObject({ state: 'ok' });
    await server.untilLeft();
  });

  test('heartbeat, and a full disk', async () => {
    await using server = await sqlserverServer(options);
    await using full = await sqlserverServer({
      ...options,
      heartbeatError: [1105, "Could not allocate space for object in database 'master'."],
    });
    const heartbeat = { ...given, heartbeat: true };
    expect(await probe('sqlserver', { ...heartbeat, port: server.port })).toMatchObject({
      state: 'ok',
      measures: { heartbeatMs: expect.any(Number) },
    });
    expect(await probe('sqlserver', { ...heartbeat, port: full.port })).toMatchObject({
      state: 'failed',
      sentence: expect.stringContaining('Could not allocate space'),
    });
  });

  test('one that hangs after the login', async () => {
    await using server = await sqlserverServer({ ...options, isHungAfterLogin: true });
    await expect(probe('sqlserver', { ...given, port: server.port }, SHORT_MS)).rejects.toThrow();
    await server.untilLeft();
  });
});

describe('Oracle (stand-in for its listener)', () => {
  // The longer name does not fit into the first packet, whatever this machine and its user are called.
  const services = ['ORCLPDB1', `ORCLPDB1.${'x'.repeat(119)}`];
  test.each([
    [12_514, 'failed', 'the instance is not up'],
    [12_528, 'failed', 'ORA-12528'],
    [12_516, 'degraded', 'no session left'],
  ] as const)('ORA-%i: %s', async (error, state, said) => {
    await using server = await oracleListener(error);
    for (const service of services) {
      const given = { port: server.port, service, login: 'x', password: 'y' };
      expect(await probe('oracle', given)).toMatchObject({
        state,
        sentence: expect.stringContaining(said),
      });
      expect(server.descriptions.at(-1)).toMatch(/^\(DESCRIPTION=.*\(PROGRAM=understudy\).*\)$/);
      expect(server.descriptions.at(-1)).toContain(`(SERVICE_NAME=${service})`);
      await server.untilLeft();
    }
    expect(server.descriptions).toHaveLength(services.length);
  });
});

test('a passwordFile that is not there degrades, and is named', async () => {
  for (const use of ['postgresql', 'mysql', 'redis', 'sybase', 'sqlserver']) {
    const result = await probe(use, { passwordFile: '/nonexistent/password' });
    expect(result).toMatchObject({
      state: 'degraded',
      sentence: expect.stringContaining('/nonexistent/password'),
    });
  }
});

test('a Unix socket whose queue is full belongs to a server that is slow: it is waited for', async () => {
  const path = join(place.top, 'full.sock');
  const program = `import socket, time
server = socket.socket(socket.AF_UNIX)
server.bind("${path}")
server.listen(0)
waiting = socket.socket(socket.AF_UNIX)
waiting.connect("${path}")
print("full", flush=True)
time.sleep(0.5)
connections = [server.accept() for _ in range(2)]
time.sleep(60)`;
  const child = spawn('python3', ['-c', program], { stdio: ['ignore', 'pipe', 'ignore'] });
  try {
    await once(child.stdout, 'data');
    const { socket, connectMs } = await connectTo({ path }, AbortSignal.timeout(5000));
    socket.destroy();
    expect(connectMs).toBeGreaterThan(200);
  } finally {
    child.kill('SIGKILL');
  }
});
