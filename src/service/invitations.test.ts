import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { Invitations } from './invitations.ts';

let directory = '';
let path = '';
let now = 0;
const clock = { wallMs: () => now, monotonicMs: () => now };

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'understudy-invitations-'));
  path = join(directory, 'invitations.json');
  now = 1_800_000_000_000;
});
afterEach(() => rmSync(directory, { recursive: true }));

const open = (): Invitations => new Invitations(path, { clock });
const code = (value: string) => expect.objectContaining({ code: value }) as unknown;

test('a secret is valid until it expires, across restarts, and once', () => {
  const { secret } = open().create(60_000);
  now += 59_999;
  open().check(secret);
  open().use(secret);
  expect(() => open().check(secret)).toThrow(code('TOKEN_USED') as Error);
});

test('an expired secret says so, a day later it is unknown', () => {
  const { secret } = open().create(60_000);
  now += 60_000;
  expect(() => open().check(secret)).toThrow(code('TOKEN_EXPIRED') as Error);
  now += 2 * 86_400_000;
  const later = open();
  later.create(1000);
  expect(() => later.check(secret)).toThrow(code('TOKEN_UNKNOWN') as Error);
});

test('the file does not hold the secret', () => {
  const { secret } = open().create(60_000);
  expect(readFileSync(path, 'utf8')).not.toContain(secret);
});

test('ten wrong tries a minute, then a pause for wrong ones; nobody keeps the right one out', () => {
  const invitations = open();
  const { secret } = invitations.create(600_000);
  for (let index = 0; index < 10; index += 1) {
    expect(() => invitations.check('0'.repeat(32))).toThrow(code('TOKEN_UNKNOWN') as Error);
  }
  expect(() => invitations.check('0'.repeat(32))).toThrow(code('TOKEN_TRIES_EXCEEDED') as Error);
  invitations.check(secret);
  now += 60_001;
  expect(() => invitations.check('0'.repeat(32))).toThrow(code('TOKEN_UNKNOWN') as Error);
});

test('invitations are limited in number, until old ones are forgotten', () => {
  const invitations = open();
  for (let index = 0; index < 16; index += 1) invitations.create(1000);
  expect(() => invitations.create(1000)).toThrow(code('INVITATIONS_TOO_MANY') as Error);
  now += 86_500_000;
  invitations.create(1000);
});
