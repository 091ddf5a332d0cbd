// Logins that are made at the same time, and what one's own login does not make good.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { TOTP } from 'otpauth';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { UnderstudyError } from '../../core/errors.ts';
import { givePassword } from '../first-user.ts';
import { Login } from './login.ts';
import { PasswordHasher } from './passwords.ts';
import { makeTotp } from './totp.ts';
import { UserStore } from './users.ts';

const PASSWORD = 'correct horse battery';
const WALL_MS = Date.UTC(2026, 0, 1);

let top = '';
let users: UserStore;
let login: Login;
const hasher = new PasswordHasher();

beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'understudy-login-'));
  users = new UserStore(join(top, 'users.json'));
  login = new Login(users, hasher, { monotonicMs: () => 0, wallMs: () => WALL_MS });
  users.add({ name: 'ann', role: 'administrator', password: await hasher.hash(PASSWORD) });
});
afterEach(() => rmSync(top, { recursive: true, force: true }));

async function attempt(name: string, password: string, code?: string): Promise<string> {
  try {
    await login.login({ name, password, code, from: '192.0.2.7' });
    return 'in';
  } catch (thrown) {
    if (thrown instanceof UnderstudyError) return thrown.code;
    throw thrown;
  }
}

test('a code works once, also for two who send it in the same moment', async () => {
  const { secret } = makeTotp('ann', 'test');
  users.change('ann', { totp: { secret, usedPeriod: 0 } });
  const code = new TOTP({ secret, period: 30, digits: 6 }).generate({ timestamp: WALL_MS });
  const both = await Promise.all([attempt('ann', PASSWORD, code), attempt('ann', PASSWORD, code)]);
  expect(both).toEqual(['in', 'LOGIN_FAILED']);
});

test('a password that is replaced while it is looked at opens nothing', async () => {
  const present = users.get('ann');
  const another = await hasher.hash('another one, please');
  const tries = [
    attempt('ann', PASSWORD),
    login.confirmPassword(present, PASSWORD, '192.0.2.8').catch(String),
  ];
  users.change('ann', { password: another });
  expect(await tries[0]).toBe('LOGIN_FAILED');
  expect(await tries[1]).toContain('is wrong');
});

test('whoever has an account cannot try those of others for ever by logging in to it', async () => {
  // Hashing takes long, and is not what this is about.
  const isRight = async (password: string) => Promise.resolve(password === PASSWORD);
  const clocks = { monotonicMs: () => 0, wallMs: () => WALL_MS };
  login = new Login(users, { isRight } as unknown as PasswordHasher, clocks);
  const others = Array.from({ length: 10 }, (_, index) => `user${index}`);
  let tried = 0;
  for (const name of others) {
    for (let tries = 0; tries < 4; tries += 1) {
      if ((await attempt(name, `guess ${tries}`)) === 'LOGIN_FAILED') tried += 1;
    }
    await attempt('ann', PASSWORD);
  }
  expect(tried).toBe(20);
});

test('the first user has a name that the console can read again', async () => {
  const path = join(top, 'others.json');
  for (const name of ['Ann Other', '', 'a'.repeat(33), '../x', '安']) {
    await expect(givePassword(new UserStore(path), hasher, name)).rejects.toMatchObject({
      code: 'REQUEST_INVALID',
    });
  }
  await givePassword(new UserStore(path), hasher, 'ann');
  expect(new UserStore(path).all.map(({ name }) => name)).toEqual(['ann']);
});
