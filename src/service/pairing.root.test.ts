import { mkdirSync, rmSync } from 'node:fs';
import { connect } from 'node:tls';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { twoNodes, type TwoNodes, until } from './fixtures/two-nodes.ts';
import { createIdentity } from './identity.ts';
import { NodeClient } from './node-client.ts';
import { nodeViewSchema } from './node-protocol.ts';
import { decodeToken, encodeToken } from './pairing-token.ts';
import { servicePaths } from './service-paths.ts';
import type { ServiceStatus } from './status.ts';

let nodes: TwoNodes;

beforeEach(async () => {
  nodes = await twoNodes();
});
afterEach(async () => nodes.down());

async function newToken(params: Record<string, unknown> = {}): Promise<string> {
  return (await nodes.a.call<{ token: string }>('invite', params)).token;
}

test('after invite and join both nodes know and reach each other', async () => {
  await nodes.pair();
  const a = await until('the inviting node has asked back', async () => {
    const status = await nodes.a.call<ServiceStatus>('status');
    return status.peer?.reachable === true && status;
  });
  const b = await nodes.b.call<ServiceStatus>('status');
  expect(a.peer).toMatchObject({ name: 'b', host: nodes.b.address, reachable: true });
  expect(b.peer).toMatchObject({ name: 'a', host: nodes.a.address, reachable: true });
  expect(await nodes.a.eventCodes()).toContain('PAIRED');
});

test('the pair survives a restart of both services', async () => {
  await nodes.pair();
  for (const node of [nodes.a, nodes.b]) await node.stop();
  for (const node of [nodes.a, nodes.b]) await node.start();
  await until('they have heard of each other', async () => {
    const { peer } = await nodes.b.call<ServiceStatus>('status');
    return peer?.reachable;
  });
});

test('a token works once', async () => {
  const token = await newToken();
  await nodes.b.call('join', { token });
  await nodes.b.call('unpair');
  await expect(nodes.b.call('join', { token })).rejects.toMatchObject({ code: 'TOKEN_USED' });
  // The failed attempt left nothing behind.
  expect((await nodes.b.call<ServiceStatus>('status')).peer).toBeNull();
});

test('joining twice in the same moment pairs once, and what came second takes nothing away', async () => {
  const token = await newToken();
  const ends = await Promise.allSettled([1, 2].map(async () => nodes.b.call('join', { token })));
  expect(ends.map(({ status }) => status)).toEqual(['fulfilled', 'rejected']);
  expect(ends[1]).toMatchObject({ reason: { code: 'TOKEN_USED' } });
  expect(nodes.b.service.peers.peer?.name).toBe('a');
  expect(nodes.a.service.peers.peer?.name).toBe('b');
});

test('an invitation that cannot be used up pairs nobody', async () => {
  const token = await newToken();
  // In the way of every write of the file.
  const inTheWay = `${nodes.a.paths.invitations}.new`;
  mkdirSync(inTheWay);
  await expect(nodes.b.call('join', { token })).rejects.toMatchObject({ code: 'STATE_IO' });
  expect(nodes.b.service.peers.peer).toBeUndefined();
  expect(nodes.a.service.peers.peer).toBeUndefined();
  rmSync(inTheWay, { recursive: true });
});

test('a token with another secret, or one that expired, is refused', async () => {
  const token = decodeToken(await newToken());
  const forged = encodeToken({ ...token, secret: '0'.repeat(32) });
  await expect(nodes.b.call('join', { token: forged })).rejects.toMatchObject({
    code: 'TOKEN_UNKNOWN',
  });
  const short = await newToken({ validMs: 1000 });
  await new Promise((resolve) => {
    setTimeout(resolve, 1100);
  });
  await expect(nodes.b.call('join', { token: short })).rejects.toMatchObject({
    code: 'TOKEN_EXPIRED',
  });
  expect(await nodes.a.eventCodes()).toContain('JOIN_REFUSED');
});

test('after ten wrong secrets others are not looked at; the right one still pairs', async () => {
  const right = await newToken();
  const token = decodeToken(right);
  for (let index = 0; index < 11; index += 1) {
    const secret = String(index).padStart(32, '0');
    await expect(
      nodes.b.call('join', { token: encodeToken({ ...token, secret }) }),
    ).rejects.toMatchObject({ code: index < 10 ? 'TOKEN_UNKNOWN' : 'TOKEN_TRIES_EXCEEDED' });
  }
  await nodes.b.call('join', { token: right });
});

