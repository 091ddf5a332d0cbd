// Who calls the API, and what that caller may do. Roles are ordered: each may do what the ones before may.
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';

/** `viewer` looks, `operator` works with groups, `administrator` pairs nodes, gives access, deletes. */
export const ROLES = ['viewer', 'operator', 'administrator'] as const;
export const accessRoleSchema = z.enum(ROLES);
export type AccessRole = (typeof ROLES)[number];

export interface Caller {
  /** `root`: the Unix socket. `peer`: the other node, by its pinned certificate. `user`: of a console. */
  readonly kind: 'root' | 'token' | 'peer' | 'user';
  /** Of the token or node; `root`. */
  readonly name: string;
  /** For whom a console calls; null: for itself. */
  readonly user: string | null;
  readonly role: AccessRole;
  /** Address, or `socket`. */
  readonly from: string;
}

export function lowerRole(one: AccessRole, other: AccessRole): AccessRole {
  return ROLES.indexOf(one) <= ROLES.indexOf(other) ? one : other;
}

export function mayDo(role: AccessRole, needed: AccessRole): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}

/** Errors: ROLE_INSUFFICIENT. */
export function requireRole(caller: Caller, needed: AccessRole): void {
  if (mayDo(caller.role, needed)) return;
  throw new UnderstudyError(
    'ROLE_INSUFFICIENT',
    `this needs the role "${needed}", and ${nameOf(caller)} has "${caller.role}": ask an administrator`,
    { details: { needed, role: caller.role } },
  );
}

/** Who it is, for the audit log. */
export function auditedCaller(caller: Caller): { who: string; role: string; from: string } {
  return { who: nameOf(caller), role: caller.role, from: caller.from };
}

/** `alice (token console)`: for the audit log and messages. */
export function nameOf({ kind, name, user }: Caller): string {
  const self = kind === 'root' || kind === 'user' ? name : `${kind} ${name}`;
  return user === null ? self : `${user} (${self})`;
}
