// How each kind of channel takes a message. Loaded when the first one is sent. The robots' formats and signatures are those of their
// vendors' documents:
//   WeCom     developer.work.weixin.qq.com/document/path/91770: text up to 2048 bytes, {"errcode": 0}
//   DingTalk  open.dingtalk.com, custom robot: HMAC-SHA256 of "timestamp\nsecret" with the secret, in the URL
//   Feishu    open.feishu.cn, custom bot: HMAC-SHA256 of nothing with "timestamp\nsecret", in the body, {"code": 0}
import { createHmac } from 'node:crypto';
import { request as httpRequest } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { type AlertMessage, cutBytes } from './alert-message.ts';
import type { Channel } from './alert-settings.ts';

const TIMEOUT_MS = 15_000;
/** Of a whole mail; of its parts, each may take {@link TIMEOUT_MS}. */
const MAIL_TIMEOUT_MS = 60_000;
const REPLY_BYTES_MAX = 64 * 1024;
const WECOM_BYTES_MAX = 2048;
const ROBOT_BYTES_MAX = 8000;
/** Shorter texts are words of any sentence. */
const SECRET_LENGTH_MIN = 4;
/** A part of a path that is longer is no word. */
const KEY_LENGTH_MIN = 16;

/** Sends it. Errors: ALERT_NOT_SENT with what the other side said. */
export async function sendAlert(channel: Channel, message: AlertMessage): Promise<void> {
  try {
    await send(channel, message, Date.now());
  } catch (cause) {
    const why = withoutSecretsOf(channel, messageOf(cause));
    throw new UnderstudyError(
      'ALERT_NOT_SENT',
      `the alert channel "${channel.name}" (${channel.kind}) did not take a message: ${why}`,
      { cause, details: { channel: channel.name, kind: channel.kind } },
    );
  }
}

/** What the other side says may repeat what it was sent, and everybody reads it in the events. */
function withoutSecretsOf(channel: Channel, said: string): string {
  const own = [
    'password' in channel ? channel.password : undefined,
    'secret' in channel ? channel.secret : undefined,
    ...('url' in channel ? secretParts(channel.url) : []),
  ];
  return own
    .filter((text) => text !== undefined)
    .flatMap((text) => [text, encodeURIComponent(text)])
    .filter((text) => text.length >= SECRET_LENGTH_MIN)
    .reduce((text, secret) => text.replaceAll(secret, '…'), said);
}

/** Robots and many webhooks have their key in the query, or as a part of the path. */
function secretParts(url: string): string[] {
  const { pathname, searchParams, username, password } = new URL(url);
  const segments = pathname.split('/').filter((segment) => segment.length >= KEY_LENGTH_MIN);
  return [username, password, ...searchParams.values(), ...segments];
}

async function send(channel: Channel, message: AlertMessage, nowMs: number): Promise<void> {
  switch (channel.kind) {
    case 'email':
      await sendMail(channel, message);
      return;
    case 'webhook':
      await sendWebhook(channel, message);
      return;
    case 'wecom':
      await post(channel.url, wecomBody(message)).then(checkRobot('errcode', 'errmsg'));
      return;
    case 'dingtalk':
      await post(dingtalkUrl(channel, nowMs), dingtalkBody(message)).then(
        checkRobot('errcode', 'errmsg'),
      );
      return;
    case 'feishu':
      await post(channel.url, feishuBody(channel, message, nowMs)).then(checkRobot('code', 'msg'));
      return;
    default:
      throw new TypeError('no such channel');
  }
}

async function sendMail(
  channel: Extract<Channel, { kind: 'email' }>,
  { subject, text }: AlertMessage,
): Promise<void> {
  const { createTransport } = await import('nodemailer');
  const { host, port, security, user, password, from, to } = channel;
  const transport = createTransport({
    host,
    port,
    secure: security === 'tls',
    requireTLS: security === 'starttls',
    ignoreTLS: security === 'none',
    connectionTimeout: TIMEOUT_MS,
    greetingTimeout: TIMEOUT_MS,
    socketTimeout: TIMEOUT_MS,
    ...(user === undefined ? {} : { auth: { user, pass: password ?? '' } }),
  });
  // The other times are of silence, and a server may say a little now and then for ever.
  const control = new AbortController();
  const deadline = setTimeout(
    () => control.abort(new Error('it did not take it in time')),
    MAIL_TIMEOUT_MS,
  );
  const { signal } = control;
  try {
    await transport.sendMail({ from, to, subject, text, signal });
  } catch (thrown) {
    throw signal.aborted ? signal.reason : thrown;
  } finally {
    clearTimeout(deadline);
    transport.close();
  }
}

