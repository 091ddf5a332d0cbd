// Users of the console, by its administrators; and the console's own audit log.
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { auditEntrySchema } from '../../service/admin-api/audit.ts';
import { accessRoleSchema } from '../../service/admin-api/caller.ts';
import { type AnyRoute, route } from '../../service/admin-api/route.ts';
import { oneTimePassword } from '../access/passwords.ts';
import { userNameSchema, userView } from '../access/users.ts';
import type { ConsoleContext } from '../console-context.ts';

const tag = 'users';
const role = 'administrator';
const userSchema = z.object({
  name: z.string(),
  role: accessRoleSchema,
  mustChangePassword: z.boolean(),
  hasTotp: z.boolean(),
  createdAt: z.string(),
  lastLoginAt: z.string().nullable(),
});
const withPassword = userSchema.extend({
  oneTimePassword: z
    .string()
    .nullable()
    .describe('Told this once; it works for choosing another one'),
});
const params = z.strictObject({ name: userNameSchema });

export function userRoutes(context: ConsoleContext): AnyRoute[] {
  return [
    listRoute(context),
    addRoute(context),
    changeRoute(context),
    removeRoute(context),
    auditRoute(context),
  ];
}

function listRoute({ users }: ConsoleContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/users',
    role,
    tag,
    summary: 'Users of this console.',
    reply: z.array(userSchema),
    handle: () => users.all.map(userView),
  });
}

function addRoute({ users, hasher }: ConsoleContext): AnyRoute {
  return route({
    method: 'POST',
    path: '/users',
    role,
    tag,
    summary: 'Adds a user, with a one-time password. Errors: USER_EXISTS, USERS_TOO_MANY.',
    body: z.strictObject({ name: userNameSchema, role: accessRoleSchema }),
    reply: withPassword,
    handle: async ({ body }) => {
      const text = oneTimePassword();
      const user = users.add({ ...body, password: await hasher.hash(text) });
      return { ...userView(user), oneTimePassword: text };
    },
  });
}

function changeRoute({ users, sessions, hasher }: ConsoleContext): AnyRoute {
  return route({
    method: 'PATCH',
    path: '/users/:name',
    role,
    tag,
    summary:
      'Changes the role, gives a new one-time password, or takes the authenticator away; sessions of the user end.',
    params,
    body: z.strictObject({
      role: accessRoleSchema.optional(),
      resetPassword: z.boolean().default(false),
      removeTotp: z.boolean().default(false),
    }),
    reply: withPassword,
    handle: async ({ params: { name }, body }) => {
      users.get(name);
      const text = body.resetPassword ? oneTimePassword() : null;
      const user = users.change(name, {
        ...(body.role === undefined ? {} : { role: body.role }),
        ...(text === null ? {} : { password: await hasher.hash(text), mustChange: true }),
        ...(body.removeTotp ? { totp: null } : {}),
      });
      sessions.endAll(name);
      return { ...userView(user), oneTimePassword: text };
    },
  });
}

function removeRoute({ users, sessions }: ConsoleContext): AnyRoute {
  return route({
    method: 'DELETE',
    path: '/users/:name',
    role,
    tag,
    summary: 'Removes a user; its sessions end. Errors: USER_UNKNOWN, LAST_ADMINISTRATOR.',
    params,
    reply: z.object({ name: z.string() }),
    handle: ({ params: { name }, caller }) => {
      if (caller.name === name) {
        throw new UnderstudyError(
          'USER_IS_SELF',
          'nobody removes the own account: ask another administrator',
        );
      }
      users.remove(name);
      sessions.endAll(name);
      return { name };
    },
  });
}

function auditRoute({ audit }: ConsoleContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/audit',
    role,
    tag,
    summary:
      'Logins and changes of this console, newest first. What was changed on nodes is in their own logs.',
    query: z.strictObject({ count: z.coerce.number().int().min(1).max(1000).default(100) }),
    reply: z.array(auditEntrySchema),
    handle: ({ query }) => audit.last(query.count),
  });
}
