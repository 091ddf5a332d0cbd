import type { AccessRole } from '../../../service/admin-api/caller.ts';

/** Each may do what the ones before may. */
export const ROLES: readonly AccessRole[] = ['viewer', 'operator', 'administrator'];

export function mayDo(role: AccessRole, needed: AccessRole): boolean {
  return ROLES.indexOf(role) >= ROLES.indexOf(needed);
}
