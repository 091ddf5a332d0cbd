// What an operator must not be able to do: have root run or write something of the operator's choosing.
import { chmodSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { TokenView } from './admin-api/tokens.ts';
import { httpsCall } from './fixtures/https-call.ts';
import { pairWithDirectory, type PairWithDirectory } from './fixtures/two-nodes.ts';

let nodes: PairWithDirectory;
const tokens: Record<string, string> = {};

beforeAll(async () => {
  nodes = await pairWithDirectory();
  for (const role of ['operator', 'administrator']) {
    const body = { name: role, role };
    const call = { method: 'POST', path: '/tokens', body } as const;
    tokens[role] = (await nodes.a.api.call<TokenView & { token: string }>(call)).token;
  }
});
afterAll(async () => nodes.down());

async function post(role: string, path: string, body: unknown) {
  const host = nodes.a.address;
  return httpsCall({
    host,
    method: 'POST',
    path: `/api/v1${path}`,
    body,
    token: tokens[role] ?? '',
  });
}

test('a program that the parameters of an agent name is run by the check of a group: for administrators', async () => {
  const root = join(nodes.top, 'agents-of-mine');
  const ran = join(nodes.top, 'ran');
  mkdirSync(join(root, 'resource.d', 'mine'), { recursive: true });
  const program = join(root, 'resource.d', 'mine', 'any');
  writeFileSync(program, `#!/bin/sh\nid -u >${ran}\n`);
  chmodSync(program, 0o755);
  const agent = { use: 'ocf', agent: 'mine:any', root };
  const input = { name: 'shop', paths: [{ dir: nodes.dirA }], agents: [agent] };
  const check = { input, allowEmptyMatch: true };
  const refused = await post('operator', '/groups/check', check);
  expect(existsSync(ran)).toBe(false);
  expect(refused).toMatchObject({ status: 403, json: { error: { code: 'ROLE_INSUFFICIENT' } } });
  await post('administrator', '/groups/check', check);
  expect(existsSync(ran)).toBe(true);
});

test('where root puts what users of a group have written is for administrators to say', async () => {
  const to = join(nodes.top, 'system', 'cron.service.d');
  const browse = { wish: { kind: 'sequence', sequence: 1 }, to };
  const refused = await post('operator', '/groups/shop/rewind/browse', browse);
  expect(refused).toMatchObject({ status: 403, json: { error: { code: 'ROLE_INSUFFICIENT' } } });
});
