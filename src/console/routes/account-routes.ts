// Logging in and out, and what users do with their own account.
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { accessRoleSchema } from '../../service/admin-api/caller.ts';
import { type AnyRoute, route } from '../../service/admin-api/route.ts';
import type { BrowserGuard } from '../access/browser-guard.ts';
import { checkPassword, PASSWORD_LENGTH_MAX } from '../access/passwords.ts';
import type { Session } from '../access/sessions.ts';
import { makeTotp, periodOf } from '../access/totp.ts';
import { type User, userView } from '../access/users.ts';
import type { ConsoleContext } from '../console-context.ts';

const tag = 'account';
const PENDING_TOTP_MAX = 100;
const passwordSchema = z.string().max(PASSWORD_LENGTH_MAX);
const codeSchema = z.string().max(16);

const sessionSchema = z.object({
  user: z.string(),
  role: accessRoleSchema,
  /** To be sent as `x-csrf-token` with everything that is not a GET. */
  csrf: z.string(),
  mustChangePassword: z.boolean(),
  hasTotp: z.boolean(),
  version: z.string(),
});

export function accountRoutes(context: ConsoleContext, guard: BrowserGuard): AnyRoute[] {
  return [
    ...loginRoutes(context, guard),
    sessionRoute(context, guard),
    passwordRoute(context, guard),
    ...totpRoutes(context, guard),
  ];
}

function sessionView({ version }: ConsoleContext, session: Session, user: User) {
  const { name, role, mustChangePassword, hasTotp } = userView(user);
  return { user: name, role, csrf: session.csrf, mustChangePassword, hasTotp, version };
}

function loginRoutes(context: ConsoleContext, guard: BrowserGuard): AnyRoute[] {
  const { login, sessions, audit } = context;
  return [
    route({
      method: 'POST',
      path: '/login',
      role: 'public',
      tag,
      isAudited: false,
      summary:
        'Begins a session. Errors: LOGIN_FAILED, LOGIN_CODE_NEEDED, LOGIN_TRIES_EXCEEDED (details.retryAfterSeconds), CONSOLE_NOT_SET_UP.',
      body: z.strictObject({
        name: z.string().max(64),
        password: passwordSchema,
        code: codeSchema.optional().describe('Of the authenticator app'),
      }),
      reply: sessionSchema,
      handle: async ({ body, request, reply }) => {
        const from = request.ip;
        const name = body.name.trim().toLowerCase();
        const note = (result: string, role: string): void => {
          audit.add({ who: name, role, from, what: 'login', input: null, result, operation: null });
        };
        try {
          const user = await login.login({ ...body, code: body.code, name, from });
          // A session that the browser had before is given up: a login never continues one.
          endPresent(context, guard, request);
          const { secret, session } = sessions.begin(user.name);
          guard.setCookie(reply, secret);
          note('done', user.role);
          return sessionView(context, session, user);
        } catch (thrown) {
          const code = thrown instanceof UnderstudyError ? thrown.code : 'INTERNAL';
          // Beyond the limit nothing is looked at any more, and nothing is to fill the log.
          if (code !== 'LOGIN_TRIES_EXCEEDED') note(code, '-');
          throw thrown;
        }
      },
    }),
    route({
      method: 'POST',
      path: '/logout',
      role: 'viewer',
      tag,
      summary: 'Ends the session.',
      reply: z.object({}),
      handle: ({ request, reply }) => {
        sessions.end(guard.of(request).secret);
        guard.clearCookie(reply);
        return {};
      },
    }),
  ];
}

function endPresent(
  { sessions }: ConsoleContext,
  guard: BrowserGuard,
  request: Parameters<BrowserGuard['of']>[0],
): void {
  try {
    sessions.end(guard.of(request).secret);
  } catch {
    // There was none.
  }
}

