// Stand-in for SAP ASE (Sybase): login and commands without rows of TDS 5, after Sybase's "TDS 5.0 Functional
// Specification". The program `tsql` of FreeTDS logs in to it as to a real one (a test checks that).
import { serve, type StandIn } from './serve.ts';
import { onTdsMessage, tdsReply, token, u16, u32 } from './tds.ts';

const LOGIN = 2;
const LANGUAGE = 0x21;
const FIELD_BYTES = 31;

export interface SybaseOptions {
  readonly login: string;
  readonly password: string;
  /** Databases that can be used. */
  readonly databases: readonly string[];
}

export interface SybaseStandIn extends StandIn {
  /** Commands that it was sent. */
  readonly commands: readonly string[];
}

export async function sybaseServer(options: SybaseOptions): Promise<SybaseStandIn> {
  const commands: string[] = [];
  const server = await serve((socket) => {
    onTdsMessage(socket, (type, data) => {
      if (type === LOGIN) {
        const isRight = field(data, 1) === options.login && field(data, 2) === options.password;
        const text = 'Login failed.\n';
        const refusal = isRight ? [] : [message(4002, 14, text)];
        tdsReply(socket, loginAck(isRight), ...refusal, done(isRight ? 0 : 2));
        if (!isRight) socket.end();
        return;
      }
      if (data.at(0) !== LANGUAGE) return tdsReply(socket, done(0));
      const length = data.readUInt32LE(1);
      const command = data.toString('latin1', 6, 5 + length);
      commands.push(command);
      const database = /^use (\S+)/.exec(command)?.[1];
      const isKnown = database === undefined || options.databases.includes(database);
      if (isKnown) tdsReply(socket, message(5701, 10, 'Changed database context.'), done(0));
      else
        tdsReply(
          socket,
          message(
            921,
            14,
            `Database '${database}' has not been recovered yet - please wait and try again.`,
          ),
          done(2),
        );
    });
  });
  return Object.assign(server, { commands });
}

/** The n-th field of the login record: 30 bytes, then the length. */
function field(data: Buffer, index: number): string {
  const at = index * FIELD_BYTES;
  return data.toString('latin1', at, at + (data.at(at + FIELD_BYTES - 1) ?? 0));
}

function loginAck(isRight: boolean): Buffer {
  const name = Buffer.from('ASE');
  return token(
    0xad,
    Buffer.from([isRight ? 5 : 6, 5, 0, 0, 0, name.length]),
    name,
    Buffer.from([16, 0, 0, 0]),
  );
}

/** EED: an extended message. */
function message(number: number, severity: number, text: string): Buffer {
  const server = Buffer.from('ASE');
  return token(
    0xe5,
    u32(number),
    Buffer.from([1, severity, 5]),
    Buffer.from('ZZZZZ'),
    Buffer.from([0]),
    u16(0),
    u16(text.length),
    Buffer.from(text, 'latin1'),
    Buffer.from([server.length]),
    server,
    Buffer.from([0]),
    u16(1),
  );
}

function done(status: number): Buffer {
  return Buffer.concat([Buffer.from([0xfd]), u16(status), u16(0), u32(0)]);
}
