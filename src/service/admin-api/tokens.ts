// Access tokens of the API. A token is `ust1.ID.SECRET`; of the secret only its SHA-256 is kept, which is enough
// for 256 random bits. Who has a token has its role on this node, until it is revoked or ends.
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { Clock } from '../../core/clock.ts';
import { UnderstudyError } from '../../core/errors.ts';
import { readOrPutAside, writeJsonDurably } from '../durable-file.ts';
import { type AccessRole, accessRoleSchema } from './caller.ts';

const TOKENS_MAX = 64;
const ID_BYTES = 6;
const SECRET_BYTES = 32;
const TOKEN_PATTERN = /^ust1\.([0-9a-f]{12})\.([A-Za-z0-9_-]{43})$/;
/** The last use is kept to the minute: a disk is not to be written for every request. */
const USE_GRAIN_MS = 60_000;

const storedTokenSchema = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{12}$/),
  name: z.string().min(1).max(64),
  role: accessRoleSchema,
  secretHash: z.string().regex(/^[0-9a-f]{64}$/),
  createdAt: z.string().max(40),
  createdBy: z.string().max(256),
  expiresMs: z.int().nullable(),
  usedAt: z.string().max(40).nullable(),
});
type StoredToken = z.infer<typeof storedTokenSchema>;

export interface TokenView {
  readonly id: string;
  readonly name: string;
  readonly role: AccessRole;
  readonly createdAt: string;
  readonly createdBy: string;
  /** ISO 8601; null: it does not end by itself. */
  readonly expiresAt: string | null;
  /** To the minute; null: never. */
  readonly usedAt: string | null;
}

export class TokenStore {
  readonly #path: string;
  readonly #clock: Clock;
  #tokens: StoredToken[];

  /** Errors: STATE_FILE_INVALID. */
  constructor(
    path: string,
    { clock, onDamaged }: { clock: Clock; onDamaged?: (sentence: string) => void },
  ) {
    this.#path = path;
    this.#clock = clock;
    this.#tokens =
      readOrPutAside(path, z.array(storedTokenSchema).max(TOKENS_MAX), onDamaged) ?? [];
  }

  list(): TokenView[] {
    return this.#tokens.map(viewOf);
  }

  /** Makes a token; its text is told this once. Errors: ACCESS_TOKEN_EXISTS, ACCESS_TOKENS_TOO_MANY. */
  create(options: {
    readonly name: string;
    readonly role: AccessRole;
    readonly validMs: number | null;
    readonly createdBy: string;
  }): TokenView & { readonly token: string } {
    const { name, role, validMs, createdBy } = options;
    if (this.#tokens.some((token) => token.name === name)) {
      throw new UnderstudyError(
        'ACCESS_TOKEN_EXISTS',
        `there is an access token "${name}" already: choose another name, or revoke it with "understudy token revoke ${name}"`,
      );
    }
    const now = this.#clock.wallMs();
    const kept = this.#tokens.filter((token) => !isOver(token, now));
    if (kept.length >= TOKENS_MAX) {
      throw new UnderstudyError(
        'ACCESS_TOKENS_TOO_MANY',
        `this node has ${TOKENS_MAX} access tokens, which is the limit: revoke those that are not used, see "understudy token list"`,
      );
    }
    const id = randomBytes(ID_BYTES).toString('hex');
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    const stored: StoredToken = {
      id,
      name,
      role,
      secretHash: hash(secret),
      createdAt: new Date(now).toISOString(),
      createdBy,
      expiresMs: validMs === null ? null : now + validMs,
      usedAt: null,
    };
    this.#save([...kept, stored]);
    return { ...viewOf(stored), token: `ust1.${id}.${secret}` };
  }

  /** By name or id. Errors: ACCESS_TOKEN_UNKNOWN. */
  revoke(which: string): TokenView {
    const found = this.#tokens.find(({ id, name }) => id === which || name === which);
    if (found === undefined) {
      throw new UnderstudyError(
        'ACCESS_TOKEN_UNKNOWN',
        `there is no access token "${which}" on this node: see "understudy token list"`,
      );
    }
    this.#save(this.#tokens.filter((token) => token !== found));
    return viewOf(found);
  }

  /** The token of this text, or undefined when it is none, wrong, revoked or over. */
  find(text: string): TokenView | undefined {
    const [, id, secret] = TOKEN_PATTERN.exec(text) ?? [];
    if (id === undefined || secret === undefined) return undefined;
    const found = this.#tokens.find((token) => token.id === id);
    if (found === undefined) return undefined;
    const isRight = timingSafeEqual(
      Buffer.from(found.secretHash, 'hex'),
      Buffer.from(hash(secret), 'hex'),
    );
    const now = this.#clock.wallMs();
    if (!isRight || isOver(found, now)) return undefined;
    this.#noteUse(found, now);
    return viewOf(found);
  }

  /** Whether the token with this id is neither revoked nor over. */
  isGood(id: string): boolean {
    return this.#tokens.some((token) => token.id === id && !isOver(token, this.#clock.wallMs()));
  }

  #noteUse(token: StoredToken, now: number): void {
    if (token.usedAt !== null && Math.abs(now - Date.parse(token.usedAt)) < USE_GRAIN_MS) return;
    // In memory; it reaches the disk with the next change: it is for people who clear up.
    token.usedAt = new Date(now - (now % USE_GRAIN_MS)).toISOString();
  }

  #save(tokens: StoredToken[]): void {
    writeJsonDurably(this.#path, tokens);
    this.#tokens = tokens;
  }
}

function isOver({ expiresMs }: StoredToken, now: number): boolean {
  return expiresMs !== null && expiresMs <= now;
}

function viewOf(token: StoredToken): TokenView {
  const { id, name, role, createdAt, createdBy, expiresMs, usedAt } = token;
  const expiresAt = expiresMs === null ? null : new Date(expiresMs).toISOString();
  return { id, name, role, createdAt, createdBy, expiresAt, usedAt };
}

function hash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
