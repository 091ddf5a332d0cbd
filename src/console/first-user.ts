// The first administrator, and passwords that were forgotten: whoever is root on the console's machine gives a one-time password.
import type { PasswordHasher } from './access/passwords.ts';
import { oneTimePassword } from './access/passwords.ts';
import type { UserStore } from './access/users.ts';

export const FIRST_USER = 'admin';

export interface GivenPassword {
  readonly user: string;
  readonly password: string;
}

/** Makes the administrator of a console without users; undefined when it has some. */
export async function ensureFirstUser(
  users: UserStore,
  hasher: PasswordHasher,
): Promise<GivenPassword | undefined> {
  if (users.all.length > 0) return undefined;
  return givePassword(users, hasher, FIRST_USER);
}

/**
 * Gives a user a one-time password and takes the authenticator away; without users, `name` becomes the first administrator.
 * Errors: USER_UNKNOWN, REQUEST_INVALID.
 */
export async function givePassword(
  users: UserStore,
  hasher: PasswordHasher,
  name: string,
): Promise<GivenPassword> {
  const password = oneTimePassword();
  const hash = await hasher.hash(password);
  if (users.all.length === 0) users.add({ name, role: 'administrator', password: hash });
  else users.change(name, { password: hash, mustChange: true, totp: null });
  return { user: name, password };
}
