// Stand-in for the listener of Oracle: takes the CONNECT packet of Oracle Net (TNS) and refuses it with an
// error, as a real one does whose instance is down. What follows an accepted connection (login, queries)
// needs a real database and is not played.
//
//   CONNECT   length 2 · checksum 2 · type 1 · … · data length 2 (at 24) · data offset 2 (at 26) · … · data
//   DATA      length 2 · checksum 2 · type 1 · … · flags 2 (at 8) · data
//
// Connect data of more than 230 bytes come in packets of their own (DATA) behind the CONNECT. Names of program,
// host and user are part of them, so how they come depends on the machine.
import { onBytes, serve, type StandIn } from './serve.ts';

const CONNECT = 1;
const REFUSE = 4;
const DATA = 6;
const HEADER_BYTES = 8;
const CONNECT_LENGTH_AT = 24;
const CONNECT_OFFSET_AT = 26;
const CONNECT_BYTES_MIN = 28;
const DATA_BYTES_MIN = 10;

export interface OracleListener extends StandIn {
  /** Descriptions that clients sent. */
  readonly descriptions: readonly string[];
}

/** Refuses with ORA-`error`. */
export async function oracleListener(error: number): Promise<OracleListener> {
  const descriptions: string[] = [];
  const server = await serve((socket) => {
    let wanted = Number.NaN;
    let said = '';
    onBytes(socket, (bytes) => {
      if (bytes.length < HEADER_BYTES) return 0;
      const length = bytes.readUInt16BE(0) || bytes.readUInt32BE(0);
      if (bytes.length < length) return 0;
      const type = bytes.at(4);
      if (type === CONNECT && length >= CONNECT_BYTES_MIN) {
        wanted = bytes.readUInt16BE(CONNECT_LENGTH_AT);
        said = bytes.toString('latin1', bytes.readUInt16BE(CONNECT_OFFSET_AT), length);
      } else if (type === DATA) {
        said += bytes.toString('latin1', DATA_BYTES_MIN, length);
      }
      if (said.length >= wanted) {
        descriptions.push(said);
        socket.end(refusal(error));
      }
      return length;
    });
  });
  return Object.assign(server, { descriptions });
}

function refusal(error: number): Buffer {
  const why = `(DESCRIPTION=(TMP=)(VSNNUM=318767104)(ERR=${error})(ERROR_STACK=(ERROR=(CODE=${error})(EMFI=4))))`;
  const packet = Buffer.alloc(HEADER_BYTES + 4 + why.length);
  packet.writeUInt16BE(packet.length, 0);
  packet.writeUInt8(REFUSE, 4);
  // Reasons of user and system, then the length of the data.
  packet.writeUInt8(0x22, HEADER_BYTES);
  packet.writeUInt16BE(why.length, HEADER_BYTES + 2);
  packet.write(why, HEADER_BYTES + 4, 'latin1');
  return packet;
}
