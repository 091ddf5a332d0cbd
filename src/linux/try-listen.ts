// Whether a program may listen somewhere: by doing so for a moment.
import { once } from 'node:events';
import { createServer } from 'node:net';

/** Undefined: it may. Otherwise why not, EADDRINUSE or EADDRNOTAVAIL among the codes. `port` 0: any. */
export async function tryListen(
  host: string,
  port: number,
): Promise<NodeJS.ErrnoException | undefined> {
  const server = createServer();
  try {
    await once(server.listen(port, host), 'listening');
  } catch (thrown) {
    return thrown as NodeJS.ErrnoException;
  }
  server.close();
  await once(server, 'close');
  return undefined;
}
