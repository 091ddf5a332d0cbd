import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createConnection, createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { UnderstudyError } from '../core/errors.ts';
import {
  ControlClient,
  type ControlEvent,
  ControlServer,
  EVENTS_KEPT,
  LINE_BYTES_MAX,
  makeEvent,
} from './control-channel.ts';

let directory = '';
let path = '';
let server: ControlServer;
let atOnce = 0;
let atOnceMax = 0;

beforeEach(async () => {
  directory = mkdtempSync(join(tmpdir(), 'understudy-control-'));
  path = join(directory, 'control.sock');
  server = new ControlServer(path, {
    echo: (params) => params,
    slow: async () => sleep(5000),
    soon: async () => {
      atOnce += 1;
      atOnceMax = Math.max(atOnceMax, atOnce);
      await sleep(20);
      atOnce -= 1;
    },
    long: () => 'x'.repeat(LINE_BYTES_MAX),
    refuse: () => {
      throw new UnderstudyError('DIRECTORY_BUSY', '/srv is in use', {
        details: { processes: ['12 vim'] },
      });
    },
    broken: () => {
      throw new TypeError('not a function');
    },
  });
  await server.listen();
});

afterEach(async () => {
  await server.close();
  rmSync(directory, { recursive: true, force: true });
});

async function codeOf(promise: Promise<unknown>): Promise<string> {
  try {
    await promise;
    return 'no error';
  } catch (error) {
    return error instanceof UnderstudyError ? error.code : `foreign: ${String(error)}`;
  }
}

test('calls are answered, overlapping ones each with its own answer', async () => {
  const client = await ControlClient.connect(path);
  const texts = Array.from({ length: 50 }, (_, index) => `text ${index} äöü`);
  const answers = await Promise.all(texts.map(async (text) => client.call('echo', { text })));
  expect(answers).toEqual(texts.map((text) => ({ text })));
  client.close();
});

test('an error crosses with code, message and details', async () => {
  const client = await ControlClient.connect(path);
  await expect(client.call('refuse')).rejects.toMatchObject({
    code: 'DIRECTORY_BUSY',
    message: '/srv is in use',
    details: { processes: ['12 vim'] },
  });
  expect(await codeOf(client.call('broken'))).toBe('INTERNAL');
  expect(await codeOf(client.call('toString'))).toBe('METHOD_UNKNOWN');
  expect(await codeOf(client.call('long'))).toBe('MESSAGE_TOO_LONG');
  expect(await codeOf(client.call('slow', {}, 50))).toBe('CONTROL_TIMEOUT');
  client.close();
});

test('a newcomer gets the kept events first, then new ones, in order', async () => {
  for (let index = 0; index < EVENTS_KEPT + 5; index += 1) {
    server.broadcast(makeEvent('info', 'TICK', String(index)));
  }
  const client = await ControlClient.connect(path);
  const seen: ControlEvent[] = [];
  await client.call('echo');
  client.onEvent((event) => seen.push(event));
  server.broadcast(makeEvent('warning', 'LAST', 'last', { reasons: ['a'] }));
  await client.call('echo');
  expect(seen.length).toBe(EVENTS_KEPT + 1);
  expect(seen[0]?.message).toBe('5');
  expect(seen.at(-1)).toMatchObject({
    code: 'LAST',
    level: 'warning',
    details: { reasons: ['a'] },
  });
  client.close();
});

