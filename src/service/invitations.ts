// Open invitations of this node. Secrets are kept hashed, work once, and end after a while. Wrong tries are counted, so that they
// do not fill the log; the right one passes whatever else is tried: 128 bits are not found by trying.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../core/clock.ts';
import { UnderstudyError } from '../core/errors.ts';
import { readOrPutAside, writeJsonDurably } from './durable-file.ts';
import { SECRET_BYTES } from './pairing-token.ts';

const INVITATIONS_MAX = 16;
const FAILURES_PER_MINUTE_MAX = 10;
const MINUTE_MS = 60_000;
/** Used and expired invitations are remembered for a day, to tell people why a token fails. */
const REMEMBERED_MS = 86_400_000;

const invitationSchema = z.strictObject({
  secretHash: z.string().regex(/^[0-9a-f]{64}$/),
  expiresMs: z.int(),
  used: z.boolean(),
});
type Invitation = z.infer<typeof invitationSchema>;

export class Invitations {
  readonly #path: string;
  readonly #clock: Clock;
  #list: Invitation[];
  #failuresMs: number[] = [];

  constructor(
    path: string,
    { clock, onDamaged }: { clock: Clock; onDamaged?: (sentence: string) => void },
  ) {
    this.#path = path;
    this.#clock = clock;
    this.#list = readOrPutAside(path, z.array(invitationSchema), onDamaged) ?? [];
  }

  /** Makes a new invitation. Errors: INVITATIONS_TOO_MANY. */
  create(validMs: number): { secret: string; expiresMs: number } {
    const now = this.#clock.wallMs();
    this.#list = this.#list.filter(({ expiresMs }) => expiresMs + REMEMBERED_MS > now);
    if (this.#list.length >= INVITATIONS_MAX) {
      throw new UnderstudyError(
        'INVITATIONS_TOO_MANY',
        `${INVITATIONS_MAX} invitations were made within a day: use one of them, or wait until they are forgotten`,
      );
    }
    const secret = randomBytes(SECRET_BYTES).toString('hex');
    const expiresMs = now + validMs;
    this.#list.push({ secretHash: hash(secret), expiresMs, used: false });
    this.#save();
    return { secret, expiresMs };
  }

  /**
   * Checks a secret without using it up. Errors: TOKEN_UNKNOWN, TOKEN_EXPIRED, TOKEN_USED,
   * TOKEN_TRIES_EXCEEDED.
   */
  check(secret: string): void {
    const now = this.#clock.wallMs();
    const found = this.#find(secret);
    if (found !== undefined && !found.used && found.expiresMs > now) return;
    this.#failuresMs = this.#failuresMs.filter((at) => Math.abs(now - at) < MINUTE_MS);
    if (this.#failuresMs.length >= FAILURES_PER_MINUTE_MAX) {
      throw new UnderstudyError(
        'TOKEN_TRIES_EXCEEDED',
        'too many wrong pairing tokens were tried on this node: wait a minute',
      );
    }
    this.#failuresMs.push(now);
    const again = 'run "understudy invite" again';
    if (found === undefined) {
      throw new UnderstudyError('TOKEN_UNKNOWN', `this node made no such invitation: ${again}`);
    }
    if (found.used) {
      throw new UnderstudyError('TOKEN_USED', `this pairing token was used already: ${again}`);
    }
    throw new UnderstudyError('TOKEN_EXPIRED', `this pairing token has expired: ${again}`);
  }

  /** Uses a secret up: from now on it fails. */
  use(secret: string): void {
    this.check(secret);
    const found = this.#find(secret);
    if (found !== undefined) found.used = true;
    this.#save();
  }

  #find(secret: string): Invitation | undefined {
    const wanted = Buffer.from(hash(secret), 'hex');
    return this.#list.find(({ secretHash }) =>
      timingSafeEqual(Buffer.from(secretHash, 'hex'), wanted),
    );
  }

  #save(): void {
    writeJsonDurably(this.#path, this.#list);
  }
}

function hash(secret: string): string {
  return createHash('sha256').update(secret, 'hex').digest('hex');
}
