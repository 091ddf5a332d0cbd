// The standby becomes primary: it applies what is left of its journal, and its process is replaced.
import { UnderstudyError } from '../core/errors.ts';
import type { GroupRuntime } from './group-runtime.ts';
import { type Position, positionSchema } from './group-spec.ts';
import type { Outcome, PromoteRequest } from './node-protocol.ts';

const FINISH_TIMEOUT_MS = 3_600_000;
export const UP_TO_DATE_COPY: readonly string[] = ['up-to-date'];

/** The standby's side of a switchover. Errors: STALE_EPOCH, POSITION_MISMATCH, and of the process. */
export async function promote(runtime: GroupRuntime, request: PromoteRequest): Promise<Outcome> {
  return runtime.exclusive(async () => {
    const { epoch, role } = runtime.state;
    if (role === 'primary' || request.epoch <= epoch) {
      throw new UnderstudyError(
        'STALE_EPOCH',
        `group "${runtime.name}" cannot be promoted to epoch ${request.epoch}: this node is ${role} with epoch ${epoch}`,
      );
    }
    const reached = await finish(runtime, UP_TO_DATE_COPY);
    const { position } = request;
    const isThere =
      reached?.streamId === position.streamId && reached.sequence === position.sequence;
    if (!isThere) {
      await runtime.becomeStandby(epoch, reached);
      throw new UnderstudyError(
        'POSITION_MISMATCH',
        `the copy of group "${runtime.name}" ends at ${reached?.sequence ?? 'an earlier moment'}, the primary at ${position.sequence}: it is not promoted`,
      );
    }
    return takeRole(runtime, request.epoch, position);
  });
}

/**
 * Applies what is left of the journal and ends the standby process. Null: the data is as of an earlier
 * moment, from which no stream carries on.
 */
export async function finish(
  runtime: GroupRuntime,
  accepts: readonly string[],
): Promise<Position | null> {
  runtime.requireWritable();
  try {
    const result = await runtime.callLast('finish', { accepts }, FINISH_TIMEOUT_MS);
    const { streamId, sequence, isOld } = result as Partial<Position> & { isOld?: boolean };
    if (isOld === true) return null;
    return positionSchema.parse({ streamId, sequence });
  } catch (thrown) {
    if (!runtime.process.isAlive) await runtime.resume();
    throw thrown;
  }
}

/** Starts as primary; falls back to standby, with a full comparison, when that fails. */
export async function takeRole(
  runtime: GroupRuntime,
  epoch: number,
  position: Position | null,
): Promise<Outcome> {
  const before = runtime.state.epoch;
  try {
    return { warnings: await runtime.startPrimary({ epoch, position }), epoch };
  } catch (thrown) {
    await runtime.stopProcess();
    await runtime.becomeStandby(before, null);
    throw thrown;
  }
}
