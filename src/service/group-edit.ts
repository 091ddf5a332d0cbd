// Changes of a group while it runs. Both nodes have to agree, since either may be the primary tomorrow: the other one is told first,
// and when it does not answer nothing has changed.
import { defineVerify, type GroupDefinition } from './group-definition.ts';
import { changeLimit } from './limits.ts';
import { emptyReplySchema, type SettingsRequest } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';

const TIMEOUT_MS = 15_000;

/** As a person writes it; what is left out stays. */
export interface GroupEdit {
  /** How often the copies are compared by themselves: `7d`, or `off`. */
  readonly verify?: string | undefined;
  /** See bandwidth-input.ts. */
  readonly bandwidth?: unknown;
}

/** Errors: GROUP_UNKNOWN, GROUP_INVALID, DURATION_INVALID, BANDWIDTH_INVALID, RATE_INVALID, NODE_UNREACHABLE. */
export async function editGroup(
  service: NodeService,
  name: string,
  { verify, bandwidth }: GroupEdit,
): Promise<GroupDefinition> {
  const runtime = service.group(name);
  const { groupId } = runtime.definition;
  if (verify !== undefined) {
    const verifyEveryMs = defineVerify(verify, `group "${name}"`);
    await service.link.client().call({
      method: 'PUT',
      path: `/v1/groups/${name}/settings`,
      body: { groupId, verifyEveryMs } satisfies SettingsRequest,
      reply: emptyReplySchema,
      timeoutMs: TIMEOUT_MS,
    });
    runtime.changeSettings({ verifyEveryMs });
    const what = `its copies are compared ${verify === 'off' ? 'only when asked' : `every ${verify}`}`;
    runtime.emit('info', 'GROUP_CHANGED', `group "${name}": ${what}`);
  }
  if (bandwidth !== undefined) await changeLimit(service, name, bandwidth);
  return runtime.definition;
}
