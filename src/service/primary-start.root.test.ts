// The process of a primary that dies without a successor, and the next one, which cannot start: nobody writes the directory
// unrecorded in between.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { until } from '../../test/support/mirror-rig.ts';
import { cover } from '../linux/directory-cover.ts';
import { readMountTable } from '../linux/mount-table.ts';
import { UNLIMITED } from './bandwidth.ts';
import { type GroupProcessSpec, SAFETY_DEFAULT } from './group-spec.ts';
import { removeLeftoverMounts } from './mount-cleanup.ts';

const PROGRAM = resolve(import.meta.dirname, 'primary-main.ts');

let top = '';
let dir = '';
let child: ChildProcess | undefined;
let said = '';

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'primary-start-'));
  dir = join(top, 'data');
  mkdirSync(dir);
});
afterEach(async () => {
  await end('SIGKILL');
  removeLeftoverMounts(dir, { covers: true });
  rmSync(top, { recursive: true });
});

/** Starts the process of a group without a standby, and waits until it runs or has ended. */
async function start({ controlSocket = join(top, 'control.sock') } = {}): Promise<void> {
  const path = join(top, 'spec.json');
  writeFileSync(path, JSON.stringify(specOf(controlSocket)));
  said = '';
  child = spawn(process.execPath, [PROGRAM, '--spec', path], { stdio: ['ignore', 'pipe', 'pipe'] });
  for (const stream of [child.stdout, child.stderr]) {
    stream?.on('data', (data: Buffer) => {
      said += data.toString();
    });
  }
  await until(
    () => said.includes('primary runs') || child?.exitCode !== null,
    () => `the primary runs: ${said}`,
  );
}

async function end(signal: NodeJS.Signals): Promise<void> {
  if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
  const exit = once(child, 'exit');
  child.kill(signal);
  await exit;
}

function specOf(controlSocket: string): GroupProcessSpec {
  return {
    group: 'test',
    groupId: '0'.repeat(32),
    role: 'primary',
    epoch: 1,
    node: { id: 'a'.repeat(16), name: 'a' },
    peer: null,
    identity: { certificatePath: join(top, 'certificate.pem'), keyPath: join(top, 'key.pem') },
    replicationHost: '127.0.0.1',
    replicationPort: 7441,
    controlSocket,
    leaseFile: null,
    safetyFile: join(top, 'safety.json'),
    salvageDirectory: null,
    dataIsBase: true,
    safety: SAFETY_DEFAULT,
    firstCommitRequest: null,
    stateDirectory: join(top, 'state'),
    takeOver: null,
    marksFile: join(top, 'marks.json'),
    directories: [{ dir, include: ['**'], exclude: [], seed: false }],
    replication: {
      mode: 'async',
      syncTimeoutMs: 2000,
      onStandbyLoss: 'continue',
      linkTimeoutMs: 2000,
      ringBytes: 4 * 1024 * 1024,
      backlogBytesMax: 64 * 1024 * 1024,
      journalBytesMax: 256 * 1024 * 1024,
      undo: { hours: 0, diskPercent: 10 },
      bandwidth: UNLIMITED,
      compression: 'auto',
    },
    start: { firstSequence: 1, base: null },
  };
}

const write = (): void => writeFileSync(join(dir, 'file'), 'x');
const mounts = (): number => readMountTable().filter(({ mountPoint }) => mountPoint === dir).length;
/** Nothing can be made there. */
const nowhere = (): string => join(top, 'missing', 'control.sock');

test('what a process that died leaves is read-only until another one records again', async () => {
  await start();
  write();
  await end('SIGKILL');
  await start({ controlSocket: nowhere() });
  expect(said).toContain('the primary cannot start');
  expect(write).toThrow(/EROFS/);
  await start({ controlSocket: nowhere() });
  expect(write).toThrow(/EROFS/);

  await start();
  expect(said).toContain('primary runs');
  write();
  expect(readFileSync(join(dir, 'file'), 'utf8')).toBe('x');
  await end('SIGTERM');
  expect(mounts()).toBe(0);
});

test('a directory that was never under the filter is as before when the first start fails', async () => {
  await start({ controlSocket: nowhere() });
  expect(said).toContain('the primary cannot start');
  expect(mounts()).toBe(0);
  write();
});

test('a directory that has lost its entries can be filled again by whoever brings them back', async () => {
  for (let index = 0; index < 20; index += 1) writeFileSync(join(dir, `${index}`), '');
  await start();
  await end('SIGKILL');
  removeLeftoverMounts(dir, { covers: true });
  for (let index = 0; index < 20; index += 1) rmSync(join(dir, `${index}`));
  cover(dir);
  await start();
  expect(said).toContain('was emptied');
  expect(mounts()).toBe(0);
  write();
});
