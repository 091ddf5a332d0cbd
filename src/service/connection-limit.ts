// How many connections one address may hold: nobody alone can keep the others out.
import type { Server, Socket } from 'node:net';

const CONNECTIONS_PER_ADDRESS_MAX = 64;

/** Ends what comes from an address beyond its number. */
export function limitByAddress(server: Server): void {
  const open = new Map<string, number>();
  server.on('connection', (socket: Socket) => {
    const address = socket.remoteAddress ?? '';
    const count = (open.get(address) ?? 0) + 1;
    open.set(address, count);
    socket.once('close', () => {
      const left = (open.get(address) ?? 1) - 1;
      if (left > 0) open.set(address, left);
      else open.delete(address);
    });
    if (count > CONNECTIONS_PER_ADDRESS_MAX) socket.destroy();
  });
}
