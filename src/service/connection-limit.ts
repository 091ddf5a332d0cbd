// How many connections a server holds, and whose: nobody who says nothing can keep others out.
//
//   comes ──▶ guest ──has shown the certificate of a peer──▶ peer
//
// Whoever comes is let in. When there are too many guests, the oldest of the address that has the most is ended: the one that
// comes has all the time that a handshake takes. The peer of a pair has places of its own.
import type { Server as TlsServer } from 'node:https';
import type { Server, Socket } from 'node:net';
import type { TLSSocket } from 'node:tls';

const GUESTS_PER_ADDRESS_MAX = 64;
const PEERS_MAX = 64;

export interface ConnectionLimits {
  readonly guestsMax: number;
  /** Whose connections are not ended for those of others; asked after the handshake. */
  readonly isPeer?: (socket: TLSSocket) => boolean;
}

/** Ends connections of `server` when there are too many. */
export function limitConnections(server: Server | TlsServer, limits: ConnectionLimits): void {
  const places = new ConnectionPlaces(limits.guestsMax);
  server.on('connection', (socket: Socket) => places.enter(socket));
  const { isPeer } = limits;
  if (isPeer === undefined) return;
  server.on('secureConnection', (socket: TLSSocket) => {
    if (isPeer(socket)) places.knowsPeer(socket);
  });
}

interface Ends {
  readonly remoteAddress?: string | undefined;
  readonly remotePort?: number | undefined;
}

class ConnectionPlaces {
  readonly #guestsMax: number;
  /** By address and port, the oldest first. */
  readonly #guests = new Map<string, Socket>();
  readonly #peers = new Map<string, Socket>();

  constructor(guestsMax: number) {
    this.#guestsMax = guestsMax;
  }

  enter(socket: Socket): void {
    const key = keyOf(socket);
    this.#guests.set(key, socket);
    socket.once('close', () => {
      // The port may have been taken again already.
      for (const places of [this.#guests, this.#peers]) {
        if (places.get(key) === socket) places.delete(key);
      }
    });
    const ofAddress = this.#byAddress().get(addressOf(key)) ?? [];
    if (ofAddress.length > GUESTS_PER_ADDRESS_MAX) this.#end(ofAddress[0]);
    else if (this.#guests.size > this.#guestsMax) this.#end(this.#oldestOfMost());
  }

  /** `socket` is the encrypted end of a connection that has come in. */
  knowsPeer(socket: TLSSocket): void {
    const key = keyOf(socket);
    const plain = this.#guests.get(key);
    if (plain === undefined) return;
    this.#guests.delete(key);
    this.#peers.set(key, plain);
    if (this.#peers.size > PEERS_MAX) this.#end(this.#peers.keys().next().value);
  }

  #oldestOfMost(): string | undefined {
    const all = Array.from(this.#byAddress().values());
    const most = Math.max(...all.map(({ length }) => length));
    return all.find(({ length }) => length === most)?.[0];
  }

  /** Keys of the guests; addresses and keys in the order of the oldest. */
  #byAddress(): Map<string, string[]> {
    const found = new Map<string, string[]>();
    for (const key of this.#guests.keys()) {
      const address = addressOf(key);
      const keys = found.get(address);
      if (keys === undefined) found.set(address, [key]);
      else keys.push(key);
    }
    return found;
  }

  #end(key: string | undefined): void {
    if (key === undefined) return;
    for (const places of [this.#guests, this.#peers]) {
      places.get(key)?.destroy();
      places.delete(key);
    }
  }
}

const keyOf = ({ remoteAddress = '', remotePort = 0 }: Ends): string =>
  `${remoteAddress} ${remotePort}`;

const addressOf = (key: string): string => key.slice(0, key.indexOf(' '));
