import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type AuditEntry, AuditLog } from './audit.ts';

let top = '';
let path = '';

beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'understudy-audit-'));
  path = join(top, 'audit.jsonl');
});
afterEach(() => rmSync(top, { recursive: true }));

const entry = (what: string, input: string): AuditEntry => ({
  at: '2026-01-02T03:04:05.678Z',
  who: 'ann',
  role: 'administrator',
  from: '192.0.2.7',
  what,
  input,
  result: 'done',
  operation: null,
});
const lines = (...entries: readonly AuditEntry[]): string =>
  entries.map((each) => `${JSON.stringify(each)}\n`).join('');

test('passwords that an earlier version wrote down are left out, everything else stays', () => {
  const password = entry(
    'POST /account/password',
    String.raw`{"present":"old \"pw\"","password":"…"}`,
  );
  const other = entry('POST /groups/shop/switchover', '{"force":true,"note":"at present"}');
  const cut = entry(
    'POST /x',
    String.raw`{"list":["a"],"present":"hunter2\\","rest":"${'r'.repeat(40)}…`,
  );
  const open = entry('POST /x', '{"rest":"r","present":"hunter3…');
  const none = entry('login', '');
  writeFileSync(
    path,
    `${lines(password, other, none)}{"at":"torn","input":"{\\"present\\":\\"hunter4`,
  );
  writeFileSync(`${path}.2`, lines(other, cut, open));
  const audit = new AuditLog(path);
  expect(audit.clean()).toBe(3);
  const text = readFileSync(path, 'utf8') + readFileSync(`${path}.2`, 'utf8');
  expect(text).not.toMatch(/hunter|old/);
  expect(audit.last(10).map(({ input }) => input)).toEqual([
    '',
    other.input,
    '{"present":"…","password":"…"}',
    '{"rest":"r","present":"…"',
    `{"list":["a"],"present":"…","rest":"${'r'.repeat(40)}…`,
    other.input,
  ]);
  expect(audit.last(3).at(-1)).toEqual({ ...password, input: '{"present":"…","password":"…"}' });
  expect(statSync(path).mode & 0o777).toBe(0o600);

  // Nothing is written again, and new entries follow.
  const { ino } = statSync(path);
  expect(new AuditLog(path).clean()).toBe(0);
  expect(statSync(path).ino).toBe(ino);
  audit.add({ ...none, input: { present: 'hunter5' } });
  expect(audit.last(1)[0]?.input).toBe('{"present":"…"}');
});
