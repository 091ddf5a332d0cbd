// The other node is there one moment, and the next it swallows every packet, as one that has lost its power does: whoever
// looks at this node is answered at once, from what is known.
import { connect, createServer, type Server, type Socket } from 'node:net';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { present } from '../core/assert.ts';
import { twoNodes, type TwoNodes, until } from './fixtures/two-nodes.ts';
import type { ServiceStatus } from './status.ts';

/** Far below any time-out of the network, and far above what a status costs on a busy machine. */
const AT_ONCE_MS = 1500;

/** Forwards, or takes everything and passes nothing on. */
class HushingRelay {
  isHushed = false;
  readonly #sockets = new Set<Socket>();
  readonly #server: Server;

  constructor(host: string, port: number) {
    this.#server = createServer((near) => {
      const far = connect(port, host);
      this.#forward(near, far);
      this.#forward(far, near);
    });
  }

  async listen(): Promise<number> {
    await new Promise<void>((resolve) => {
      this.#server.listen(0, '127.0.0.1', resolve);
    });
    return (this.#server.address() as { port: number }).port;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
    this.#server.close();
  }

  #forward(from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('data', (chunk) => {
      if (!this.isHushed) to.write(chunk);
    });
    from.on('error', () => undefined);
    from.on('close', () => {
      if (!this.isHushed) to.destroy();
    });
  }
}

let nodes: TwoNodes;
let relay: HushingRelay;

beforeAll(async () => {
  nodes = await twoNodes();
  await nodes.pair();
  relay = new HushingRelay(nodes.b.address, 7440);
  const { peers } = nodes.a.service;
  const port = await relay.listen();
  peers.pin({ ...present(peers.peer, 'they are paired'), host: '127.0.0.1', port });
});
afterAll(async () => {
  relay.close();
  await nodes.down();
});

async function timed(): Promise<{ readonly ms: number; readonly status: ServiceStatus }> {
  const started = performance.now();
  const status = await nodes.a.call<ServiceStatus>('status');
  return { ms: performance.now() - started, status };
}

test('status is answered at once, with the age of what it says of the other node', async () => {
  const { peer } = await until('the other node answers', async () => {
    const { status } = await timed();
    return status.peer?.reachable === true && status;
  });
  expect(peer?.ageMs).toBeLessThan(4000);

  relay.isHushed = true;
  const slow: number[] = [];
  const ages: number[] = [];
  const lost = await until('its silence is noticed', async () => {
    const { ms, status } = await timed();
    if (ms > AT_ONCE_MS) slow.push(ms);
    ages.push(status.peer?.ageMs ?? -1);
    return status.peer?.reachable === false && status;
  });
  expect(slow).toEqual([]);
  expect(lost.peer?.fault).toContain('cannot be reached');
  // What is shown as present has never been older than one question and its time-out.
  expect(Math.min(...ages)).toBeGreaterThanOrEqual(0);
  expect(Math.max(...ages)).toBeLessThan(10_000);
  for (let count = 0; count < 5; count += 1) expect((await timed()).ms).toBeLessThan(AT_ONCE_MS);

  const started = performance.now();
  const groups = await nodes.a.api.call({ method: 'GET', path: '/groups' });
  expect(groups).toEqual([]);
  expect(performance.now() - started).toBeLessThan(AT_ONCE_MS);

  relay.isHushed = false;
  const back = await until('it is back', async () => {
    const { status } = await timed();
    return status.peer?.reachable === true && status;
  });
  expect(back.peer?.fault).toBeNull();
  expect(await nodes.a.eventCodes()).toEqual(expect.arrayContaining(['PEER_LOST', 'PEER_BACK']));
});
