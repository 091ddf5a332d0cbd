// Passwords as they are kept: scrypt (RFC 7914) with a salt of their own. One hash takes 16 MiB and a tenth of a second,
// so they are made one after the other, and only so many may wait.
import { randomBytes, scrypt, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';

const COST = 16_384;
const BLOCK_SIZE = 8;
const PARALLEL = 5;
const KEY_BYTES = 32;
const SALT_BYTES = 16;
const MEMORY_BYTES_MAX = 64 * 1024 * 1024;
const WAITING_MAX = 32;
export const PASSWORD_LENGTH_MIN = 10;
export const PASSWORD_LENGTH_MAX = 256;

export const passwordHashSchema = z.strictObject({
  cost: z.int().min(1024).max(1_048_576),
  blockSize: z.int().min(1).max(32),
  parallel: z.int().min(1).max(16),
  salt: z.string().regex(/^[0-9a-f]{32,128}$/),
  hash: z.string().regex(/^[0-9a-f]{64}$/),
});
export type PasswordHash = z.infer<typeof passwordHashSchema>;

/** Hashes passwords, one at a time. */
export class PasswordHasher {
  #queue: Promise<unknown> = Promise.resolve();
  #waiting = 0;

  /** Errors: REQUESTS_TOO_MANY. */
  async hash(password: string): Promise<PasswordHash> {
    const parameters = {
      cost: COST,
      blockSize: BLOCK_SIZE,
      parallel: PARALLEL,
      salt: randomBytes(SALT_BYTES).toString('hex'),
    };
    const hash = await this.#derive(password, parameters);
    return { ...parameters, hash: hash.toString('hex') };
  }

  /**
   * Whether this is the password. Takes as long for `undefined` (no such user), so that names cannot be found out by
   * the time. Errors: REQUESTS_TOO_MANY.
   */
  async isRight(password: string, kept: PasswordHash | undefined): Promise<boolean> {
    const { hash, ...parameters } = kept ?? NOBODY;
    const derived = await this.#derive(password, parameters);
    return timingSafeEqual(derived, Buffer.from(hash, 'hex')) && kept !== undefined;
  }

  async #derive(password: string, parameters: Omit<PasswordHash, 'hash'>): Promise<Buffer> {
    if (this.#waiting >= WAITING_MAX) {
      throw new UnderstudyError(
        'REQUESTS_TOO_MANY',
        'too many people log in at this moment: wait a little and try again',
      );
    }
    this.#waiting += 1;
    const run = this.#queue.then(async () => derive(password, parameters));
    this.#queue = run.catch(() => undefined);
    try {
      return await run;
    } finally {
      this.#waiting -= 1;
    }
  }
}

const NOBODY: PasswordHash = {
  cost: COST,
  blockSize: BLOCK_SIZE,
  parallel: PARALLEL,
  salt: '00'.repeat(SALT_BYTES),
  hash: '00'.repeat(KEY_BYTES),
};

async function derive(
  password: string,
  { cost, blockSize, parallel, salt }: Omit<PasswordHash, 'hash'>,
): Promise<Buffer> {
  const options = { N: cost, r: blockSize, p: parallel, maxmem: MEMORY_BYTES_MAX };
  return new Promise((resolve, reject) => {
    scrypt(
      password.normalize('NFKC'),
      Buffer.from(salt, 'hex'),
      KEY_BYTES,
      options,
      (error, key) => {
        if (error === null) resolve(key);
        else reject(error);
      },
    );
  });
}

/** A password that a machine made, for its first use: 100 random bits, readable aloud. */
export function oneTimePassword(): string {
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789';
  const text = [...randomBytes(20)].map((byte) => letters[byte % letters.length] ?? 'x').join('');
  return (text.match(/.{5}/g) ?? []).join('-');
}

/** Errors: PASSWORD_WEAK. */
export function checkPassword(password: string, name: string): void {
  const isLong = password.length >= PASSWORD_LENGTH_MIN && password.length <= PASSWORD_LENGTH_MAX;
  const isVaried = new Set(password).size >= 5;
  const isOther = !password.toLowerCase().includes(name.toLowerCase());
  if (isLong && isVaried && isOther) return;
  throw new UnderstudyError(
    'PASSWORD_WEAK',
    `choose a password of ${PASSWORD_LENGTH_MIN} to ${PASSWORD_LENGTH_MAX} characters, at least 5 different ones, without the user's name in it`,
    { details: { fields: ['password'], lengthMin: PASSWORD_LENGTH_MIN } },
  );
}
