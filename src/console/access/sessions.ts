// Who is logged in. A session is a random secret in a cookie; here only its hash is known, so that a memory dump or a log
// gives no session away. A login always begins a new one. Kept in memory: a console that is restarted asks for the login again.
import { createHash, randomBytes } from 'node:crypto';

const SESSIONS_MAX = 500;
const SESSIONS_PER_USER_MAX = 20;
export const IDLE_MS_MAX = 30 * 60_000;
export const AGE_MS_MAX = 12 * 3_600_000;
const SECRET_BYTES = 32;

export interface Session {
  readonly user: string;
  /** To be sent with each change; another site cannot read it. */
  readonly csrf: string;
  readonly beganMs: number;
}

interface Kept extends Session {
  seenMs: number;
}

export class Sessions {
  readonly #nowMs: () => number;
  readonly #kept = new Map<string, Kept>();

  /** `nowMs`: a clock that does not go back. */
  constructor(nowMs: () => number) {
    this.#nowMs = nowMs;
  }

  /** Begins a session; `secret` is for the cookie. */
  begin(user: string): { readonly secret: string; readonly session: Session } {
    this.#makeRoom(user);
    const secret = randomBytes(SECRET_BYTES).toString('base64url');
    const csrf = randomBytes(SECRET_BYTES).toString('base64url');
    const now = this.#nowMs();
    const session = { user, csrf, beganMs: now, seenMs: now };
    this.#kept.set(hash(secret), session);
    return { secret, session };
  }

  /** The session of this secret, which is thereby used; undefined when there is none or it is over. */
  find(secret: string): Session | undefined {
    const key = hash(secret);
    const kept = this.#kept.get(key);
    if (kept === undefined) return undefined;
    if (this.#isOver(kept)) {
      this.#kept.delete(key);
      return undefined;
    }
    kept.seenMs = this.#nowMs();
    return kept;
  }

  /** Whether it still goes on, without using it. */
  isAlive(session: Session): boolean {
    return [...this.#kept.values()].some((kept) => kept === session && !this.#isOver(kept));
  }

  end(secret: string): void {
    this.#kept.delete(hash(secret));
  }

  /** Ends all sessions of a user but one: another password, another role. */
  endAll(user: string, but?: Session): void {
    for (const [key, kept] of this.#kept) {
      if (kept.user === user && kept !== but) this.#kept.delete(key);
    }
  }

  #isOver({ beganMs, seenMs }: Kept): boolean {
    const now = this.#nowMs();
    return now - beganMs > AGE_MS_MAX || now - seenMs > IDLE_MS_MAX;
  }

  #makeRoom(user: string): void {
    for (const [key, kept] of this.#kept) if (this.#isOver(kept)) this.#kept.delete(key);
    const own = [...this.#kept].filter(([, kept]) => kept.user === user);
    for (const [key] of own.slice(0, Math.max(0, own.length - SESSIONS_PER_USER_MAX + 1))) {
      this.#kept.delete(key);
    }
    const [oldest] = this.#kept.keys();
    if (this.#kept.size >= SESSIONS_MAX && oldest !== undefined) this.#kept.delete(oldest);
  }
}

function hash(secret: string): string {
  return createHash('sha256').update(secret).digest('hex');
}
