// Alerts: what becomes a message and when (with a clock of our own), and what really arrives at servers for mail and webhooks.
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync, statSync } from 'node:fs';
import { createServer, type Server, type ServerResponse } from 'node:http';
import { type AddressInfo, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import type { ControlEvent } from '../control-channel.ts';
import { until } from '../fixtures/two-nodes.ts';
import type { NodeService } from '../node-service.ts';
import { AlertGrouper } from './alert-grouper.ts';
import { alertMessage, cutBytes, testMessage } from './alert-message.ts';
import { sendAlert } from './alert-senders.ts';
import {
  AlertSettings,
  type AlertTiming,
  type Channel,
  channelInputSchema,
  channelView,
} from './alert-settings.ts';
import { Alerts } from './alerts.ts';

const SECOND = 1000;
const MINUTE = 60_000;
const HOUR = 3_600_000;
const timing: AlertTiming = { groupSeconds: 10, repeatMinutes: 60, messagesPerHour: 3 };

function event(
  code: string,
  message = code,
  group = 'shop',
  level: ControlEvent['level'] = 'error',
) {
  return { id: 1, at: '2026-01-01T00:00:00.000Z', level, code, message, details: { group } };
}

describe('grouping', () => {
  test('events within the time become one message; nothing before', () => {
    const grouper = new AlertGrouper(() => timing);
    grouper.note(event('A'), 0);
    grouper.note(event('B'), 9 * SECOND);
    expect(grouper.due(9.9 * SECOND)).toBeUndefined();
    expect(grouper.waitMs(9 * SECOND)).toBe(SECOND);
    expect(grouper.due(10 * SECOND)?.events.map(({ code }) => code)).toEqual(['A', 'B']);
    expect(grouper.waitMs(11 * SECOND)).toBeUndefined();
  });

  test('the same about the same group is counted, and told again after the interval with its count', () => {
    const grouper = new AlertGrouper(() => timing);
    grouper.note(event('A'), 0);
    grouper.due(10 * SECOND);
    for (let at = 1; at < 60; at += 1) grouper.note(event('A', `A ${at}`), at * MINUTE);
    grouper.note(event('A', 'A', 'mail'), 59 * MINUTE);
    expect(grouper.due(60 * MINUTE)?.events).toMatchObject([
      { details: { group: 'mail' }, more: 0 },
    ]);
    grouper.note(event('A'), 62 * MINUTE);
    expect(grouper.due(63 * MINUTE)?.events).toMatchObject([{ code: 'A', more: 59 }]);
  });

  test('the last of what was only counted is told when its time is over, though nothing more happens', () => {
    const grouper = new AlertGrouper(() => timing);
    for (const [minute, code] of ['LOST', 'BACK', 'LOST', 'LOST'].entries()) {
      grouper.note(event(code, `${code} ${minute}`), minute * MINUTE);
      grouper.due(minute * MINUTE + 10 * SECOND);
    }
    expect(grouper.waitMs(4 * MINUTE)).toBe(56 * MINUTE + 10 * SECOND);
    expect(grouper.due(HOUR + 10 * SECOND)).toBeUndefined();
    const batch = grouper.due(HOUR + 20 * SECOND);
    expect(batch?.events).toMatchObject([{ message: 'LOST 3', more: 1 }]);
    expect(grouper.waitMs(2 * HOUR)).toBeUndefined();
  });

  test('what was one message too many is told as soon as the hour has room, though nothing more happens', () => {
    const grouper = new AlertGrouper(() => timing);
    for (let minute = 0; minute < 30; minute += 1) {
      grouper.note(event(`C${minute}`), minute * MINUTE);
      grouper.due(minute * MINUTE + 10 * SECOND);
    }
    expect(grouper.waitMs(30 * MINUTE)).toBe(30 * MINUTE + 10 * SECOND);
    const batch = grouper.due(HOUR + 10 * SECOND);
    expect(batch).toMatchObject({ unshown: 0, dropped: 7 });
    expect(batch?.events.map(({ code }) => code).slice(-2)).toEqual(['C28', 'C29']);
    expect(grouper.waitMs(2 * HOUR)).toBeUndefined();
  });

  test('no storm: a flood of different events costs so many messages an hour, and says what it left out', () => {
    const grouper = new AlertGrouper(() => timing);
    let messages = 0;
    let told = 0;
    for (let at = 0; at < HOUR; at += SECOND) {
      grouper.note(event(`CODE_${at}`), at);
      const batch = grouper.due(at);
      if (batch === undefined) continue;
      messages += 1;
      told += batch.events.length + batch.unshown;
    }
    expect(messages).toBe(timing.messagesPerHour);
    grouper.note(event('LATER'), 2 * HOUR);
    const batch = grouper.due(2 * HOUR + 10 * SECOND);
    expect(told + (batch?.dropped ?? 0) + (batch?.unshown ?? 0) + (batch?.events.length ?? 0)).toBe(
      3601,
    );
  });

  test('a batch shows twenty events and counts the others', () => {
    const grouper = new AlertGrouper(() => timing);
    for (let index = 0; index < 500; index += 1) grouper.note(event(`C${index}`), 0);
    const batch = grouper.due(10 * SECOND);
    expect([batch?.events.length, batch?.unshown]).toEqual([20, 480]);
  });
});

describe('messages', () => {
  test('the worst comes into the subject; line breaks and control characters never', () => {
    const batch = {
      events: [
        { ...event('A', 'first', 'shop', 'warning'), more: 0 },
        { ...event('B', 'worst\r\nBcc: all@example.com'), more: 3 },
      ],
      unshown: 5,
      dropped: 7,
    };
    const { subject, text } = alertMessage('one', batch);
    expect(subject).toBe('Understudy one: shop: worst Bcc: all@example.com (and 6 more)');
    expect(text).toContain('3 more of the same');
    expect(text).toContain('5 more events');
    expect(text).toContain('7 events before were not told');
    expect(text).not.toContain('\r');
  });

  test('cut to bytes at a character', () => {
    expect(cutBytes('abc', 10)).toBe('abc');
    const cut = cutBytes('漢字漢字漢字', 11);
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(11);
    expect(cut).toBe('漢字…');
  });
});

interface Received {
  readonly url: string;
  readonly headers: Record<string, unknown>;
  readonly body: string;
}

describe('channels', () => {
  let server: Server;
  let base = '';
  let received: Received[] = [];
  let reply = '{"errcode":0,"code":0}';
  let status = 200;
  beforeEach(async () => {
    received = [];
    reply = '{"errcode":0,"code":0}';
    status = 200;
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk) => {
        body += String(chunk);
      });
      request.on('end', () => {
        received.push({ url: request.url ?? '', headers: request.headers, body });
        response.writeHead(status, { location: '/elsewhere' }).end(reply);
      });
    });
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => server.close());

  const message = testMessage('one', 'x', '2026-01-01T00:00:00.000Z');
  const channel = (input: object): Channel => ({
    ...channelInputSchema.parse({ name: 'x', ...input }),
    id: '00000000',
  });
  const body = (): Record<string, unknown> =>
    JSON.parse(received[0]?.body ?? '{}') as Record<string, unknown>;

  test('webhook: JSON with a signature of the body', async () => {
    await sendAlert(channel({ kind: 'webhook', url: `${base}/hook`, secret: 's3cret' }), message);
    expect(body()).toMatchObject({ node: 'one', events: [{ code: 'ALERT_TEST' }] });
    const expected = createHmac('sha256', 's3cret')
      .update(received[0]?.body ?? '')
      .digest('hex');
    expect(received[0]?.headers['x-understudy-signature']).toBe(expected);
  });

  test('WeCom: a text of at most 2048 bytes', async () => {
    const long = { ...message, text: '漢'.repeat(3000) };
    await sendAlert(channel({ kind: 'wecom', url: `${base}/cgi-bin/webhook/send?key=k` }), long);
    const { msgtype, text } = body() as { msgtype: string; text: { content: string } };
    expect([received[0]?.url, msgtype]).toEqual(['/cgi-bin/webhook/send?key=k', 'text']);
    expect(Buffer.byteLength(text.content)).toBeLessThanOrEqual(2048);
  });

  test('DingTalk: timestamp and signature in the URL', async () => {
    const url = `${base}/robot/send?access_token=t`;
    await sendAlert(channel({ kind: 'dingtalk', url, secret: 'SEC1' }), message);
    const { searchParams } = new URL(received[0]?.url ?? '', base);
    const timestamp = searchParams.get('timestamp') ?? '';
    expect(Math.abs(Number(timestamp) - Date.now())).toBeLessThan(MINUTE);
    const sign = createHmac('sha256', 'SEC1').update(`${timestamp}\nSEC1`).digest('base64');
    expect(searchParams.get('sign')).toBe(sign);
    expect(body()).toMatchObject({ msgtype: 'text' });
  });

  test('Feishu: timestamp in seconds and signature in the body', async () => {
    await sendAlert(channel({ kind: 'feishu', url: `${base}/hook/x`, secret: 'SEC2' }), message);
    const { timestamp, sign, msg_type, content } = body() as Record<string, string>;
    expect(Math.abs(Number(timestamp) - Date.now() / 1000)).toBeLessThan(60);
    expect(sign).toBe(createHmac('sha256', `${timestamp ?? ''}\nSEC2`).digest('base64'));
    expect([msg_type, content]).toEqual(['text', { text: message.text }]);
  });

  test('an answer that repeats what was sent gives no key away', async () => {
    status = 404;
    const key = '693axxx6-7aoc-4bc4-97a0-0ec2sifa5aaa';
    const sent: [object, string][] = [
      [{ kind: 'wecom', url: `${base}/cgi-bin/webhook/send?key=${key}` }, key],
      [
        { kind: 'dingtalk', url: `${base}/robot/send?access_token=a%2Fb%2Bc`, secret: 'SEC1' },
        'a%2Fb%2Bc',
      ],
      [{ kind: 'feishu', url: `${base}/open-apis/bot/v2/hook/${key}`, secret: 'SEC2' }, key],
      [{ kind: 'webhook', url: base.replace('//', '//ann:hunter2@'), secret: 's3cret' }, 'hunter2'],
    ];
    for (const [input, secret] of sent) {
      reply = `Cannot POST ${String((input as { url: string }).url)}`;
      const said = await sendAlert(channel(input), message).catch(String);
      expect(said).toContain('status 404: Cannot POST http');
      expect(said).not.toContain(secret);
    }
  });

  test('an answer that comes in drops is given up as a whole', async () => {
    const slow = createServer((_request, response) => void response.write('{'));
    await new Promise<void>((resolve) => {
      slow.listen(0, '127.0.0.1', resolve);
    });
    const { port } = slow.address() as AddressInfo;
    const begun = new Promise<ServerResponse>((resolve) => {
      slow.once('request', (_request, response: ServerResponse) => resolve(response));
    });
    let drops: NodeJS.Timeout | undefined;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const said = sendAlert(
        channel({ kind: 'webhook', url: `http://127.0.0.1:${port}/` }),
        message,
      ).catch(String);
      const response = await begun;
      drops = setInterval(() => response.write(' '), 1000);
      vi.advanceTimersByTime(15_000);
      expect(await said).toContain('did not answer in time');
    } finally {
      clearInterval(drops);
      vi.useRealTimers();
      slow.closeAllConnections();
      slow.close();
    }
  });

  test('a robot that says no, a status that is none, an answer that is no JSON, a redirect', async () => {
    const wecom = channel({ kind: 'wecom', url: base });
    reply = '{"errcode":93000,"errmsg":"invalid webhook url"}';
    await expect(sendAlert(wecom, message)).rejects.toThrow(/93000: invalid webhook url/);
    reply = 'nonsense';
    await expect(sendAlert(wecom, message)).rejects.toMatchObject({ code: 'ALERT_NOT_SENT' });
    status = 500;
    await expect(sendAlert(wecom, message)).rejects.toThrow(/status 500/);
    status = 302;
    await expect(sendAlert(channel({ kind: 'webhook', url: base }), message)).rejects.toThrow(
      /302/,
    );
    expect(received).toHaveLength(4);
    server.close();
    const gone = channel({ kind: 'webhook', url: 'http://127.0.0.1:1/' });
    await expect(sendAlert(gone, message)).rejects.toThrow(/ECONNREFUSED/);
  });

  test('e-mail over SMTP, with a login; a server that refuses says why', async () => {
    const seen: string[] = [];
    let refuses = false;
    const smtp = createTcpServer((socket) => {
      let inData = false;
      socket.write('220 test ESMTP\r\n');
      socket.on('data', (chunk) => {
        for (const line of String(chunk).split('\r\n')) {
          if (line === '' && !inData) continue;
          seen.push(line);
          if (inData) {
            if (line !== '.') continue;
            inData = false;
            socket.write('250 queued\r\n');
          } else if (line.startsWith('EHLO')) socket.write('250-test\r\n250 AUTH PLAIN\r\n');
          else if (line.startsWith('AUTH')) socket.write('235 ok\r\n');
          else if (line.startsWith('RCPT') && refuses) socket.write('550 no such mailbox\r\n');
          else if (line === 'DATA') {
            inData = true;
            socket.write('354 go\r\n');
          } else socket.write('250 ok\r\n');
        }
      });
      socket.on('error', () => undefined);
    });
    await new Promise<void>((resolve) => {
      smtp.listen(0, '127.0.0.1', resolve);
    });
    const mail = channel({
      kind: 'email',
      host: '127.0.0.1',
      port: (smtp.address() as AddressInfo).port,
      security: 'none',
      user: 'u',
      password: 'p',
      from: 'Understudy <u@example.com>',
      to: ['ops@example.com'],
    });
    await sendAlert(mail, message);
    expect(seen).toContain('MAIL FROM:<u@example.com>');
    expect(seen).toContain('RCPT TO:<ops@example.com>');
    expect(seen.find((line) => line.startsWith('Subject:'))).toContain('Understudy');
    refuses = true;
    await expect(sendAlert(mail, message)).rejects.toThrow(/no such mailbox/);
    const demanding = { ...mail, security: 'starttls' as const };
    await expect(sendAlert(demanding, message)).rejects.toMatchObject({ code: 'ALERT_NOT_SENT' });
    smtp.close();
  });

  test('a mail server whose answers come in drops is given up as a whole', async () => {
    let isOver = false;
    const drips: NodeJS.Timeout[] = [];
    const ends: Promise<unknown>[] = [];
    const asked = Promise.withResolvers<boolean>();
    const smtp = createTcpServer((socket) => {
      ends.push(once(socket, 'close'));
      socket.on('error', () => undefined);
      socket.write('220 test ESMTP\r\n');
      socket.once('data', () => {
        socket.write('250-');
        drips.push(setInterval(() => socket.write('x'), 1000));
        asked.resolve(true);
      });
    });
    smtp.listen(0, '127.0.0.1');
    await once(smtp, 'listening');
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'setInterval', 'clearInterval'] });
    try {
      const { port } = smtp.address() as AddressInfo;
      const mail = channel({
        kind: 'email',
        host: '127.0.0.1',
        port,
        security: 'none',
        from: 'u@example.com',
        to: ['ops@example.com'],
      });
      const said = sendAlert(mail, message)
        .catch(String)
        .finally(() => {
          isOver = true;
        });
      await asked.promise;
      for (let second = 0; second < 600 && !isOver; second += 1) {
        vi.advanceTimersByTime(1000);
        // What has dripped arrives.
        for (let turn = 0; turn < 5; turn += 1) await nextTurn();
      }
      expect(isOver).toBe(true);
      expect(await said).toContain('did not take it in time');
      vi.advanceTimersByTime(10_000);
      await Promise.all(ends);
    } finally {
      for (const drip of drips) clearInterval(drip);
      vi.useRealTimers();
      smtp.close();
    }
  });

  test('from an event of the node to the channel, as its level and its timing say', async () => {
    const top = mkdtempSync(join(tmpdir(), 'understudy-alerts-'));
    const listeners: ((one: ControlEvent) => void)[] = [];
    const service = {
      paths: { alerts: join(top, 'alerts.json') },
      config: { name: 'one' },
      events: {
        onEvent: (listener: (one: ControlEvent) => void) => listeners.push(listener),
        add: () => undefined,
      },
    } as unknown as NodeService;
    const alerts = new Alerts(service);
    alerts.settings.setTiming({ ...timing, groupSeconds: 0 });
    const { id } = alerts.settings.add(
      channelInputSchema.parse({
        kind: 'webhook',
        name: 'hook',
        level: 'error',
        url: base,
        secret: 'x',
      }),
    );
    const tell = (one: ControlEvent): void => listeners.forEach((listener) => listener(one));
    tell(event('SOME_WARNING', 'w', 'shop', 'warning'));
    tell(event('ALERT_GIVEN_UP'));
    tell(event('SPLIT_BRAIN', 'both'));
    tell(event('PEER_BACK', 'back', 'shop', 'info'));
    await until(
      'both came',
      async () =>
        received.length > 0 &&
        received
          .map((one) => one.body)
          .join('')
          .includes('back'),
    );
    const text = received.map((one) => one.body).join('');
    expect(text).toContain('SPLIT_BRAIN');
    expect(text).not.toContain('SOME_WARNING');
    expect(text).not.toContain('ALERT_GIVEN_UP');
    expect(statSync(join(top, 'alerts.json')).mode & 0o777).toBe(0o600);
    const kept = new AlertSettings(join(top, 'alerts.json'));
    expect(kept.get(id)).toMatchObject({ name: 'hook', secret: 'x' });
    expect(JSON.stringify(channelView(kept.get(id)))).not.toContain('"secret"');
    // A secret that is left out stays.
    kept.replace(id, channelInputSchema.parse({ kind: 'webhook', name: 'new', url: base }));
    expect(kept.get(id)).toMatchObject({ name: 'new', secret: 'x' });
    alerts.stop();
    rmSync(top, { recursive: true, force: true });
  });

  test.each([
    [{ kind: 'email', host: 'h', from: 'a@b\r\nBcc: x@y', to: ['a@b'] }],
    [{ kind: 'email', host: 'h', from: 'a@b', to: ['a@b,c@d'] }],
    [{ kind: 'webhook', url: 'file:///etc/passwd' }],
    [{ kind: 'webhook', url: 'javascript:alert(1)' }],
    [{ kind: 'pigeon', url: 'http://x' }],
  ])('refused: %j', (input) => {
    expect(channelInputSchema.safeParse({ name: 'x', ...input }).success).toBe(false);
  });
});

