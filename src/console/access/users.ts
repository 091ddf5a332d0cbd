// The users of a console. The file is read again when it has changed: `understudy console password` writes it while a console
// runs.
import { statSync } from 'node:fs';
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { parseStrictly } from '../../core/strict-config.ts';
import { type AccessRole, accessRoleSchema } from '../../service/admin-api/caller.ts';
import { readJsonFile, writeJsonDurably } from '../../service/durable-file.ts';
import { type PasswordHash, passwordHashSchema } from './passwords.ts';

const USERS_MAX = 200;
export const userNameSchema = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,31}$/, 'lower-case letters, digits, ".", "_", "-", at most 32');

const userSchema = z.strictObject({
  name: userNameSchema,
  role: accessRoleSchema,
  password: passwordHashSchema,
  /** The password is known to whoever gave it: it works for choosing another one only. */
  mustChange: z.boolean(),
  totp: z.strictObject({ secret: z.string().max(64), usedPeriod: z.int().min(0) }).nullable(),
  createdAt: z.string().max(40),
  lastLoginAt: z.string().max(40).nullable(),
});
export type User = z.infer<typeof userSchema>;

export interface UserView {
  readonly name: string;
  readonly role: AccessRole;
  readonly mustChangePassword: boolean;
  readonly hasTotp: boolean;
  readonly createdAt: string;
  readonly lastLoginAt: string | null;
}

export class UserStore {
  readonly #path: string;
  #users: readonly User[] = [];
  #readMs = 0;

  /** Errors: STATE_FILE_INVALID. */
  constructor(path: string) {
    this.#path = path;
    this.#refresh();
  }

  get all(): readonly User[] {
    this.#refresh();
    return this.#users;
  }

  find(name: string): User | undefined {
    return this.all.find((user) => user.name === name);
  }

  /** Errors: USER_UNKNOWN. */
  get(name: string): User {
    const user = this.find(name);
    if (user !== undefined) return user;
    throw new UnderstudyError('USER_UNKNOWN', `this console has no user "${name}"`);
  }

  /** Errors: REQUEST_INVALID, USER_EXISTS, USERS_TOO_MANY. */
  add(options: { name: string; role: AccessRole; password: PasswordHash }): User {
    const { all } = this;
    // With another name the file could not be read any more.
    parseStrictly(userNameSchema, options.name, {
      code: 'REQUEST_INVALID',
      origin: `the user name "${options.name}"`,
    });
    if (all.some(({ name }) => name === options.name)) {
      throw new UnderstudyError('USER_EXISTS', `there is a user "${options.name}" already`);
    }
    if (all.length >= USERS_MAX) {
      throw new UnderstudyError(
        'USERS_TOO_MANY',
        `this console has ${USERS_MAX} users, which is the limit: remove those that are gone`,
      );
    }
    const createdAt = new Date().toISOString();
    const user: User = { ...options, mustChange: true, totp: null, createdAt, lastLoginAt: null };
    this.#save([...all, user]);
    return user;
  }

  /** Errors: USER_UNKNOWN, LAST_ADMINISTRATOR. */
  change(name: string, change: Partial<Omit<User, 'name' | 'createdAt'>>): User {
    const before = this.get(name);
    const changed = { ...before, ...change };
    const users = this.#users.map((user) => (user === before ? changed : user));
    refuseWithoutAdministrator(users);
    this.#save(users);
    return changed;
  }

  /** Errors: USER_UNKNOWN, LAST_ADMINISTRATOR. */
  remove(name: string): void {
    const user = this.get(name);
    const users = this.#users.filter((one) => one !== user);
    refuseWithoutAdministrator(users);
    this.#save(users);
  }

  #refresh(): void {
    const changedMs = statSync(this.#path, { throwIfNoEntry: false })?.mtimeMs ?? 0;
    if (changedMs === this.#readMs) return;
    this.#users = readJsonFile(this.#path, z.array(userSchema).max(USERS_MAX)) ?? [];
    this.#readMs = changedMs;
  }

  #save(users: readonly User[]): void {
    writeJsonDurably(this.#path, users);
    this.#users = users;
    this.#readMs = statSync(this.#path).mtimeMs;
  }
}

export function userView(user: User): UserView {
  const { name, role, mustChange, totp, createdAt, lastLoginAt } = user;
  return {
    name,
    role,
    mustChangePassword: mustChange,
    hasTotp: totp !== null,
    createdAt,
    lastLoginAt,
  };
}

function refuseWithoutAdministrator(users: readonly User[]): void {
  if (users.some(({ role }) => role === 'administrator')) return;
  throw new UnderstudyError(
    'LAST_ADMINISTRATOR',
    'a console needs at least one administrator: give another user that role first',
  );
}
