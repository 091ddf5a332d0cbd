import { expect, test } from 'vitest';
import { checkPassword, PASSWORD_LENGTH_MIN as SERVER_MIN } from '../../access/passwords.ts';
import { PASSWORD_LENGTH_MIN, passwordFault } from './password-rules.ts';

const isRefused = (password: string): boolean => {
  try {
    checkPassword(password, 'alice');
    return false;
  } catch {
    return true;
  }
};

test('the form refuses what the console refuses, and nothing else', () => {
  expect(PASSWORD_LENGTH_MIN).toBe(SERVER_MIN);
  for (const password of [
    'short',
    'nine char',
    'ten chars.',
    'aaaaaaaaaaaa',
    'abcdabcdabcd',
    'abcdeabcde',
    'my name is Alice',
    'x'.repeat(257),
    `${'x'.repeat(252)}abcd`,
    `${'x'.repeat(253)}abcd`,
  ]) {
    const fault = passwordFault(password, { present: 'another one', name: 'alice' });
    expect([password, fault !== null]).toEqual([password, isRefused(password)]);
  }
});

test('the present password is no other one', () => {
  const present = 'correct horse battery';
  expect(passwordFault(present, { present, name: 'alice' })).toBe('same');
});
