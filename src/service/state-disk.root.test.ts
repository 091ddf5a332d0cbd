// The disk with Understudy's own state turns read-only, as Debian mounts it (errors=remount-ro): what serves the application's files goes on.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { programs } from './daemon.ts';
import {
  type TestNode,
  pairWithDirectory,
  type PairWithDirectory,
  until,
} from './fixtures/two-nodes.ts';

let nodes: PairWithDirectory;
let a: TestNode;
let dirA = '';

beforeAll(async () => {
  nodes = await pairWithDirectory(programs);
  ({ a, dirA } = nodes);
  const input = { name: 'shop', paths: [{ dir: dirA, standbyDir: nodes.dirB }] };
  await a.call('group-create', { input, origin: 'test' });
  await until('up to date', async () => (await a.group('shop'))?.copy === 'up-to-date', 60_000);
}, 120_000);
afterAll(async () => nodes.down());

async function run(...[program = '', ...args]: string[]): Promise<void> {
  const [code] = await once(spawn(program, args), 'exit');
  expect([program, code]).toEqual([program, 0]);
}

/** Appends a line and syncs it, every few milliseconds, until it is told to end; a call that fails ends it with code 1. */
const APPLICATION = `
  const fs = require('node:fs'); const fd = fs.openSync(process.argv[1], 'a');
  process.on('SIGTERM', () => process.exit(0));
  setInterval(() => { fs.writeSync(fd, 'line\\n'); fs.fdatasyncSync(fd); }, 5); console.log('writes');`;

test('a process that dies then is succeeded all the same', async () => {
  const { process: group } = a.service.group('shop');
  await until('its mounts are held', async () => group.held !== null);
  const application = spawn(process.execPath, ['-e', APPLICATION, join(dirA, 'log')]);
  const ended = once(application, 'exit');
  await once(application.stdout, 'data');
  const { state } = a.service.paths;
  const { pid } = group;
  await run('mount', '--bind', state, state);
  try {
    await run('mount', '-o', 'remount,bind,ro', state);
    expect(() => appendFileSync(a.service.paths.events, 'x')).toThrow('EROFS');
    group.kill();
    await until('another one runs', async () => group.pid !== undefined && group.pid !== pid);
    await until('its status', async () => (await a.group('shop'))?.local.status != null);
  } finally {
    await run('umount', '-l', state);
  }
  application.kill('SIGTERM');
  expect(await ended).toEqual([0, null]);
  expect(await a.eventCodes()).not.toContain('SUCCESSION_FAILED');
});
