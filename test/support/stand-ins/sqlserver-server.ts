// Stand-in for Microsoft SQL Server: PRELOGIN, LOGIN7 and batches of MS-TDS, without TLS. The official
// driver (tedious) is its client.
import { serve, type StandIn } from './serve.ts';
import { onTdsMessage, tdsReply, token, u16, u32 } from './tds.ts';

const PRELOGIN = 0x12;
const LOGIN7 = 0x10;
const BATCH = 0x01;
const LOGIN_AT = 40;
const PASSWORD_AT = 44;

export interface SqlserverOptions {
  readonly login: string;
  readonly password: string;
  /** Database → its state, or `READ_ONLY`. */
  readonly databases: Readonly<Record<string, string>>;
  /** Number and text of the error that a heartbeat meets. */
  readonly heartbeatError?: readonly [number, string];
  /** Answers the login and nothing after it. */
  readonly isHungAfterLogin?: boolean;
}

export async function sqlserverServer(options: SqlserverOptions): Promise<StandIn> {
  return await serve((socket) => {
    let batches = 0;
    onTdsMessage(socket, (type, data) => {
      if (type === PRELOGIN) return tdsReply(socket, prelogin());
      if (type === LOGIN7) {
        const isRight =
          text(data, LOGIN_AT) === options.login &&
          unscrambled(data, PASSWORD_AT) === options.password;
        if (isRight) return tdsReply(socket, loginAck(), done(0));
        const said = `Login failed for user '${text(data, LOGIN_AT)}'.`;
        return tdsReply(socket, error(18_456, 14, said), done(2));
      }
      if (type !== BATCH) return undefined;
      batches += 1;
      // The driver's own settings come first.
      if (batches === 1) return tdsReply(socket, done(0));
      if (options.isHungAfterLogin === true) return undefined;
      return tdsReply(socket, ...answer(data.toString('utf16le', data.readUInt32LE(0)), options));
    });
  });
}

function answer(sql: string, { databases, heartbeatError }: SqlserverOptions): Buffer[] {
  const stamp = /stamp = '([^']*)'/.exec(sql)?.[1];
  if (stamp !== undefined) {
    if (heartbeatError !== undefined)
      return [error(heartbeatError[0], 17, heartbeatError[1]), done(2)];
    return [columns(1), row(stamp), done(0x10, 1)];
  }
  const name = /name = N'([^']*)'/.exec(sql)?.[1] ?? '';
  const state = databases[name];
  if (state === undefined) return [columns(2), done(0x10, 0)];
  const isReadOnly = state === 'READ_ONLY';
  return [columns(2), row(isReadOnly ? 'ONLINE' : state, isReadOnly ? 1 : 0), done(0x10, 1)];
}

function prelogin(): Buffer {
  // VERSION at 11, ENCRYPTION at 17: not supported.
  const options = [0, 0, 11, 0, 6, 1, 0, 17, 0, 1, 0xff];
  return Buffer.from([...options, 16, 0, 0x10, 0, 0, 0, 2]);
}

function loginAck(): Buffer {
  const name = Buffer.from('Microsoft SQL Server', 'utf16le');
  return token(
    0xad,
    Buffer.from([1, 0x74, 0, 0, 4, name.length / 2]),
    name,
    Buffer.from([16, 0, 0x10, 0]),
  );
}

function error(number: number, severity: number, said: string): Buffer {
  const message = Buffer.from(said, 'utf16le');
  return token(
    0xaa,
    u32(number),
    Buffer.from([1, severity]),
    u16(said.length),
    message,
    Buffer.from([0, 0]),
    u32(1),
  );
}

function columns(count: number): Buffer {
  const nvarchar = Buffer.concat([
    u32(0),
    u16(0),
    Buffer.from([0xe7]),
    u16(256),
    Buffer.alloc(5),
    Buffer.from([0]),
  ]);
  const int = Buffer.concat([u32(0), u16(0), Buffer.from([0x26, 4, 0])]);
  return Buffer.concat([Buffer.from([0x81]), u16(count), nvarchar, ...(count > 1 ? [int] : [])]);
}

function row(word: string, number?: number): Buffer {
  const bytes = Buffer.from(word, 'utf16le');
  const rest = number === undefined ? [] : [Buffer.from([4]), u32(number)];
  return Buffer.concat([Buffer.from([0xd1]), u16(bytes.length), bytes, ...rest]);
}

function done(status: number, count = 0): Buffer {
  return Buffer.concat([Buffer.from([0xfd]), u16(status), u16(0), u32(count), u32(0)]);
}

/** A text of LOGIN7: its offset and length in characters stand at `at`. */
function bytesAt(data: Buffer, at: number): Buffer {
  const from = data.readUInt16LE(at);
  return data.subarray(from, from + data.readUInt16LE(at + 2) * 2);
}

const text = (data: Buffer, at: number): string => bytesAt(data, at).toString('utf16le');

function unscrambled(data: Buffer, at: number): string {
  const plain = [...bytesAt(data, at)].map((byte) => {
    const mixed = byte ^ 0xa5;
    return ((mixed << 4) | (mixed >> 4)) & 0xff;
  });
  return Buffer.from(plain).toString('utf16le');
}
