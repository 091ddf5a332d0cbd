// As much of TDS 5 (Sybase "TDS 5.0 Functional Specification") as a probe needs: a login with its answer,
// and a command without result rows.
//
//   packet:  type · last packet? · length (2, big-endian) · channel (2) · number · window, then data
//   login:   568 bytes of fixed fields, then a CAPABILITY token; in packets of 512 bytes
//   answers: tokens; numbers in the order that the login asks for: little-endian
import { hostname } from 'node:os';
import type { Socket } from 'node:net';
import { assert } from '../../../core/assert.ts';

const PACKET_BYTES = 512;
const HEADER_BYTES = 8;
const PACKET_LOGIN = 2;
const PACKET_REPLY = 4;
const PACKET_NORMAL = 15;
const LAST = 1;
const REPLY_BYTES_MAX = 64 * 1024;
const NAME_BYTES = 30;
const LOGIN_BYTES = 568;
const MESSAGES_MAX = 20;

const TOKEN_LANGUAGE = 0x21;
const TOKEN_ERROR = 0xaa;
const TOKEN_LOGINACK = 0xad;
const TOKEN_CAPABILITY = 0xe2;
const TOKEN_EED = 0xe5;
/** DONE, DONEPROC, DONEINPROC: of fixed length. */
const DONE_TOKENS = new Set([0xfd, 0xfe, 0xff]);
const DONE_BYTES = 8;
const DONE_ERROR = 0x0002;
const LOGIN_SUCCEEDED = 5;
/** Messages of a higher severity are errors. */
const SEVERITY_INFORMATION_MAX = 10;

export interface ServerMessage {
  readonly number: number;
  readonly severity: number;
  readonly text: string;
}

export interface Reply {
  readonly isLoggedIn: boolean;
  readonly isFailed: boolean;
  readonly messages: readonly ServerMessage[];
}

export function describeMessages({ messages }: Reply): string {
  return messages.map(({ number, text }) => `${text.trim()} (${number})`).join('; ');
}

export class Tds5Session {
  readonly #socket: Socket;
  readonly #chunks: AsyncIterator<Buffer>;
  #buffer = Buffer.alloc(0);

  constructor(socket: Socket) {
    this.#socket = socket;
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  }

  /** Errors: the server closed the connection, or said something that is no TDS. */
  async login(who: { readonly login: string; readonly password: string }): Promise<Reply> {
    this.#send(PACKET_LOGIN, loginRecord(who));
    return parseReply(await this.#reply());
  }

  /** Errors: as {@link login}. */
  async execute(sql: string): Promise<Reply> {
    const text = Buffer.from(sql, 'latin1');
    const token = Buffer.alloc(6);
    token.writeUInt8(TOKEN_LANGUAGE, 0);
    // The status byte behind the length counts: no parameters.
    token.writeUInt32LE(text.length + 1, 1);
    this.#send(PACKET_NORMAL, Buffer.concat([token, text]));
    return parseReply(await this.#reply());
  }

  #send(type: number, data: Buffer): void {
    const room = PACKET_BYTES - HEADER_BYTES;
    for (let at = 0; at < data.length; at += room) {
      const part = data.subarray(at, at + room);
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt8(type, 0);
      header.writeUInt8(at + room >= data.length ? LAST : 0, 1);
      header.writeUInt16BE(part.length + HEADER_BYTES, 2);
      this.#socket.write(Buffer.concat([header, part]));
    }
  }

  /** Data of all packets of one answer. */
  async #reply(): Promise<Buffer> {
    const parts: Buffer[] = [];
    for (let bytes = 0; bytes < REPLY_BYTES_MAX;) {
      const header = await this.#take(HEADER_BYTES);
      const length = header.readUInt16BE(2);
      if (header.readUInt8(0) !== PACKET_REPLY || length < HEADER_BYTES) {
        throw new Error('what answers there does not speak TDS');
      }
      const data = await this.#take(length - HEADER_BYTES);
      parts.push(data);
      bytes += data.length;
      if ((header.readUInt8(1) & LAST) !== 0) return Buffer.concat(parts);
    }
    throw new Error(`its answer is longer than ${REPLY_BYTES_MAX} bytes`);
  }

  async #take(length: number): Promise<Buffer> {
    while (this.#buffer.length < length) {
      const next = await this.#chunks.next();
      if (next.done === true) throw new Error('it closed the connection');
      this.#buffer = Buffer.concat([this.#buffer, next.value]);
    }
    const taken = this.#buffer.subarray(0, length);
    this.#buffer = this.#buffer.subarray(length);
    return taken;
  }
}

