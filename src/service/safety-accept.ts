// "understudy accept": a person has looked at a group that was halted and lets it go on. Asked on the node that is not halted, the other one
// is told.
import { UnderstudyError } from '../core/errors.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { acceptedSchema } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';

const ACCEPT_TIMEOUT_MS = 30_000;

/** A standby that applies what it held back answers at once. */
const PEER_TIMEOUT_MS = 60_000;

/** What was accepted, as a sentence. */
export interface Accepted {
  readonly what: string;
}

/** Lets a halted group go on with what there is now, on whichever node it is halted. Errors: GROUP_UNKNOWN, NOT_HALTED. */
export async function accept(service: NodeService, name: string): Promise<Accepted> {
  const runtime = service.group(name);
  try {
    return await acceptHere(service, runtime);
  } catch (thrown) {
    const isElsewhere = thrown instanceof UnderstudyError && thrown.code === 'NOT_HALTED';
    if (!isElsewhere || service.peers.peer === undefined) throw thrown;
    return acceptThere(service, runtime, thrown);
  }
}

/** `here`: why nothing was accepted on this node. */
async function acceptThere(
  service: NodeService,
  { name, definition: { groupId } }: GroupRuntime,
  here: UnderstudyError,
): Promise<Accepted> {
  try {
    const { what } = await service.link.client().call({
      method: 'POST',
      path: `/v1/groups/${name}/accept`,
      body: { groupId },
      reply: acceptedSchema,
      timeoutMs: PEER_TIMEOUT_MS,
    });
    return { what: `on node "${service.peers.requirePeer().name}" ${what}` };
  } catch (thrown) {
    // Who is not reached cannot be asked; what holds here is the answer then.
    if (thrown instanceof UnderstudyError && thrown.code === 'NODE_UNREACHABLE') throw here;
    throw thrown;
  }
}

/** The same for this node only. Errors: NOT_HALTED. */
export async function acceptHere(service: NodeService, runtime: GroupRuntime): Promise<Accepted> {
  const { name } = runtime;
  if (runtime.halt.look() === null) return acceptApplying(runtime);
  await runtime.exclusive(async () => {
    runtime.halt.accept();
    await Promise.resolve();
  });
  runtime.emit(
    'warning',
    'HALT_ACCEPTED',
    `group "${name}": its directories are accepted as they are`,
  );
  if (runtime.isManaged) service.failover.of(runtime).data.lookAgain();
  await runtime.boot(0);
  return { what: 'its directories are taken as they are now' };
}

/** The standby's side: what it holds back is applied. */
async function acceptApplying(runtime: GroupRuntime): Promise<Accepted> {
  const isStandby = runtime.state.role === 'standby' && runtime.process.isAlive;
  const status = isStandby ? await runtime.process.status() : {};
  if ((status['halted'] ?? null) === null) {
    throw new UnderstudyError(
      'NOT_HALTED',
      `group "${runtime.name}" is not halted on this node: see "understudy status" for the one that is`,
    );
  }
  await runtime.process.call('accept', {}, ACCEPT_TIMEOUT_MS);
  return { what: 'what was held back is applied to the copy' };
}
