import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from './fixtures/two-nodes.ts';
import { findBlindNamespaces } from './mount-namespaces.ts';
import { mountsOn, readMountTable } from '../linux/mount-table.ts';

let top = '';
let dir = '';
const children: ChildProcess[] = [];

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-namespaces-'));
  dir = join(top, 'shop');
  mkdirSync(dir);
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
  rmSync(top, { recursive: true });
});

function start(...argv: string[]): number {
  const child = spawn('unshare', ['--mount', ...argv]);
  children.push(child);
  return child.pid ?? 0;
}

async function blindPids(): Promise<number[]> {
  return findBlindNamespaces(dir).map(({ pid }) => pid);
}

test('a process with private mounts does not see a mount made here, and is named', async () => {
  const pid = start('--propagation', 'private', 'sleep', '60');
  await until('it is found', async () => (await blindPids()).includes(pid));
  const found = findBlindNamespaces(dir).find((entry) => entry.pid === pid);
  expect(found?.command).toBe('sleep');
});

test('a process that receives mounts made here is not blind', async () => {
  execFileSync('mount', ['--bind', dir, dir]);
  execFileSync('mount', ['--make-shared', dir]);
  try {
    const slave = start('--propagation', 'slave', 'sleep', '60');
    const isolated = start('--propagation', 'private', 'sleep', '60');
    await until('the isolated one is found', async () => (await blindPids()).includes(isolated));
    await until('the other one runs', async () => isRunning(slave));
    expect(await blindPids()).not.toContain(slave);
    // And really sees them, which is what this is about.
    execFileSync('mount', ['-t', 'tmpfs', 'none', dir]);
    expect(readFileSync(`/proc/${slave}/mountinfo`, 'utf8')).toContain(`${dir} `);
    const types = (pid: number) =>
      readMountTable(String(pid))
        .filter(({ mountPoint }) => mountPoint === dir)
        .at(-1)?.type;
    expect([types(slave), types(isolated)]).toEqual(['tmpfs', expect.not.stringMatching('tmpfs')]);
  } finally {
    for (const child of children) child.kill('SIGKILL');
    while (mountsOn(readMountTable(), dir).length > 0) execFileSync('umount', ['-l', dir]);
  }
});

function isRunning(pid: number): boolean {
  return readFileSync(`/proc/${pid}/comm`, 'utf8').trim() === 'sleep';
}
