// "understudy accept": a person has looked at a group that was halted and lets it go on.
import { UnderstudyError } from '../core/errors.ts';
import type { GroupRuntime } from './group-runtime.ts';
import type { NodeService } from './node-service.ts';

const ACCEPT_TIMEOUT_MS = 30_000;

/** What was accepted, as a sentence. */
export interface Accepted {
  readonly what: string;
}

/** Lets a halted group go on with what there is now. Errors: GROUP_UNKNOWN, NOT_HALTED. */
export async function accept(service: NodeService, name: string): Promise<Accepted> {
  const runtime = service.group(name);
  if (runtime.lookForHalt() === null) return acceptApplying(runtime);
  await runtime.exclusive(async () => {
    runtime.acceptDirectories();
    await Promise.resolve();
  });
  runtime.emit(
    'warning',
    'HALT_ACCEPTED',
    `group "${name}": its directories are accepted as they are`,
  );
  if (runtime.isManaged) service.failover.of(runtime).lookAgain();
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
