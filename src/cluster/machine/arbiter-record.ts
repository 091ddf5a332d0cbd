// What an arbiter's record becomes: the one place where it is written down. The simulation's etcd runs
// this, and the real one expresses the same as transactions.
//
//   request   condition                                          record afterwards
//   read      –                                                  unchanged
//   acquire   token equal (or no record and token null),         {self, epoch, alone}
//             and epoch above the record's
//   seize     no record, or epoch above the record's             {self, epoch, alone}
//   renew     token equal, holder self, epoch equal, held        {self, epoch, alone}
//   release   token equal, holder self, epoch equal              {self, epoch, alone, released}
//
// The record outlives its holder: it says whose data is the newest. A lease of the engine that makes
// a key vanish may stand beside it for people to see, and decides nothing: engines count leases in
// seconds, and a primary must know *before* the others that its own has ended.
import { unreachable } from '../../core/assert.ts';
import type { NodeId } from '../../core/ids.ts';
import type { ArbiterRequest } from './effect-types.ts';
import type { ArbiterRecord } from './types.ts';

export type RecordContent = Omit<ArbiterRecord, 'token'>;

/**
 * The content to write, `'keep'` for a read, or `'conflict'` when the condition does not hold.
 * `self` is the node that asks.
 */
export function applyRequest(
  record: ArbiterRecord | null,
  request: ArbiterRequest,
  self: NodeId,
): RecordContent | 'keep' | 'conflict' {
  switch (request.kind) {
    case 'read':
      return 'keep';
    case 'acquire':
      if ((record?.token ?? null) !== request.token) return 'conflict';
      return isAbove(record, request.epoch) ? held(self, request) : 'conflict';
    case 'seize':
      return isAbove(record, request.epoch) ? held(self, request) : 'conflict';
    case 'renew':
      if (!isOwn(record, request, self) || record?.released === true) return 'conflict';
      return held(self, request);
    case 'release':
      if (!isOwn(record, request, self)) return 'conflict';
      return { ...held(self, request), released: true };
    default:
      return unreachable(request);
  }
}

function held(holder: NodeId, request: { epoch: number; alone: boolean }): RecordContent {
  return { holder, released: false, epoch: request.epoch, alone: request.alone };
}

function isAbove(record: ArbiterRecord | null, epoch: number): boolean {
  return record === null || epoch > record.epoch;
}

function isOwn(
  record: ArbiterRecord | null,
  request: { epoch: number; token: string },
  self: NodeId,
): boolean {
  return (
    record !== null &&
    record.token === request.token &&
    record.holder === self &&
    record.epoch === request.epoch
  );
}
