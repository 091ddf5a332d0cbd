// Whoever can reach the port of a node opens connections, says nothing, and comes again whenever one is ended: the
// other node, and people, get in all the same.
import { connect, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect as connectTls, type TLSSocket } from 'node:tls';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { httpsCall } from './fixtures/https-call.ts';
import { twoNodes, type TwoNodes, until } from './fixtures/two-nodes.ts';
import { fingerprintOf } from './identity.ts';
import { NodeClient } from './node-client.ts';

const RETURN_MS = 100;

let nodes: TwoNodes;
let isOver = false;
const sockets = new Set<Socket | TLSSocket>();

beforeAll(async () => {
  nodes = await twoNodes();
  await nodes.pair();
});
afterEach(() => {
  isOver = true;
  for (const socket of sockets) socket.destroy();
  sockets.clear();
});
afterAll(async () => nodes.down());

/** Opens a connection to node a that says nothing, and another one when it is ended. */
function comeFrom(localAddress: string): void {
  if (isOver) return;
  const socket = connect({ host: nodes.a.address, port: 7440, localAddress });
  sockets.add(socket);
  socket.on('error', () => undefined);
  socket.on('close', () => {
    sockets.delete(socket);
    setTimeout(() => comeFrom(localAddress), RETURN_MS);
  });
  socket.resume();
}

async function besiege(addresses: readonly string[], each: number): Promise<void> {
  isOver = false;
  for (const address of addresses) for (let n = 0; n < each; n += 1) comeFrom(address);
  await sleep(2 * RETURN_MS);
}

function newClient(): NodeClient {
  const { certificate } = nodes.a.service.identity;
  const fingerprint = fingerprintOf(certificate);
  const endpoint = { name: 'a', host: nodes.a.address, port: 7440, fingerprint };
  return new NodeClient(nodes.b.service.identity, endpoint);
}

/** The other node comes in with a new connection each time. */
async function comesIn(times: number): Promise<void> {
  for (let n = 0; n < times; n += 1) {
    const client = newClient();
    try {
      await client.ping();
    } finally {
      client.close();
    }
  }
}

/** One connection to node a from `localAddress`, which stays. */
class Caller {
  readonly #socket: TLSSocket;
  #said = '';
  #answers = 0;

  constructor(localAddress: string, identity: { cert?: string; key?: string }) {
    const raw = connect({ host: nodes.a.address, port: 7440, localAddress });
    this.#socket = connectTls({ socket: raw, rejectUnauthorized: false, ...identity });
    sockets.add(this.#socket);
    this.#socket.on('error', () => undefined);
    this.#socket.on('data', (chunk: Buffer) => {
      this.#said += chunk.toString();
    });
  }

  async asks(path: string, status: number): Promise<void> {
    this.#socket.write(`GET ${path} HTTP/1.1\r\nhost: a\r\n\r\n`);
    this.#answers += 1;
    const count = (): number => this.#said.split(`HTTP/1.1 ${status}`).length - 1;
    await until(`an answer to ${path}`, async () => count() === this.#answers);
  }
}

const OTHERS = Array.from({ length: 6 }, (_, n) => `127.0.0.${10 + n}`);

test('from more addresses than have places', async () => {
  await besiege(OTHERS, 70);
  await comesIn(10);
  const call = { host: nodes.a.address, port: 7440, path: '/api/v1/status' };
  expect((await httpsCall(call)).status).toBe(401);
});

test('from the very address that the other node comes from', async () => {
  await besiege(['127.0.0.1'], 80);
  await comesIn(10);
});

test('a connection of the other node is not ended for those of others', async () => {
  const { certificate, key } = nodes.b.service.identity;
  const caller = new Caller('127.0.0.10', { cert: certificate, key });
  await caller.asks('/v1/node', 200);
  await besiege(OTHERS, 70);
  await sleep(5 * RETURN_MS);
  await caller.asks('/v1/node', 200);
});

test('whoever has the most gives one up: who has one does not', async () => {
  const caller = new Caller('127.0.0.30', {});
  await caller.asks('/api/v1/status', 401);
  await besiege(OTHERS, 70);
  await sleep(5 * RETURN_MS);
  await caller.asks('/api/v1/status', 401);
});
