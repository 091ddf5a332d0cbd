import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { STATE_FILE } from '../journal/standby-state.ts';
import { whyNotRenewable } from './renewal.ts';

const directory = mkdtempSync(join(tmpdir(), 'understudy-renewal-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

const able = { process: { whyNotSucceedable: null }, stateDirectory: null };
const unable = { ...able, process: { whyNotSucceedable: 'its memory has layout 2' } };
const calm = { scan: null, verify: null };

test('a calm primary whose mounts are held can be replaced; one whose memory is not understood cannot', () => {
  expect(whyNotRenewable('primary', calm, able)).toBeNull();
  const why = whyNotRenewable('primary', calm, unable);
  expect(why).toContain('its memory has layout 2. Make the other node the primary');
});

test('what another process would begin anew is waited for', () => {
  const standby = { ...able, stateDirectory: directory };
  const scan = { bytes: 1 };
  expect(whyNotRenewable('primary', { ...calm, scan }, able)).toContain('being completed');
  expect(whyNotRenewable('standby', { ...calm, scan }, standby)).toContain('being completed');
  expect(whyNotRenewable('primary', { ...calm, verify: {} }, able)).toContain('being compared');
  const verify = { state: 'running' };
  expect(whyNotRenewable('standby', { ...calm, verify }, standby)).toContain('being compared');
  const equal = { state: 'equal' };
  expect(whyNotRenewable('standby', { ...calm, verify: equal }, standby)).toBeNull();
});

test('a state of a later version is not begun with', () => {
  const standby = { ...able, stateDirectory: directory };
  writeFileSync(join(directory, STATE_FILE), '{"version":2}\n');
  const why = whyNotRenewable('standby', calm, standby);
  expect(why).toContain('does not understand');
  expect(why).toContain(join(directory, STATE_FILE));
});
