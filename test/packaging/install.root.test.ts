// packaging/install.sh, away from the machine's own places: without systemd (its directory is hidden), npm and network.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readlinkSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { shell, shellError } from '../support/shell.ts';

const INSTALL = resolve(import.meta.dirname, '../../packaging/install.sh');

let top = '';
let prefix = '';
let running: ChildProcess | undefined;

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-install-'));
  prefix = join(top, 'understudy');
  mkdirSync(join(top, 'bin'));
  writeFileSync(join(top, 'bin', 'npm'), '#!/bin/sh\n');
  chmodSync(join(top, 'bin', 'npm'), 0o755);
});
afterEach(async () => {
  if (running !== undefined) {
    running.kill('SIGKILL');
    await once(running, 'exit');
    running = undefined;
  }
  rmSync(top, { recursive: true });
});

function install(): void {
  shell(command(prefix));
}

function command(where: string): string {
  const env = `PATH=${top}/bin:/usr/sbin:/usr/bin:/sbin:/bin UNDERSTUDY_LINKS=${top}/links UNDERSTUDY_UNITS=${top}/units`;
  return `unshare -m sh -c 'mount -t tmpfs none /run && ${env} sh ${INSTALL} ${where}'`;
}

function place(name: string): string {
  const path = join(top, name);
  mkdirSync(path);
  writeFileSync(join(path, 'file'), name);
  return path;
}

test('former installations go, but those that something runs from; nothing else of that name is touched', async () => {
  const former = place('understudy-20260101000000');
  const inUse = place('understudy-20260102000000');
  const others = ['understudy-2.0-mine', 'understudy-2026', 'understudy-20260101000000.bak'];
  const kept = others.map(place);
  copyFileSync('/bin/sleep', join(inUse, 'sleep'));
  running = spawn(join(inUse, 'sleep'), ['600'], { stdio: 'ignore' });
  await once(running, 'spawn');
  install();
  expect(readlinkSync(prefix)).toMatch(/understudy-\d{14}$/);
  expect(existsSync(join(prefix, 'bin', 'understudy'))).toBe(true);
  expect(existsSync(former)).toBe(false);
  expect([inUse, ...kept].filter((path) => !existsSync(join(path, 'file')))).toEqual([]);
});

test('what the console is built by is installed as well', () => {
  install();
  const path = join(prefix, 'src/console/web/tsconfig.json');
  const base = /"extends": "(.*)"/.exec(readFileSync(path, 'utf8'))?.[1] ?? 'none';
  expect(existsSync(resolve(dirname(path), base))).toBe(true);
});

test('a place that is not written from the root, or that somebody uses, is refused', () => {
  expect(shellError(command('understudy'))).toContain('write understudy from the root');
  mkdirSync(prefix);
  expect(shellError(command(prefix))).toContain('not a link of a former installation');
});
