// What a window is told that begins to follow, when it was told otherwise to those before.
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../service/fixtures/two-nodes.ts';
import type { ServiceStatus } from '../../service/status.ts';
import { NodeDial } from '../nodes/node-dial.ts';
import { Fleet, type FleetMessage } from './fleet.ts';
import type { NodeOverview } from './overview.ts';

let top = '';
let server: Server;
let fleet: Fleet;
/** What the node says of the other one. */
let isPeerThere = true;

function status(): ServiceStatus {
  const address = { host: 'one', replicationHost: 'one', port: 7440 };
  const node = { id: '0'.repeat(16), name: 'one', version: '1', protocol: 1, ...address };
  const fault = isPeerThere ? null : 'it does not answer';
  const peer = { name: 'two', host: 'two', reachable: isPeerThere, fault, ageMs: 0 };
  return { node, peer, groups: [] };
}

beforeEach(async () => {
  isPeerThere = true;
  top = mkdtempSync(join(tmpdir(), 'understudy-fleet-'));
  const socketPath = join(top, 'node.sock');
  server = createServer((request, response) => {
    const text = JSON.stringify(status());
    if (request.url === '/api/v1/stream') response.write(`event: status\ndata: ${text}\n\n`);
    else response.end(text);
  });
  await new Promise<void>((resolve) => {
    server.listen(socketPath, resolve);
  });
  const dial = (): NodeDial => new NodeDial('one', { kind: 'local', socketPath });
  fleet = new Fleet(() => [{ id: 'one', dial, key: 'one' }]);
  fleet.start();
});
afterEach(() => {
  fleet.stop();
  server.closeAllConnections();
  server.close();
  rmSync(top, { recursive: true });
});

/** What a window shows: all of it as of its beginning, and each change since. */
function openWindow(): { readonly close: () => void; readonly level: () => string | undefined } {
  let shown: NodeOverview | undefined = fleet.overview().nodes[0];
  const close = fleet.listen((message: FleetMessage) => {
    if (message.name === 'node') shown = message.data;
  });
  return { close, level: () => shown?.level };
}

const knows = async (level: string): Promise<void> => {
  await until(`it is ${level}`, async () => fleet.overview().nodes[0]?.level === level);
};

test('a window that is opened shows what is so, also where that was told before to those that are closed', async () => {
  const first = openWindow();
  await until('it is shown', async () => first.level() === 'ok');
  isPeerThere = false;
  first.close();
  await knows('error');
  isPeerThere = true;
  const second = openWindow();
  expect(second.level()).toBe('error');
  await knows('ok');
  await until('that is shown', async () => second.level() === 'ok', 3000);
});
