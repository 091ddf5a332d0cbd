// `understudy verify`: compares both copies of a group, shows what was found, repairs it; and does the
// first by itself every now and then.
//
// The comparison runs in the stream (filter/verifier.ts), its result is the standby's
// (mirror/verify-report.ts). A repair is a resync: the one way in which copies are made equal.
import { UnderstudyError } from '../core/errors.ts';
import type { NodeService } from './node-service.ts';
import { freshStatus, type GroupStatus } from './status.ts';

const LOOK_INTERVAL_MS = 600_000;
const CALL_TIMEOUT_MS = 10_000;
/** The clocks of two nodes may differ by that. */
const FUTURE_MS = 600_000;

/**
 * Begins a comparison on the primary, which has to be this node. Errors: GROUP_UNKNOWN, NOT_PRIMARY_HERE,
 * VERIFY_NOT_POSSIBLE, VERIFY_RUNNING.
 */
export async function startVerify(service: NodeService, group: string): Promise<void> {
  await primaryOf(service, group).process.call('verify', {}, CALL_TIMEOUT_MS);
}

/**
 * Makes the standby's copy equal, while applications work. Errors: GROUP_UNKNOWN, NOT_PRIMARY_HERE,
 * VERIFY_NOT_POSSIBLE, COPY_HALTED.
 */
export async function repair(service: NodeService, group: string): Promise<void> {
  const runtime = primaryOf(service, group);
  const status = await runtime.process.status();
  if (status['link'] !== 'connected') {
    throw new UnderstudyError(
      'VERIFY_NOT_POSSIBLE',
      `the standby of group "${group}" is not connected: there is nothing to repair it through`,
    );
  }
  await runtime.process.call('rescan', {}, CALL_TIMEOUT_MS);
  service.emit('warning', 'REPAIR_STARTED', `group "${group}": the copy is being repaired`, {
    group,
  });
}

function primaryOf(service: NodeService, group: string): ReturnType<NodeService['group']> {
  const runtime = service.group(group);
  if (runtime.state.role === 'primary') return runtime;
  const peer = service.peers.peer?.name ?? 'the other node';
  throw new UnderstudyError(
    'NOT_PRIMARY_HERE',
    `"${service.config.name}" is not the primary of group "${group}": run it on "${peer}"`,
  );
}

/** Starts comparisons that are due, on the node that is primary. */
export class VerifySchedule {
  readonly #service: NodeService;
  #timer: NodeJS.Timeout | undefined;

  constructor(service: NodeService) {
    this.#service = service;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#look(), LOOK_INTERVAL_MS);
    this.#timer.unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  async #look(): Promise<void> {
    await unlessExpected(async () => {
      const { groups } = await freshStatus(this.#service);
      // One that cannot be compared keeps no other one from it.
      for (const group of groups) await unlessExpected(async () => this.#lookAt(group));
    });
  }

  async #lookAt(group: GroupStatus): Promise<void> {
    const { definition } = this.#service.group(group.name);
    const since = Date.parse(definition.createdAt);
    if (isVerifyDue(group, { everyMs: definition.verifyEveryMs, since }, Date.now()))
      await startVerify(this.#service, group.name);
  }
}

/** What cannot be done now is still due at the next look. */
async function unlessExpected(work: () => Promise<void>): Promise<void> {
  try {
    await work();
  } catch (thrown) {
    if (!(thrown instanceof UnderstudyError)) throw thrown;
  }
}

/** Whether a group is to be compared now by the node whose status this is. `since`: wall clock, ms. */
export function isVerifyDue(
  group: Pick<GroupStatus, 'role' | 'copy' | 'scan' | 'verifying' | 'verify'>,
  { everyMs, since }: { readonly everyMs: number | null; readonly since: number },
  nowMs: number,
): boolean {
  if (everyMs === null || group.role !== 'primary' || group.copy !== 'up-to-date') return false;
  if (group.scan !== null || group.verifying !== null || group.verify === null) return false;
  const last = Math.max(group.verify.beganAtMs, group.verify.endedAtMs);
  const agoMs = nowMs - (last === 0 ? since : last);
  // A clock that was set back makes it lie in the future: nobody knows how long ago that was.
  return agoMs >= everyMs || agoMs < -FUTURE_MS;
}
