// What packaging/ puts on a machine. npm and systemctl are stand-ins that do nothing.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';

const packaging = resolve(import.meta.dirname, '../../packaging');
let top = '';
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-install-'));
  mkdirSync(join(top, 'stand-in'));
  for (const name of ['npm', 'systemctl']) {
    const path = join(top, 'stand-in', name);
    writeFileSync(path, '#!/bin/sh\n');
    chmodSync(path, 0o755);
  }
});
afterEach(() => rmSync(top, { recursive: true }));

function install(prefix: string) {
  return spawnSync(join(packaging, 'install.sh'), [prefix], {
    cwd: top,
    encoding: 'utf8',
    env: {
      PATH: `${join(top, 'stand-in')}:/usr/bin:/bin`,
      UNDERSTUDY_LINKS: join(top, 'links'),
      UNDERSTUDY_UNITS: join(top, 'units'),
    },
  });
}

test('what the console is built by is installed as well', () => {
  const prefix = join(top, 'understudy');
  install(prefix);
  const path = join(prefix, 'src/console/web/tsconfig.json');
  const base = /"extends": "(.*)"/.exec(readFileSync(path, 'utf8'))?.[1] ?? 'none';
  expect(existsSync(resolve(dirname(path), base))).toBe(true);
});

test('a place that is not written from the root, or that somebody uses, is refused', () => {
  expect(install('understudy')).toMatchObject({ status: 2, stdout: '' });
  mkdirSync(join(top, 'understudy'));
  expect(install(join(top, 'understudy')).stderr).toContain('not a link of a former installation');
});
