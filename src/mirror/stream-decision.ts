// What a standby answers to a hello: go on, go on as another stream, scan, or no. Pure.
import { LINK_VERSION } from './link/frame.ts';
import type { Hello, StreamPosition } from './link/messages.ts';

/** What the standby knows when a hello comes. */
export interface StandbyView {
  readonly groupId: string;
  readonly group: string;
  /** Highest epoch it knows of. */
  readonly epoch: number;
  /** Last record in its journal; null when it holds no stream. */
  readonly position: StreamPosition | null;
  /**
   * `usable`: complete up to `position`. `scanning`: incomplete, but the scan can go on where it
   * was. `broken`: nothing can be built on it.
   */
  readonly copy: 'usable' | 'scanning' | 'broken';
}

export type Decision =
  | { readonly kind: 'refuse'; readonly code: string; readonly message: string }
  /** The stream held goes on with record `from`. */
  | { readonly kind: 'resume'; readonly from: number }
  /** Another stream carries on from where the one held ended, with record `from`. */
  | { readonly kind: 'continue'; readonly from: number }
  | { readonly kind: 'scan'; readonly reason: string };

/** Decides what becomes of the stream that `hello` offers. */
export function decideStream(hello: Hello, view: StandbyView): Decision {
  const refusal = refuse(hello, view);
  if (refusal !== undefined) return refusal;
  const { position } = view;
  if (position === null) return { kind: 'scan', reason: 'the standby holds no copy yet' };
  if (view.copy === 'broken') return { kind: 'scan', reason: 'the copy is not complete' };
  const from = position.sequence + 1;
  if (position.streamId === hello.streamId) {
    if (from > hello.headSequence + 1) {
      return { kind: 'scan', reason: 'the standby has records that the primary does not know' };
    }
    if (from < hello.tailSequence) {
      return { kind: 'scan', reason: `record ${from} is not kept by the primary any more` };
    }
    return { kind: 'resume', from };
  }
  if (view.copy === 'usable' && carriesOn(hello, position)) return { kind: 'continue', from };
  return { kind: 'scan', reason: 'the primary began another stream' };
}

function refuse(hello: Hello, view: StandbyView): Decision | undefined {
  if (hello.protocol !== LINK_VERSION) {
    const message =
      `the primary speaks version ${hello.protocol} of the link, this standby ${LINK_VERSION}: ` +
      'run the same version of Understudy on both nodes';
    return { kind: 'refuse', code: 'PROTOCOL_MISMATCH', message };
  }
  if (hello.groupId !== view.groupId) {
    const message = `this is the standby of ${view.group} (${view.groupId}), not of ${hello.group}`;
    return { kind: 'refuse', code: 'UNKNOWN_GROUP', message };
  }
  if (hello.epoch < view.epoch) {
    const message =
      `the standby knows epoch ${view.epoch}, this primary is of epoch ${hello.epoch}: ` +
      'another node was promoted since';
    return { kind: 'refuse', code: 'STALE_EPOCH', message };
  }
  return undefined;
}

function carriesOn(hello: Hello, position: StreamPosition): boolean {
  const { base, firstSequence, tailSequence } = hello;
  return (
    base !== null &&
    base.streamId === position.streamId &&
    base.sequence === position.sequence &&
    firstSequence === base.sequence + 1 &&
    tailSequence <= firstSequence
  );
}