test('a malformed token, the own token, an unreachable host', async () => {
  const text = await newToken();
  await expect(nodes.b.call('join', { token: text.slice(0, -3) })).rejects.toMatchObject({
    code: 'TOKEN_MALFORMED',
  });
  await expect(nodes.a.call('join', { token: text })).rejects.toMatchObject({ code: 'JOIN_SELF' });
  const elsewhere = encodeToken({ ...decodeToken(text), port: 1 });
  await expect(nodes.b.call('join', { token: elsewhere })).rejects.toMatchObject({
    code: 'NODE_UNREACHABLE',
  });
});

test('the secret is not sent to a node with another certificate', async () => {
  const token = decodeToken(await newToken());
  const wrong = encodeToken({ ...token, fingerprint: 'ab'.repeat(32) });
  await expect(nodes.b.call('join', { token: wrong })).rejects.toMatchObject({
    code: 'NODE_IDENTITY_WRONG',
  });
  // Had it been sent, it would be used up or refused; it still works.
  await nodes.b.call('join', { token: encodeToken(token) });
});

test('a paired node neither invites nor joins another', async () => {
  await nodes.pair();
  await expect(nodes.a.call('invite')).rejects.toMatchObject({ code: 'ALREADY_PAIRED' });
  const other = encodeToken({
    host: nodes.a.address,
    port: 7440,
    fingerprint: 'cd'.repeat(32),
    secret: '1'.repeat(32),
    expiresSec: 0xffff_ffff,
  });
  await expect(nodes.b.call('join', { token: other })).rejects.toMatchObject({
    code: 'ALREADY_PAIRED',
  });
});

test('an unknown certificate gets nothing but the pairing method', async () => {
  await nodes.pair();
  const { a, top } = nodes;
  const stranger = await createIdentity(servicePaths({ UNDERSTUDY_STATE: `${top}/x` }), 'x');
  const client = new NodeClient(stranger, {
    name: 'a',
    host: a.address,
    port: 7440,
    fingerprint: a.service.identity.fingerprint,
  });
  for (const call of [
    { method: 'GET', path: '/v1/node' },
    { method: 'POST', path: '/v1/groups/x/promote', body: {} },
    { method: 'DELETE', path: '/v1/groups/x', body: { groupId: '0'.repeat(32) } },
    { method: 'GET', path: '/v1/nothing' },
  ] as const) {
    await expect(client.call({ ...call, reply: nodeViewSchema })).rejects.toMatchObject({
      code: 'NOT_TRUSTED',
    });
  }
  // The API for people, on the same port, wants a token instead.
  for (const path of ['/api/v1/status', '/nothing']) {
    await expect(client.call({ method: 'GET', path, reply: nodeViewSchema })).rejects.toMatchObject(
      {
        code: 'LOGIN_NEEDED',
      },
    );
  }
  client.close();
});

test('a caller without a certificate is refused, garbage disturbs nobody', async () => {
  await nodes.pair();
  const { a } = nodes;
  const answer = await new Promise<string>((resolve, reject) => {
    const socket = connect({ host: a.address, port: 7440, rejectUnauthorized: false }, () => {
      socket.write('GET /v1/node HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n');
    });
    let text = '';
    socket.on('data', (chunk) => {
      text += String(chunk);
    });
    socket.on('error', reject);
    socket.on('close', () => resolve(text));
  });
  expect(answer).toContain('403');
  expect(answer).toContain('NOT_TRUSTED');
  await new Promise<void>((resolve) => {
    const socket = connect({ host: a.address, port: 7440, rejectUnauthorized: false }, () => {
      socket.write('\0\x01garbage\r\n\r\n');
    });
    socket.on('error', () => undefined);
    socket.resume();
    socket.on('close', () => resolve());
  });
  expect((await nodes.b.call<ServiceStatus>('status')).peer?.reachable).toBe(true);
});

test('unpair forgets the partner; the other one then sees that it is not trusted', async () => {
  await nodes.pair();
  await nodes.a.call('unpair');
  const fault = await until('the other one is refused', async () => {
    const { peer } = await nodes.b.call<ServiceStatus>('status');
    return peer?.reachable === false && peer.fault;
  });
  expect(fault).toContain('does not know the caller');
});
