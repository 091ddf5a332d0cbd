// The last means: everything that uses a directory is killed, whatever it uses it for.
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, realpathSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { killAgents } from './agent-killer.ts';
import { findDirectoryUsers } from './open-files.ts';

let top = '';
let dir = '';
const children: ChildProcess[] = [];

beforeEach(() => {
  top = realpathSync(mkdtempSync(join(tmpdir(), 'understudy-kill-')));
  dir = join(top, 'shop');
  mkdirSync(dir);
  writeFileSync(join(dir, 'db'), 'x');
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(top, { recursive: true, force: true });
});

function run(command: string, cwd = '/'): ChildProcess {
  const child = spawn('/bin/sh', ['-c', command], { cwd, stdio: 'ignore' });
  children.push(child);
  return child;
}

async function untilUsers(count: number): Promise<void> {
  const deadline = performance.now() + 10_000;
  for (;;) {
    const users = findDirectoryUsers(dir, undefined, { deletedToo: true });
    if (users.length >= count) return;
    if (performance.now() > deadline) throw new Error(`${users.length} users instead of ${count}`);
    await sleep(10);
  }
}

const options = { ignorePids: () => new Set<number>(), timeoutMs: 5000 };

test('an open file, a working directory and a deleted file: all are killed and named', async () => {
  run(`exec sleep 60 < ${join(dir, 'db')}`);
  run('exec sleep 60', dir);
  run(`exec sleep 60 3<> ${join(dir, 'gone')}`);
  const bystander = run('exec sleep 60', top);
  await untilUsers(3);
  rmSync(join(dir, 'gone'));
  const { killed, left } = await killAgents([dir], options);
  expect(left).toEqual([]);
  expect(killed.map(({ uses }) => uses).toSorted()).toEqual([
    `${dir} (working directory)`,
    `${join(dir, 'db')} (open file)`,
    `${join(dir, 'gone')} (deleted) (open file)`,
  ]);
  expect(findDirectoryUsers(dir, undefined, { deletedToo: true })).toEqual([]);
  expect(bystander.exitCode ?? bystander.signalCode).toBeNull();
});

test('a process that starts another as it goes is followed', async () => {
  // Each link of the chain replaces the one before while we look.
  run(`i=0; while [ $i -lt 200 ]; do sleep 0.01; i=$((i+1)); done`, dir);
  await untilUsers(1);
  const { left } = await killAgents([dir], options);
  expect(left).toEqual([]);
  expect(findDirectoryUsers(dir)).toEqual([]);
});

test('the group process is spared; who stays is named', async () => {
  const own = run('exec sleep 60', dir);
  await untilUsers(1);
  const spared = { ignorePids: () => new Set([own.pid ?? 0]), timeoutMs: 200 };
  expect(await killAgents([dir], spared)).toEqual({ killed: [], left: [] });
  expect(own.signalCode).toBeNull();
});

test('nobody there: nothing happens, at once', async () => {
  const since = performance.now();
  expect(await killAgents([dir, join(top, 'absent')], options)).toEqual({ killed: [], left: [] });
  expect(performance.now() - since).toBeLessThan(2000);
});