function sessionRoute(context: ConsoleContext, guard: BrowserGuard): AnyRoute {
  return route({
    method: 'GET',
    path: '/session',
    role: 'viewer',
    tag,
    summary: 'Who is logged in, and the CSRF token of the session.',
    reply: sessionSchema,
    handle: ({ request }) => {
      const { session, user } = guard.of(request);
      return sessionView(context, session, user);
    },
  });
}

function passwordRoute(context: ConsoleContext, guard: BrowserGuard): AnyRoute {
  const { login, users, sessions, hasher } = context;
  return route({
    method: 'POST',
    path: '/account/password',
    role: 'viewer',
    tag,
    summary:
      'Changes the own password; other sessions of the user end. Errors: LOGIN_FAILED, PASSWORD_WEAK.',
    body: z.strictObject({ present: passwordSchema, password: passwordSchema }),
    reply: sessionSchema,
    handle: async ({ body, request, reply }) => {
      const { user, secret } = guard.of(request);
      await login.confirmPassword(user, body.present, request.ip);
      checkPassword(body.password, user.name);
      if (body.password === body.present) {
        throw new UnderstudyError('PASSWORD_WEAK', 'choose another password than the present one', {
          details: { fields: ['password'], faults: ['it is the present one'] },
        });
      }
      const password = await hasher.hash(body.password);
      // Whose sessions were ended meanwhile is logged out.
      guard.of(request);
      const changed = users.change(user.name, { password, mustChange: false });
      sessions.end(secret);
      sessions.endAll(user.name);
      const begun = sessions.begin(user.name);
      guard.setCookie(reply, begun.secret);
      return sessionView(context, begun.session, changed);
    },
  });
}

function totpRoutes(context: ConsoleContext, guard: BrowserGuard): AnyRoute[] {
  const { users, login, issuer } = context;
  /** Secrets that were shown and not confirmed yet, by user. */
  const pending = new Map<string, string>();
  return [
    route({
      method: 'POST',
      path: '/account/totp',
      role: 'viewer',
      tag,
      isAudited: false,
      summary: 'Makes a secret for an authenticator app; it counts when a code has confirmed it.',
      body: z.strictObject({ password: passwordSchema }),
      reply: z.object({ secret: z.string(), uri: z.string().describe('For a QR code') }),
      handle: async ({ body, request }) => {
        const { user } = guard.of(request);
        await login.confirmPassword(user, body.password, request.ip);
        const made = makeTotp(user.name, issuer);
        pending.delete(user.name);
        const [oldest] = pending.keys();
        if (pending.size >= PENDING_TOTP_MAX && oldest !== undefined) pending.delete(oldest);
        pending.set(user.name, made.secret);
        return made;
      },
    }),
    route({
      method: 'PUT',
      path: '/account/totp',
      role: 'viewer',
      tag,
      summary: 'Confirms it with a code: from now on a login needs one.',
      body: z.strictObject({ code: codeSchema }),
      reply: z.object({ hasTotp: z.boolean() }),
      handle: ({ body, request }) => {
        const { user } = guard.of(request);
        const secret = pending.get(user.name);
        const clock = { usedPeriod: 0, nowMs: Date.now() };
        const period = secret === undefined ? null : periodOf(body.code, secret, clock);
        if (secret === undefined || period === null) {
          throw new UnderstudyError(
            'CODE_WRONG',
            'this is not the code of the app now: try again',
            {
              details: { fields: ['code'], faults: ['wrong'] },
            },
          );
        }
        pending.delete(user.name);
        users.change(user.name, { totp: { secret, usedPeriod: period } });
        return { hasTotp: true };
      },
    }),
    route({
      method: 'DELETE',
      path: '/account/totp',
      role: 'viewer',
      tag,
      summary: 'A login needs no code any more.',
      body: z.strictObject({ password: passwordSchema }),
      reply: z.object({ hasTotp: z.boolean() }),
      handle: async ({ body, request }) => {
        const { user } = guard.of(request);
        await login.confirmPassword(user, body.password, request.ip);
        users.change(user.name, { totp: null });
        return { hasTotp: false };
      },
    }),
  ];
}
