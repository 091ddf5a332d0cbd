// Many windows that follow one node, and a call beside them.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NodeDial, type NodeRequest } from './node-dial.ts';

/** As many streams as a node has. */
const STREAMS = 32;

let top = '';
let server: Server;
let dial: NodeDial;

beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'understudy-dial-'));
  const socketPath = join(top, 'node.sock');
  server = createServer((request, response) => {
    if (request.url === '/api/v1/stream') response.write(': still here\n\n');
    else response.end('{}');
  });
  await new Promise<void>((resolve) => {
    server.listen(socketPath, resolve);
  });
  dial = new NodeDial('one', { kind: 'local', socketPath });
});
afterEach(() => {
  dial.close();
  server.closeAllConnections();
  server.close();
  rmSync(top, { recursive: true });
});

const call = (path: string, more: Partial<NodeRequest> = {}): NodeRequest => ({
  method: 'GET',
  path,
  onBehalf: { user: 'ann', role: 'viewer' },
  timeoutMs: 5000,
  ...more,
});

async function follow(count: number): Promise<void> {
  await Promise.all(Array.from({ length: count }, async () => dial.send(call('/api/v1/stream'))));
}

test('a call gets through beside all streams that a node has', async () => {
  await follow(STREAMS);
  expect((await dial.send(call('/api/v1/status'))).statusCode).toBe(200);
});

test('one that has to wait for a connection ends in time, and when it is given up', async () => {
  await follow(48);
  await expect(dial.send(call('/api/v1/status', { timeoutMs: 200 }))).rejects.toThrow(
    /no answer in 200 ms/,
  );
  const gone = new AbortController();
  const given = dial.send(call('/api/v1/status', { signal: gone.signal }));
  gone.abort();
  await expect(given).rejects.toThrow(/given up/);
});
