import { afterEach, expect, test, vi } from 'vitest';
import { asNotRoot } from './errors.ts';

afterEach(() => vi.restoreAllMocks());

const refused = Object.assign(new Error('connect EACCES /run/x.sock'), { code: 'EACCES' });

test('who is not root hears that, instead of what the system called it', () => {
  vi.spyOn(process, 'geteuid').mockReturnValue(1000);
  const told = asNotRoot(Object.assign(refused, { path: '/run/x.lock' }));
  expect(told).toMatchObject({ code: 'NOT_ROOT', message: expect.stringContaining('/run/x.lock') });
  expect(asNotRoot(Object.assign(new Error('no'), { code: 'ENOENT' }))).toBeUndefined();
  expect(asNotRoot('no error at all')).toBeUndefined();
});

test('for root it is another fault', () => {
  vi.spyOn(process, 'geteuid').mockReturnValue(0);
  expect(asNotRoot(refused)).toBeUndefined();
});