test('what is said behind an answer is heard behind it, also by whoever waits through others', async () => {
  const lines = ['{"id":1,"result":"first"}', '{"notice":"second"}', '{"id":2,"result":"third"}'];
  const speaker = createServer((socket) => {
    socket.once('data', () => {
      const notices = Array.from({ length: 3 }, (_, index) => `{"notice":"last ${index}"}`);
      socket.end(`${[...lines, ...notices].join('\n')}\n`);
    });
  });
  const spoken = join(directory, 'speaker.sock');
  await new Promise<void>((resolve) => {
    speaker.listen(spoken, resolve);
  });
  const client = await ControlClient.connect(spoken);
  const heard: unknown[] = [];
  client.onNotice((notice) => heard.push(notice));
  const ended = new Promise<void>((resolve) => {
    client.onClose(resolve);
  });
  const ask = async (): Promise<unknown> => client.call('any');
  const askThrough = async (): Promise<unknown> => (await ask()) as string;
  const listen = async (): Promise<void> => {
    heard.push(await askThrough());
  };
  await Promise.all([listen(), listen()]);
  await ended;
  expect(heard).toEqual(['first', 'second', 'third', 'last 0', 'last 1', 'last 2']);
  speaker.close();
});

test('whoever asks more at once than is worked on gets all answers, with what waits for them', async () => {
  const CALLS = 300;
  const lines = Array.from({ length: CALLS }, (_, id) => `{"id":${id},"method":"soon"}\n`);
  const socket = createConnection(path);
  let heard = '';
  socket.on('data', (chunk: Buffer) => (heard += chunk.toString()));
  socket.write(lines.join(''));
  await vi.waitFor(() => expect(heard.split('\n')).toHaveLength(CALLS + 1));
  expect(atOnceMax).toBe(256);
  socket.destroy();
});

test('only root may connect', () => {
  expect(statSync(path).mode & 0o777).toBe(0o600);
});

test('a second server on a socket that answers is refused, a stale file is replaced', async () => {
  expect(await codeOf(new ControlServer(path, {}).listen())).toBe('CONTROL_SOCKET_IN_USE');
  const stale = join(directory, 'stale.sock');
  const dead = createServer();
  await new Promise<void>((resolve) => {
    dead.listen(stale, resolve);
  });
  // A file whose listener is gone stays behind only after a crash: make one by renaming it away
  // from the listener that would unlink it.
  const { renameSync } = await import('node:fs');
  renameSync(stale, `${stale}.kept`);
  dead.close();
  renameSync(`${stale}.kept`, stale);
  const next = new ControlServer(stale, { echo: (params) => params });
  await next.listen();
  const client = await ControlClient.connect(stale);
  expect(await client.call('echo', { a: 1 })).toEqual({ a: 1 });
  client.close();
  await next.close();
});

test('a plain file in the place of the socket is not removed', async () => {
  const file = join(directory, 'file');
  writeFileSync(file, 'data');
  expect(await codeOf(new ControlServer(file, {}).listen())).toBe('CONTROL_SOCKET_IN_USE');
  expect(statSync(file).size).toBe(4);
});

test('nobody there: CONTROL_UNREACHABLE', async () => {
  expect(await codeOf(ControlClient.connect(join(directory, 'none')))).toBe('CONTROL_UNREACHABLE');
});

test('a call in flight when the server goes away fails with CONTROL_CLOSED', async () => {
  const client = await ControlClient.connect(path);
  const slow = codeOf(client.call('slow'));
  let closed = false;
  client.onClose(() => {
    closed = true;
  });
  await client.call('echo');
  await server.close();
  expect(await slow).toBe('CONTROL_CLOSED');
  expect(closed).toBe(true);
  expect(await codeOf(client.call('echo'))).toBe('CONTROL_CLOSED');
});

test.each([
  ['no JSON', 'hello\n'],
  ['no request', '{"id":"x"}\n'],
  ['a line without end', 'x'.repeat(LINE_BYTES_MAX + 1)],
])('hostile input ends only its own connection: %s', async (_name, input) => {
  const good = await ControlClient.connect(path);
  const socket = createConnection(path);
  const ended = new Promise<void>((resolve) => {
    socket.on('close', () => resolve());
    socket.on('error', () => undefined);
  });
  socket.write(input);
  await ended;
  expect(await good.call('echo', { still: 'here' })).toEqual({ still: 'here' });
  good.close();
});