test("a robot's address that comes back as it was shown stays; another one replaces it", () => {
  const top = mkdtempSync(join(tmpdir(), 'understudy-robots-'));
  const settings = new AlertSettings(join(top, 'alerts.json'));
  const url = 'https://open.feishu.cn/open-apis/bot/v2/hook/0123456789abcdef';
  const robot = (address: string) =>
    channelInputSchema.parse({ kind: 'feishu', name: 'robot', url: address });
  const { id } = settings.add(robot(url));
  const shown = channelView(settings.get(id));
  expect(shown['url']).not.toContain('0123456789');
  settings.replace(id, robot(String(shown['url'])));
  expect(settings.get(id)).toMatchObject({ url });
  settings.replace(id, robot('https://open.feishu.cn/other'));
  expect(settings.get(id)).toMatchObject({ url: 'https://open.feishu.cn/other' });
  rmSync(top, { recursive: true });
});

test.each([
  ['webhook', 'https://hooks.example/services/T0A/B0B/XXXXXXXXXXXXXXXXXXXXXXXX', 'XXXXXXXX'],
  ['webhook', 'https://ann:hunter2@hooks.example/x', 'hunter2'],
  ['webhook', 'https://hooks.example/x?key=k3y-of-it', 'k3y'],
  ['wecom', 'http://10.0.0.5/r?key=k3y-of', 'k3y'],
])('the key in the address of a %s is shown to nobody, and stays', (kind, url, secret) => {
  const top = mkdtempSync(join(tmpdir(), 'understudy-robots-'));
  const settings = new AlertSettings(join(top, 'alerts.json'));
  const input = (address: string) => channelInputSchema.parse({ kind, name: 'x', url: address });
  const { id } = settings.add(input(url));
  const shown = String(channelView(settings.get(id))['url']);
  expect(shown).not.toContain(secret);
  settings.replace(id, input(shown));
  expect(settings.get(id)).toMatchObject({ url });
  rmSync(top, { recursive: true });
});

test('the address of a webhook without a key is shown as it is', () => {
  const url = 'http://10.0.0.5:9000/alerts/understudy';
  const channel = { ...channelInputSchema.parse({ kind: 'webhook', name: 'x', url }), id: '0' };
  expect(channelView(channel)['url']).toBe(url);
});
