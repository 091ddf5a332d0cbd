// Logging in: name, password, and a code where the user has an authenticator. Wrong tries cost time: five within a quarter of an
// hour lock a name out from that address until the oldest is that old. From elsewhere its owner still gets in, unless many
// addresses try together.
import { UnderstudyError } from '../../core/errors.ts';
import { FailureLimit } from '../../service/admin-api/failure-limit.ts';
import type { PasswordHasher } from './passwords.ts';
import { periodOf } from './totp.ts';
import type { User, UserStore } from './users.ts';

const WINDOW_MS = 15 * 60_000;
const FAILURES_PER_NAME_AND_ADDRESS_MAX = 5;
const FAILURES_PER_NAME_MAX = 100;
/** Several people may be behind one address. */
const FAILURES_PER_ADDRESS_MAX = 20;

export interface LoginTry {
  readonly name: string;
  readonly password: string;
  readonly code: string | undefined;
  readonly from: string;
}

export interface LoginClocks {
  /** Does not go back. */
  readonly monotonicMs: () => number;
  readonly wallMs: () => number;
}

export class Login {
  readonly #users: UserStore;
  readonly #hasher: PasswordHasher;
  readonly #clocks: LoginClocks;
  readonly #limits = [
    {
      max: FAILURES_PER_NAME_AND_ADDRESS_MAX,
      key: (name: string, from: string) => `${name} ${from}`,
      isOfName: true,
    },
    { max: FAILURES_PER_NAME_MAX, key: (name: string) => name, isOfName: true },
    {
      max: FAILURES_PER_ADDRESS_MAX,
      key: (_name: string, from: string) => from,
      isOfName: false,
    },
  ].map(({ max, ...rest }) => ({
    ...rest,
    limit: new FailureLimit({ failuresMax: max, windowMs: WINDOW_MS }),
  }));

  constructor(users: UserStore, hasher: PasswordHasher, clocks: LoginClocks) {
    this.#users = users;
    this.#hasher = hasher;
    this.#clocks = clocks;
  }

  /**
   * The user who logs in. Errors: LOGIN_FAILED (which of name and password is wrong is not said), LOGIN_CODE_NEEDED,
   * LOGIN_TRIES_EXCEEDED with `details.retryAfterSeconds`, CONSOLE_NOT_SET_UP.
   */
  async login({ name, password, code, from }: LoginTry): Promise<User> {
    if (this.#users.all.length === 0) {
      throw new UnderstudyError(
        'CONSOLE_NOT_SET_UP',
        'this console has no users yet: run "understudy console password" on its machine for the first one',
      );
    }
    this.#refuseTooMany(name, from);
    // Counted before the password is looked at: parallel tries must not get through together.
    this.#note('failed', name, from);
    const user = await this.#userWith(name, password);
    if (user === undefined) throw loginFailed();
    if (user.totp !== null) this.#checkCode(user, code, from);
    this.#note('succeeded', name, from);
    return this.#users.change(name, { lastLoginAt: new Date(this.#clocks.wallMs()).toISOString() });
  }

  /** Of somebody who is logged in already. Errors: LOGIN_FAILED, LOGIN_TRIES_EXCEEDED. */
  async confirmPassword(user: User, password: string, from: string): Promise<void> {
    this.#refuseTooMany(user.name, from);
    this.#note('failed', user.name, from);
    if ((await this.#userWith(user.name, password)) === undefined) throw loginFailed();
    this.#note('succeeded', user.name, from);
  }

  /**
   * The user of that name and password as it is after the look, which takes its time: meanwhile another try may have used a
   * code up, and an administrator may have given another password.
   */
  async #userWith(name: string, password: string): Promise<User | undefined> {
    const kept = this.#users.find(name)?.password;
    if (!(await this.#hasher.isRight(password, kept))) return undefined;
    const user = this.#users.find(name);
    return user?.password.hash === kept?.hash ? user : undefined;
  }

  #checkCode(user: User, code: string | undefined, from: string): void {
    const { name, totp } = user;
    if (totp === null) return;
    if (code === undefined || code === '') {
      // Whoever knows the password and asks what is missing has not guessed; the tries before still count.
      this.#note('forgive', name, from);
      throw new UnderstudyError('LOGIN_CODE_NEEDED', 'the code of the authenticator is needed');
    }
    const { secret, usedPeriod } = totp;
    const period = periodOf(code, secret, { usedPeriod, nowMs: this.#clocks.wallMs() });
    if (period === null) throw loginFailed();
    this.#users.change(name, { totp: { secret, usedPeriod: period } });
  }

  #note(what: 'failed' | 'forgive' | 'succeeded', name: string, from: string): void {
    for (const { limit, key, isOfName } of this.#limits) {
      // Who logs in under one name has not tried the others of this address in vain by that: only this try was none.
      const call = what === 'succeeded' && !isOfName ? 'forgive' : what;
      limit[call](key(name, from), this.#clocks.monotonicMs());
    }
  }

  #refuseTooMany(name: string, from: string): void {
    const now = this.#clocks.monotonicMs();
    const waitMs = Math.max(
      ...this.#limits.map(({ limit, key }) => limit.waitMs(key(name, from), now)),
    );
    if (waitMs === 0) return;
    const retryAfterSeconds = Math.ceil(waitMs / 1000);
    throw new UnderstudyError(
      'LOGIN_TRIES_EXCEEDED',
      `too many wrong tries: wait ${retryAfterSeconds} s`,
      { details: { retryAfterSeconds } },
    );
  }
}

function loginFailed(): UnderstudyError {
  return new UnderstudyError('LOGIN_FAILED', 'the name, the password or the code is wrong');
}
