// Units through systemctl(1). This machine has no systemd: a stand-in answers as systemctl does.
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { testPlace, type TestPlace } from '../../../test/support/agent-context.ts';
import type { ProbeResult } from '../agent.ts';
import { systemd } from './systemd.ts';

const STAND_IN = resolve(import.meta.dirname, '../../../test/support/stand-ins/systemctl.sh');

let place: TestPlace;
let units = '';
beforeEach(() => {
  place = testPlace();
  const bin = join(place.top, 'bin');
  units = join(place.top, 'units');
  for (const directory of [bin, units]) mkdirSync(directory);
  copyFileSync(STAND_IN, join(bin, 'systemctl'));
  vi.stubEnv('PATH', `${bin}:${process.env['PATH'] ?? ''}`);
  vi.stubEnv('STAND_IN_UNITS', units);
  vi.stubEnv('UNDERSTUDY_SYSTEMD', units);
});
afterEach(() => {
  vi.unstubAllEnvs();
  place[Symbol.dispose]();
});

const unit = (name: string, state: string): void => writeFileSync(join(units, name), `${state}\n`);
const parse = (name: string) => systemd.parameters.parse({ unit: name });
const probe = async (name: string): Promise<ProbeResult> =>
  await systemd.probe(parse(name), place.context());
const validate = async (name: string): Promise<readonly string[]> =>
  (await systemd.validate?.(parse(name), place.context())) ?? [];

test('a unit is started, seen, and stopped; twice is once', async () => {
  unit('web.service', 'inactive disabled');
  expect(await probe('web')).toMatchObject({ state: 'stopped', measures: { restarts: 2 } });
  for (let time = 0; time < 2; time += 1) await systemd.start?.(parse('web'), place.context());
  expect(await probe('web.service')).toMatchObject({ state: 'ok' });
  for (let time = 0; time < 2; time += 1) await systemd.stop?.(parse('web'), place.context());
  expect(await probe('web')).toMatchObject({ state: 'stopped' });
  expect(readFileSync(join(units, 'web.service'), 'utf8')).toBe('inactive disabled\n');
});

test('failed, or just about to start again: failed', async () => {
  unit('a.service', 'failed disabled');
  unit('b.service', 'activating disabled');
  expect(await probe('a')).toMatchObject({
    state: 'failed',
    sentence: 'a.service is failed (failed): exit-code',
  });
  expect((await probe('b')).state).toBe('failed');
});

test('a start that fails says why and where to look', async () => {
  unit('broken.service', 'inactive disabled');
  await expect(systemd.start?.(parse('broken'), place.context())).rejects.toThrow(
    /exit code 1: Job for broken.service failed\.\): see "journalctl -u broken.service"/,
  );
});

test('validate: not there, starts at boot, no systemd', async () => {
  unit('good.service', 'inactive disabled');
  unit('boot.service', 'active enabled');
  expect(await validate('good')).toEqual([]);
  expect(await validate('none')).toEqual([
    'there is no unit none.service on this node: install the application here too',
  ]);
  expect((await validate('boot')).join()).toContain('"systemctl disable boot.service"');
  vi.stubEnv('UNDERSTUDY_SYSTEMD', '/nonexistent');
  expect((await validate('good')).join()).toContain('not booted with systemd');
  // A unit that is not there has nothing to stop.
  vi.stubEnv('UNDERSTUDY_SYSTEMD', units);
  await systemd.stop?.(parse('none'), place.context());
});
