// Whose browser it is that calls, and that it calls by its own will.
//
// The session is a cookie that scripts cannot read and other sites cannot send (HttpOnly, SameSite=Strict). A change needs, besides,
// the session's CSRF token in a header, and must not come from another site, as the browser itself says.
import { timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { UnderstudyError } from '../../core/errors.ts';
import type { Caller } from '../../service/admin-api/caller.ts';
import type { ConsoleContext } from '../console-context.ts';
import { AGE_MS_MAX, type Session } from './sessions.ts';
import type { User } from './users.ts';

/** What a user with a one-time password may do. */
const BEFORE_CHANGE = new Set(['/session', '/logout', '/account/password']);
const LOOPBACK_HOST = /^(127\.\d+\.\d+\.\d+|localhost|\[::1\])(:\d+)?$/;
const COOKIE = 'understudy';
/** Browsers accept this name over TLS only, and from no other host of the domain. */
const SECURE_COOKIE = '__Host-understudy';

export class BrowserGuard {
  readonly #context: ConsoleContext;
  readonly #prefix: string;

  constructor(context: ConsoleContext, prefix: string) {
    this.#context = context;
    this.#prefix = prefix;
  }

  /** Of every request, also before a login. Errors: CSRF_TOKEN_WRONG, REQUEST_INVALID. */
  checkOrigin(request: FastifyRequest): void {
    // Without TLS a name could be made to lead here (DNS rebinding); only this machine itself may be meant.
    if (!this.#context.isSecure && !LOOPBACK_HOST.test(request.headers.host ?? '')) {
      throw new UnderstudyError(
        'REQUEST_INVALID',
        'this console is for this machine only: open it by its address, as it was printed',
      );
    }
    if (request.method === 'GET' || request.method === 'HEAD') return;
    const site = request.headers['sec-fetch-site'];
    const { origin, host } = request.headers;
    const isElsewhere =
      (site !== undefined && site !== 'same-origin' && site !== 'none') ||
      (origin !== undefined && hostOf(origin) !== host);
    if (isElsewhere) throw csrfWrong('it comes from another site');
  }

  /** Errors: LOGIN_NEEDED, CSRF_TOKEN_WRONG, PASSWORD_CHANGE_NEEDED. */
  callerOf(request: FastifyRequest): Caller {
    const { session, user } = this.of(request);
    if (request.method !== 'GET') checkCsrf(request, session);
    const path = (request.routeOptions.url ?? '').slice(this.#prefix.length);
    if (user.mustChange && !BEFORE_CHANGE.has(path)) {
      throw new UnderstudyError(
        'PASSWORD_CHANGE_NEEDED',
        'the password was given by somebody else: choose another one first',
      );
    }
    return { kind: 'user', name: user.name, user: null, role: user.role, from: request.ip };
  }

  /** Errors: LOGIN_NEEDED. */
  of(request: FastifyRequest): { session: Session; user: User; secret: string } {
    const secret = this.#secretOf(request);
    const session = secret === undefined ? undefined : this.#context.sessions.find(secret);
    const user = session === undefined ? undefined : this.#context.users.find(session.user);
    if (secret !== undefined && session !== undefined && user !== undefined) {
      return { session, user, secret };
    }
    throw new UnderstudyError('LOGIN_NEEDED', 'log in first: there is no session, or it is over');
  }

  setCookie(reply: FastifyReply, secret: string): void {
    const age = Math.floor(AGE_MS_MAX / 1000);
    void reply.header(
      'set-cookie',
      `${this.#cookie}=${secret}; ${this.#attributes}; Max-Age=${age}`,
    );
  }

  clearCookie(reply: FastifyReply): void {
    void reply.header('set-cookie', `${this.#cookie}=; ${this.#attributes}; Max-Age=0`);
  }

  get #cookie(): string {
    return this.#context.isSecure ? SECURE_COOKIE : COOKIE;
  }

  get #attributes(): string {
    return `Path=/; HttpOnly; SameSite=Strict${this.#context.isSecure ? '; Secure' : ''}`;
  }

  #secretOf(request: FastifyRequest): string | undefined {
    for (const pair of (request.headers.cookie ?? '').slice(0, 8192).split(';')) {
      const [name, value] = pair.trim().split('=');
      if (name === this.#cookie && value !== undefined && value !== '') return value;
    }
    return undefined;
  }
}

function hostOf(origin: string): string {
  try {
    return new URL(origin).host;
  } catch {
    return '';
  }
}

function checkCsrf(request: FastifyRequest, { csrf }: Session): void {
  const sent = Buffer.from(String(request.headers['x-csrf-token'] ?? ''));
  const expected = Buffer.from(csrf);
  if (sent.length === expected.length && timingSafeEqual(sent, expected)) return;
  throw csrfWrong('its "x-csrf-token" is missing or wrong');
}

function csrfWrong(why: string): UnderstudyError {
  return new UnderstudyError(
    'CSRF_TOKEN_WRONG',
    `this change was refused: ${why}. Load the page again and repeat it`,
  );
}
