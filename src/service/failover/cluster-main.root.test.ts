// The cluster process by itself.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { generateCertificate, nodeIdOf } from '../identity.ts';
import { until } from '../fixtures/two-nodes.ts';
import type { ClusterSpec } from './cluster-protocol.ts';

const PROGRAM = join(import.meta.dirname, 'cluster-main.ts');

let top = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-cluster-'));
});
afterEach(() => rmSync(top, { recursive: true }));

test('whoever shuts the machine down ends it in order: what it holds open is closed, a watchdog stops', async () => {
  const [own, peer] = await Promise.all([generateCertificate('a'), generateCertificate('b')]);
  const keyPath = join(top, 'key.pem');
  writeFileSync(keyPath, own.key);
  const spec: ClusterSpec = {
    controlSocket: join(top, 'cluster.sock'),
    node: { id: nodeIdOf(own.certificate), name: 'a' },
    peer: { id: nodeIdOf(peer.certificate), name: 'b', certificate: peer.certificate },
    keyPath,
    networks: [{ name: 'lan', local: '127.88.7.1', remote: '127.88.7.2' }],
    selfFencing: 'stop',
  };
  const specPath = join(top, 'spec.json');
  writeFileSync(specPath, JSON.stringify(spec));
  const child = spawn(process.execPath, [PROGRAM, '--spec', specPath], { stdio: 'ignore' });
  const ended = once(child, 'exit');
  await until('it answers', async () => existsSync(spec.controlSocket), 20_000);
  child.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
});
