// The first lines of SMTP (RFC 5321, 3207) and IMAP (RFC 9051): greeting, capabilities, STARTTLS.
import { isIP, type Socket } from 'node:net';
import { connect as connectTls } from 'node:tls';
import { connectTo, since, type Target } from './connection.ts';
import { Dialogue } from './dialogue.ts';

const LINES_MAX = 100;
const SHOWN_LENGTH_MAX = 120;

export interface MailOptions {
  readonly signal: AbortSignal;
  readonly tls: 'off' | 'offered' | 'starttls' | 'implicit';
  readonly verifyCertificate: boolean;
  readonly name: string;
}

export interface MailAnswer {
  readonly greeting: string;
  readonly isTls: boolean;
  readonly connectMs: number;
  /** From the connection to the last answer. */
  readonly answerMs: number;
}

/** The server answers, but not as it should. */
export class MailFault extends Error {
  override readonly name = 'MailFault';
  readonly state: 'degraded' | 'failed';

  constructor(state: 'degraded' | 'failed', message: string) {
    super(message);
    this.state = state;
  }
}

interface Session {
  readonly socket: Socket;
  readonly dialogue: Dialogue;
}

/** Greeting, EHLO, STARTTLS as far as wanted, QUIT. Errors: MailFault, those of the connection. */
export async function askSmtp(target: Target, options: MailOptions): Promise<MailAnswer> {
  return await talk(target, options, async (session) => {
    const greeting = await smtpReply(session.dialogue);
    expectCode(greeting, '220', 'greeted with');
    const ehlo = `EHLO ${options.name}`;
    session.dialogue.say(ehlo);
    const offered = await smtpReply(session.dialogue);
    expectCode(offered, '250', 'answered EHLO with');
    const isOffered = offered.some((line) => /^STARTTLS$/i.test(line.slice(4).trim()));
    if (isTlsWanted(options) && !isOffered) throw noStartTls();
    let isTls = options.tls === 'implicit';
    if (options.tls === 'starttls') {
      session.dialogue.say('STARTTLS');
      expectCode(await smtpReply(session.dialogue), '220', 'answered STARTTLS with');
      const secured = await secure(session, target, options);
      secured.dialogue.say(ehlo);
      expectCode(await smtpReply(secured.dialogue), '250', 'answered EHLO within TLS with');
      secured.dialogue.say('QUIT');
      isTls = true;
    } else {
      session.dialogue.say('QUIT');
    }
    return { greeting: shown(greeting[0]), isTls };
  });
}

/** Greeting, CAPABILITY, STARTTLS as far as wanted, LOGOUT. Errors: MailFault, those of the connection. */
export async function askImap(target: Target, options: MailOptions): Promise<MailAnswer> {
  return await talk(target, options, async (session) => {
    const greeting = await lineOf(session.dialogue);
    if (!/^\* (?:OK|PREAUTH)\b/i.test(greeting)) {
      throw new MailFault('failed', `it greeted with "${shown(greeting)}" instead of "* OK"`);
    }
    session.dialogue.say('a1 CAPABILITY');
    const offered = await imapReply(session.dialogue, 'a1');
    if (isTlsWanted(options) && !/\bSTARTTLS\b/i.test(offered)) throw noStartTls();
    let isTls = options.tls === 'implicit';
    if (options.tls === 'starttls') {
      session.dialogue.say('a2 STARTTLS');
      await imapReply(session.dialogue, 'a2');
      const secured = await secure(session, target, options);
      secured.dialogue.say('a3 CAPABILITY');
      await imapReply(secured.dialogue, 'a3');
      secured.dialogue.say('a4 LOGOUT');
      isTls = true;
    } else {
      session.dialogue.say('a4 LOGOUT');
    }
    return { greeting: shown(greeting), isTls };
  });
}

async function talk(
  target: Target,
  options: MailOptions,
  conversation: (session: Session) => Promise<Pick<MailAnswer, 'greeting' | 'isTls'>>,
): Promise<MailAnswer> {
  const { socket, connectMs } = await connectTo(target, options.signal);
  const from = performance.now();
  try {
    let session: Session = { socket, dialogue: new Dialogue(socket) };
    if (options.tls === 'implicit') session = await secure(session, target, options);
    const said = await conversation(session);
    return { ...said, connectMs, answerMs: since(from) };
  } finally {
    socket.destroy();
  }
}

/** Lines of one reply: `250-first`, `250 last`. */
async function smtpReply(dialogue: Dialogue): Promise<string[]> {
  const lines: string[] = [];
  while (lines.length < LINES_MAX) {
    const line = await lineOf(dialogue);
    lines.push(line);
    if (!/^\d{3}-/.test(line)) return lines;
  }
  throw new MailFault('failed', 'its answer has no end');
}

function expectCode(reply: readonly string[], code: string, how: string): void {
  const last = reply.at(-1) ?? '';
  if (last.startsWith(code)) return;
  // 421 and other 4xx: too many connections, come again later.
  const state = last.startsWith('4') ? 'degraded' : 'failed';
  throw new MailFault(state, `it ${how} "${shown(last)}" instead of ${code}`);
}

async function imapReply(dialogue: Dialogue, tag: string): Promise<string> {
  const lines: string[] = [];
  while (lines.length < LINES_MAX) {
    const line = await lineOf(dialogue);
    lines.push(line);
    if (!line.startsWith(`${tag} `)) continue;
    if (line.toUpperCase().startsWith(`${tag.toUpperCase()} OK`)) return lines.join('\n');
    throw new MailFault('failed', `it answered "${shown(line)}" instead of OK`);
  }
  throw new MailFault('failed', 'its answer has no end');
}

async function lineOf(dialogue: Dialogue): Promise<string> {
  const line = await dialogue.line();
  if (line !== undefined) return line;
  const said = dialogue.received;
  throw new MailFault(
    'failed',
    said === '' ? 'it closed the connection' : `it said "${shown(said)}" and no end of line`,
  );
}

async function secure(
  { socket, dialogue }: Session,
  target: Target,
  { verifyCertificate }: MailOptions,
): Promise<Session> {
  dialogue.release();
  const name = 'host' in target && isIP(target.host) === 0 ? target.host : undefined;
  const secured = connectTls({
    socket,
    rejectUnauthorized: verifyCertificate,
    ...(name === undefined ? {} : { servername: name }),
  });
  await new Promise<void>((resolve, reject) => {
    secured.once('secureConnect', resolve);
    secured.once('error', (error) =>
      reject(new MailFault('failed', `no TLS session came about: ${error.message}`)),
    );
    socket.once('close', () => reject(new MailFault('failed', 'it closed the connection')));
  });
  secured.on('error', () => undefined);
  return { socket: secured, dialogue: new Dialogue(secured) };
}

const isTlsWanted = ({ tls }: MailOptions): boolean => tls === 'offered' || tls === 'starttls';

function noStartTls(): MailFault {
  return new MailFault('failed', 'it does not offer STARTTLS');
}

function shown(line = ''): string {
  return line.trim().slice(0, SHOWN_LENGTH_MAX);
}
