import { existsSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { removeFormerProcesses } from './group-leftovers.ts';

let top = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-leftovers-'));
});
afterEach(() => rmSync(top, { recursive: true }));

test('what former processes left goes; a process that begins meanwhile keeps its own', async () => {
  const [own, disk] = [join(top, 'own'), join(top, 'disk')];
  const former = join(own, 'process-5', 'journal');
  const present = join(disk, 'process-6');
  for (const path of [former, present, join(own, 'salvage')]) mkdirSync(path, { recursive: true });
  const places = [own, join(top, 'not mounted'), disk];
  const removal = removeFormerProcesses(places, present);
  const next = join(disk, 'process-7');
  mkdirSync(next);
  await removal;
  expect([former, present, next, join(own, 'salvage')].map((path) => existsSync(path))).toEqual([
    false,
    true,
    true,
    true,
  ]);
});
