// Whose files are open past a real filter, where processes have mounts of their own: what the sandboxing of systemd (PrivateTmp,
// ProtectSystem) gives to databases.
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { isFilterMount, mountsOn, readMountTable } from '../linux/mount-table.ts';
import { findBypassers } from './bypass.ts';
import { until } from './fixtures/two-nodes.ts';

const FILTER = join(import.meta.dirname, '../../test/support/bare-filter.ts');

let dir = '';
let filter: ChildProcess | undefined;
const writers: ChildProcess[] = [];

beforeEach(() => {
  dir = join(mkdtempSync(join(tmpdir(), 'understudy-bypass-')), 'shop');
  mkdirSync(dir);
});
afterEach(async () => {
  for (const writer of writers.splice(0)) {
    writer.kill('SIGKILL');
    await once(writer, 'exit');
  }
  if (filter !== undefined) {
    filter.kill('SIGTERM');
    await once(filter, 'exit');
  }
  filter = undefined;
  expect(mountsOn(readMountTable(), dir)).toEqual([]);
  rmSync(join(dir, '..'), { recursive: true });
});

async function heard(child: ChildProcess, line: string): Promise<void> {
  if (child.stdout === null) throw new TypeError('nothing is heard of it');
  expect(await once(createInterface(child.stdout), 'line')).toEqual([line]);
}

async function mountFilter(): Promise<void> {
  filter = spawn(process.execPath, [FILTER, dir], { stdio: ['ignore', 'pipe', 'inherit'] });
  await heard(filter, 'ready');
  await until('it is mounted', async () => mountsOn(readMountTable(), dir).some(isFilterMount));
}

/** A process with mounts of its own that has a file open for writing. */
async function openApart(name: string): Promise<number> {
  const script = `exec 3>>${join(dir, name)}; echo open; exec sleep 60`;
  const argv = ['--mount', '--propagation', 'slave', 'sh', '-c', script];
  const writer = spawn('unshare', argv, { stdio: ['ignore', 'pipe', 'inherit'] });
  writers.push(writer);
  await heard(writer, 'open');
  return writer.pid ?? 0;
}

/** Besides the filter. */
function bypassers(): number[] {
  return findBypassers(dir, new Set([filter?.pid ?? 0])).map(({ pid }) => pid);
}

test("a file that is opened through the filter is not past it, whoever's mounts those are", async () => {
  await mountFilter();
  await openApart('orders');
  expect(bypassers()).toEqual([]);
});

test('what was open before the filter was mounted is past it', async () => {
  const past = await openApart('orders');
  await mountFilter();
  await openApart('invoices');
  expect(bypassers()).toEqual([past]);
});
