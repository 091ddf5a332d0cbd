// What a terminal gets: other users of the machine choose names of processes and files, and these stand in sentences.
import { afterEach, expect, test, vi } from 'vitest';
import { UnderstudyError } from '../core/errors.ts';
import { fail, print, warn } from './output.ts';

const EVIL = '77 x\u001b]0;y\u0007\u001b[2J\r: /srv/shop/a\u202eb';

afterEach(() => {
  vi.restoreAllMocks();
  process.exitCode = undefined;
});

test('a name with commands for the terminal in it is text', () => {
  const lines: string[] = [];
  const take = (line: string): void => void lines.push(line);
  vi.spyOn(console, 'log').mockImplementation(take);
  vi.spyOn(console, 'error').mockImplementation(take);
  fail(false, new UnderstudyError('DIRECTORY_BUSY', `/srv/shop is in use by ${EVIL}`));
  warn(false, [EVIL]);
  print(false, EVIL, (text) => `found ${text}\nas well`);
  expect(lines).toHaveLength(3);
  // oxlint-disable-next-line no-control-regex -- these are meant
  for (const line of lines) expect(line).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  expect(lines[2]).toMatch(/\nas well$/);
});
