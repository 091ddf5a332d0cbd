// One network between the two nodes: a UDP socket bound to this node's address and connected to the
// peer's, so that the kernel drops what comes from elsewhere and reports a port that nobody listens
// on. Opened again for as long as the address is not there yet, or the interface was taken away.
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';

export const HEARTBEAT_PORT = 7442;
const REOPEN_MS = 500;

/** A pair of addresses: one network. Both nodes have the same networks, seen from the other side. */
export interface HeartbeatPath {
  /** For people, and on both nodes the same: `lan`, `sync`. */
  readonly name: string;
  readonly local: string;
  readonly remote: string;
  readonly port: number;
}

export interface PathSocketEvents {
  readonly onDatagram: (bytes: Buffer) => void;
  /** The peer's kernel answers, but nobody listens there: its service does not run. */
  readonly onRefused: () => void;
  /** With a reason when the network cannot be used from this node. */
  readonly onState: (fault: string | undefined) => void;
}

export class PathSocket {
  readonly #path: HeartbeatPath;
  readonly #events: PathSocketEvents;
  #socket: Socket | undefined;
  #connected = false;
  #reopen: NodeJS.Timeout | undefined;
  #fault: string | undefined = 'not opened yet';
  #closed = false;

  constructor(path: HeartbeatPath, events: PathSocketEvents) {
    this.#path = path;
    this.#events = events;
    this.#open();
  }

  /** Sends without waiting; `failed` is called when the kernel did not take it. */
  send(bytes: Buffer, failed: () => void): void {
    if (this.#socket === undefined || !this.#connected) {
      failed();
      return;
    }
    this.#socket.send(bytes, (error) => {
      if (error === null) return;
      if ((error as NodeJS.ErrnoException).code === 'ECONNREFUSED') this.#events.onRefused();
      failed();
    });
  }

  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#reopen);
    await this.#drop();
  }

  #open(): void {
    const socket = createSocket({
      type: isIPv6(this.#path.local) ? 'udp6' : 'udp4',
      // Several networks may start from one address.
      reuseAddr: true,
    });
    this.#socket = socket;
    socket.on('error', (error) => this.#failed(error, socket));
    socket.on('message', (bytes) => {
      if (this.#connected) this.#events.onDatagram(bytes);
    });
    socket.once('listening', () => socket.connect(this.#path.port, this.#path.remote));
    socket.once('connect', () => {
      this.#connected = true;
      this.#setFault(undefined);
    });
    socket.bind({ address: this.#path.local, port: this.#path.port, exclusive: true });
  }

  #failed(error: NodeJS.ErrnoException, socket: Socket): void {
    if (error.code === 'ECONNREFUSED') {
      this.#events.onRefused();
      return;
    }
    if (socket !== this.#socket || this.#closed) return;
    this.#setFault(`${this.#path.local}: ${error.code ?? error.message}`);
    void this.#drop();
    this.#reopen = setTimeout(() => this.#open(), REOPEN_MS);
  }

  #setFault(fault: string | undefined): void {
    if (fault === this.#fault) return;
    this.#fault = fault;
    this.#events.onState(fault);
  }

  async #drop(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#connected = false;
    if (socket === undefined) return;
    await new Promise<void>((resolve) => {
      try {
        socket.close(resolve);
      } catch {
        // It was never open.
        resolve();
      }
    });
  }
}
