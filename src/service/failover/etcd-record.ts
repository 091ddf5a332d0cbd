// The record of a group in etcd, before it has a machine and after: whether one can be kept, and its end.
import type { EtcdArbiter } from '../../cluster/arbiter/etcd-arbiter.ts';
import type { GroupSettings } from './group-settings.ts';

/** Proves that a record can be kept; returns advice. Errors: ARBITER_UNREACHABLE. */
export async function checkRecord(
  settings: GroupSettings,
  groupId: string,
): Promise<readonly string[]> {
  return (await withEtcd(settings, groupId, async (etcd) => etcd.check())) ?? [];
}

/** Of a group that neither node has any more. Errors: those of the connection, and etcd's refusal. */
export async function removeRecord(settings: GroupSettings, groupId: string): Promise<void> {
  await withEtcd(settings, groupId, async (etcd) => etcd.remove());
}

/** Undefined where the group has another arbiter. The client is loaded only where it is used: it costs memory. */
async function withEtcd<T>(
  { arbiter, config }: GroupSettings,
  groupId: string,
  use: (etcd: EtcdArbiter) => Promise<T>,
): Promise<T | undefined> {
  if (arbiter.kind !== 'etcd') return undefined;
  const { EtcdArbiter: Arbiter } = await import('../../cluster/arbiter/etcd-arbiter.ts');
  const names = { groupId, groupName: config.group, self: config.self };
  const etcd = new Arbiter({ ...arbiter.etcd, ...names });
  try {
    return await use(etcd);
  } finally {
    await etcd.close();
  }
}
