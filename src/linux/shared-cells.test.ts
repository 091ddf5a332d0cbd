// Numbers shared between processes, seen from another process.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { mapSharedCells, SHARED_CELLS } from './shared-cells.ts';

let directory = '';
beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'cells-'));
});
afterEach(() => rmSync(directory, { recursive: true }));

test('what one process stores, another one sees, and it survives both', () => {
  const path = join(directory, 'cells');
  const cells = mapSharedCells(path, { create: true });
  expect(cells.length).toBe(SHARED_CELLS);
  cells[0] = 1234.5;
  cells[1] = Infinity;
  const program = `
    import { mapSharedCells } from ${JSON.stringify(join(import.meta.dirname, 'shared-cells.ts'))};
    const cells = mapSharedCells(process.argv[1]);
    const [first, second] = cells;
    cells[2] = 77;
    console.log(first, second);`;
  const child = spawnSync(process.execPath, ['--input-type=module', '-e', program, path], {
    encoding: 'utf8',
  });
  expect(child.stderr).toBe('');
  expect(child.stdout.trim()).toBe('1234.5 Infinity');
  expect(cells[2]).toBe(77);
  expect(mapSharedCells(path, { readOnly: true })[0]).toBe(1234.5);
});

test('a missing or short file is refused', () => {
  const path = join(directory, 'cells');
  expect(() => mapSharedCells(path)).toThrow(
    expect.objectContaining({ code: 'SHARED_CELLS_UNAVAILABLE' }),
  );
  writeFileSync(path, 'short');
  expect(() => mapSharedCells(path)).toThrow(
    expect.objectContaining({ code: 'SHARED_CELLS_UNAVAILABLE' }),
  );
});
