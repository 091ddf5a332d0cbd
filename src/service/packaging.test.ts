// What packaging/ puts on a machine. npm and systemctl are stand-ins that do nothing.
import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
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

test('an installation replaces the ones before it, and nothing else that has a similar name', () => {
  const names = ['understudy-20250101000000', 'understudy-2025-backup', 'understudy-2'];
  for (const name of names) mkdirSync(join(top, name));
  const prefix = join(top, 'understudy');
  expect(install(`${prefix}/`).status).toBe(0);
  expect(existsSync(join(prefix, 'bin/understudy'))).toBe(true);
  expect(realpathSync(join(top, 'links/understudy'))).toBe(
    realpathSync(join(prefix, 'bin/understudy')),
  );
  expect(readdirSync(top).filter((name) => names.includes(name))).toEqual([
    'understudy-2',
    'understudy-2025-backup',
  ]);
});

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

test('systemd starts the service again however often it has failed', () => {
  const unit = readFileSync(join(packaging, 'understudyd.service'), 'utf8');
  expect(unit).toMatch(/^Restart=always$/m);
  expect(unit).toMatch(/^StartLimitIntervalSec=0$/m);
});
