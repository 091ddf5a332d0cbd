// Stand-in for the listener of Oracle: takes the CONNECT packet of Oracle Net (TNS) and refuses it with an
// error, as a real one does whose instance is down. What follows an accepted connection (login, queries)
// needs a real database and is not played.
import { onBytes, serve, type StandIn } from './serve.ts';

const CONNECT = 1;
const REFUSE = 4;
const HEADER_BYTES = 8;

export interface OracleListener extends StandIn {
  /** Descriptions that clients sent. */
  readonly descriptions: readonly string[];
}

/** Refuses with ORA-`error`. */
export async function oracleListener(error: number): Promise<OracleListener> {
  const descriptions: string[] = [];
  const server = await serve((socket) => {
    onBytes(socket, (bytes) => {
      if (bytes.length < HEADER_BYTES) return 0;
      const length = bytes.readUInt16BE(0) || bytes.readUInt32BE(0);
      if (bytes.length < length) return 0;
      if (bytes.at(4) === CONNECT) {
        descriptions.push(/\(DESCRIPTION=.*/.exec(bytes.toString('latin1', 0, length))?.[0] ?? '');
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