async function sendWebhook(
  { url, secret }: Extract<Channel, { kind: 'webhook' }>,
  { node, subject, text, batch }: AlertMessage,
): Promise<void> {
  const body = JSON.stringify({ node, subject, text, ...batch });
  const signature =
    secret === undefined ? undefined : createHmac('sha256', secret).update(body).digest('hex');
  await post(url, body, signature === undefined ? {} : { 'x-understudy-signature': signature });
}

function wecomBody({ text }: AlertMessage): string {
  return JSON.stringify({ msgtype: 'text', text: { content: cutBytes(text, WECOM_BYTES_MAX) } });
}

function dingtalkBody({ text }: AlertMessage): string {
  return JSON.stringify({ msgtype: 'text', text: { content: cutBytes(text, ROBOT_BYTES_MAX) } });
}

function dingtalkUrl(
  { url, secret }: Extract<Channel, { kind: 'dingtalk' }>,
  nowMs: number,
): string {
  if (secret === undefined) return url;
  const signed = new URL(url);
  const sign = createHmac('sha256', secret).update(`${nowMs}\n${secret}`).digest('base64');
  signed.searchParams.set('timestamp', String(nowMs));
  signed.searchParams.set('sign', sign);
  return signed.href;
}

function feishuBody(
  { secret }: Extract<Channel, { kind: 'feishu' }>,
  { text }: AlertMessage,
  nowMs: number,
): string {
  const timestamp = String(Math.floor(nowMs / 1000));
  const signed =
    secret === undefined
      ? {}
      : { timestamp, sign: createHmac('sha256', `${timestamp}\n${secret}`).digest('base64') };
  const content = { text: cutBytes(text, ROBOT_BYTES_MAX) };
  return JSON.stringify({ ...signed, msg_type: 'text', content });
}

/** Robots answer 200 to everything, and say in the body whether it was right. */
function checkRobot(code: string, why: string): (reply: string) => void {
  return (reply) => {
    let answer: Record<string, unknown>;
    try {
      answer = JSON.parse(reply) as Record<string, unknown>;
    } catch {
      throw new Error(`its answer is no JSON: ${reply.slice(0, 200)}`);
    }
    if (answer[code] === 0) return;
    throw new Error(
      `it answered ${code} ${String(answer[code])}: ${String(answer[why]).slice(0, 300)}`,
    );
  };
}

/** Posts JSON; gives the answer of a status below 300. No redirect is followed: secrets are in these. */
async function post(
  url: string,
  body: string,
  headers: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const request = url.startsWith('https:') ? httpsRequest : httpRequest;
  const sent = request(
    url,
    {
      method: 'POST',
      agent: false,
      headers: {
        'content-type': 'application/json; charset=utf-8',
        'content-length': Buffer.byteLength(body),
        'user-agent': 'understudy',
        ...headers,
      },
    },
    (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (chunk: string) => {
        text += chunk;
        if (text.length > REPLY_BYTES_MAX) response.destroy(new Error('its answer is too long'));
      });
      response.once('error', reject);
      response.once('end', () => {
        const status = response.statusCode ?? 0;
        if (status >= 200 && status < 300) resolve(text);
        else reject(new Error(`it answered status ${status}: ${text.slice(0, 300)}`));
      });
    },
  );
  // Of the whole answer, not of each byte: others wait behind this message.
  const deadline = setTimeout(
    () => sent.destroy(new Error('it did not answer in time')),
    TIMEOUT_MS,
  );
  sent.once('error', reject);
  sent.end(body);
  try {
    return await promise;
  } finally {
    clearTimeout(deadline);
  }
}
