// The group is to move while its application is being started. Group processes are the stand-in.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { endManaged } from '../fixtures/cluster-processes.ts';
import { type PairWithDirectory, pairWithDirectory, until } from '../fixtures/two-nodes.ts';

const PATIENCE_MS = 30_000;

let nodes: PairWithDirectory;

beforeEach(async () => {
  nodes = await pairWithDirectory();
});
afterEach(async () => endManaged(nodes));

test('an application that is being started when its group moves is stopped in order, and has not failed', async () => {
  const { a, dirA: dir, dirB: standbyDir } = nodes;
  const log = join(nodes.top, 'application.log');
  const commands = {
    start: `echo begun >> ${log}; sleep 60`,
    stop: `sleep 1; echo stopped >> ${log}`,
  };
  const agents = [{ use: 'command', name: 'db', ...commands, probe: 'true' }];
  const paths = [{ dir, standbyDir }];
  const input = { name: 'shop', paths, agents, failover: { arbiter: 'none' } };
  await a.call('group-create', { input, origin: 'test' });
  const failover = a.service.failover.of(a.service.group('shop'));
  await until('it is being started', async () => existsSync(log), PATIENCE_MS);
  await until('b has everything', async () => failover.view?.alone === 'together', PATIENCE_MS);
  await failover.command(
    { kind: 'switchover' },
    { isDone: ({ role }) => role === 'standby', failures: [], timeoutMs: PATIENCE_MS },
  );
  const codes = await a.eventCodes();
  expect(codes).not.toContain('STOP_ESCALATED');
  expect(codes).not.toContain('APPLICATION_FAILED');
  expect(failover.view?.health.application).toBe('ok');
  expect(readFileSync(log, 'utf8')).toBe('begun\nstopped\n');
}, 120_000);