/** Text in a field of fixed length, then its own length in one byte. */
function field(text: string, bytes = NAME_BYTES): Buffer {
  const buffer = Buffer.alloc(bytes + 1);
  const length = buffer.write(text, 0, bytes, 'latin1');
  buffer.writeUInt8(length, bytes);
  return buffer;
}

function loginRecord({ login, password }: { login: string; password: string }): Buffer {
  // For passwords to other servers: name of the server (empty: any), password, its length.
  const remote = Buffer.alloc(256);
  const passwordBytes = remote.write(password, 2, 253, 'latin1');
  remote.writeUInt8(passwordBytes, 1);
  remote.writeUInt8(passwordBytes + 2, 255);
  const record = Buffer.concat([
    field(hostname()),
    field(login),
    field(password),
    field(String(process.pid)),
    // Order of bytes and kinds of numbers: little-endian, ASCII, IEEE.
    Buffer.from([3, 1, 6, 10, 9, 1]),
    // No bulk copy; unused; no interface type.
    Buffer.from([1, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
    field('understudy'),
    field(''),
    remote,
    Buffer.from([5, 0, 0, 0]),
    field('understudy', 10),
    Buffer.from([5, 0, 0, 0]),
    // No conversion of short numbers; four-byte floats; four-byte dates.
    Buffer.from([0, 13, 17]),
    field('us_english'),
    // No notice of the language; secure login: none of its kinds.
    Buffer.alloc(1 + 2 + 1 + 1 + 9),
    field('iso_1'),
    // The server converts to that character set.
    Buffer.from([1]),
    field(String(PACKET_BYTES), 6),
    Buffer.alloc(4),
  ]);
  assert(record.length === LOGIN_BYTES, 'login record of TDS 5');
  return Buffer.concat([record, capabilities()]);
}

/** What we ask for: commands as text, and nothing else. What we refuse: nothing. */
function capabilities(): Buffer {
  const bytes = 9;
  const request = Buffer.alloc(bytes);
  request.writeUInt8(0x02, bytes - 1);
  const masks = Buffer.concat([
    Buffer.from([1, bytes]),
    request,
    Buffer.from([2, bytes]),
    Buffer.alloc(bytes),
  ]);
  const head = Buffer.alloc(3);
  head.writeUInt8(TOKEN_CAPABILITY, 0);
  head.writeUInt16LE(masks.length, 1);
  return Buffer.concat([head, masks]);
}

/** Goes over the tokens of an answer; one that is cut short is an error. */
export function parseReply(data: Buffer): Reply {
  let isLoggedIn = false;
  let isFailed = false;
  const messages: ServerMessage[] = [];
  for (let at = 0; at < data.length;) {
    const token = data.readUInt8(at);
    const isDone = DONE_TOKENS.has(token);
    if (at + 3 > data.length) throw new Error('its answer is cut short');
    const length = isDone ? DONE_BYTES : data.readUInt16LE(at + 1);
    const from = at + (isDone ? 1 : 3);
    if (from + length > data.length) throw new Error('its answer is cut short');
    const body = data.subarray(from, from + length);
    if (isDone && (body.readUInt16LE(0) & DONE_ERROR) !== 0) isFailed = true;
    if (token === TOKEN_LOGINACK) isLoggedIn = body.at(0) === LOGIN_SUCCEEDED;
    if (token === TOKEN_EED || token === TOKEN_ERROR) {
      const message = messageIn(body, token === TOKEN_EED);
      if (message.severity > SEVERITY_INFORMATION_MAX) {
        isFailed = true;
        if (messages.length < MESSAGES_MAX) messages.push(message);
      }
    }
    at = from + length;
  }
  return { isLoggedIn, isFailed, messages };
}

/** number (4) · state · severity · [SQL state · status · transaction (2)] · text with its length. */
function messageIn(body: Buffer, isExtended: boolean): ServerMessage {
  const sqlStateBytes = isExtended ? (body.at(6) ?? 0) : 0;
  const textAt = isExtended ? 6 + 1 + sqlStateBytes + 3 : 6;
  if (textAt + 2 > body.length) throw new Error('its answer is cut short');
  const length = body.readUInt16LE(textAt);
  const text = body.toString('latin1', textAt + 2, textAt + 2 + length);
  return { number: body.readUInt32LE(0), severity: body.readUInt8(5), text };
}
