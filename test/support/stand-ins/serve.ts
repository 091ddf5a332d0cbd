// A server on a port of its own, and who is connected to it. Stand-ins for servers that cannot be installed
// here are made of it.
import { createServer, type Socket } from 'node:net';
import { waitUntil } from '../../../lab/run.ts';

export interface StandIn extends AsyncDisposable {
  readonly port: number;
  /** Connections that are open now. */
  readonly open: number;
  /** All there ever were. */
  readonly accepted: number;
  /** Resolves when nobody is connected any more; throws after two seconds. */
  untilLeft(): Promise<void>;
}

/** Calls `converse` with each connection. */
export async function serve(converse: (socket: Socket) => void): Promise<StandIn> {
  const sockets = new Set<Socket>();
  let accepted = 0;
  const server = createServer((socket) => {
    accepted += 1;
    sockets.add(socket);
    socket.on('error', () => undefined);
    socket.once('close', () => sockets.delete(socket));
    converse(socket);
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  return {
    port,
    get open() {
      return sockets.size;
    },
    get accepted() {
      return accepted;
    },
    untilLeft: async () => {
      if (await waitUntil(() => sockets.size === 0, 2000, 10)) return;
      throw new Error(`${sockets.size} connections were left open`);
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => {
        server.close(() => resolve());
      });
    },
  };
}

/** Accepts connections and never says a word, as a server does that was stopped by SIGSTOP. */
export async function silentServer(): Promise<StandIn> {
  return await serve((socket) => socket.resume());
}

/** A port at which nobody listens. */
export async function freePort(): Promise<number> {
  await using server = await silentServer();
  return server.port;
}

/** Calls `take` with what came and was not taken yet; it returns how many bytes it took, 0: not enough. */
export function onBytes(socket: Socket, take: (bytes: Buffer) => number): void {
  let buffer = Buffer.alloc(0);
  socket.on('data', (chunk: Buffer) => {
    buffer = Buffer.concat([buffer, chunk]);
    for (;;) {
      const taken = take(buffer);
      if (taken === 0 || socket.destroyed) return;
      buffer = buffer.subarray(taken);
    }
  });
}
