// In which role a node starts a group that is not running: the persisted one, unless the other node has been promoted since.
//
//   standby: start
//   primary: ask the peer first
//            peer is primary with a higher epoch ─▶ become standby
//            handed over and nobody answers, or the peer is still at it ─▶ waiting
//            otherwise ─▶ start
import { unreachable } from '../core/assert.ts';
import type { GroupPeer } from './group-peer.ts';
import type { GroupRuntime } from './group-runtime.ts';
import type { Position } from './group-spec.ts';
import { decideStart } from './role-decision.ts';

/** Errors: those of a start. */
export async function startInRole(
  runtime: GroupRuntime,
  peer: GroupPeer,
  patienceMs: number,
): Promise<void> {
  runtime.halt.refuse();
  const isPrimary = runtime.state.role === 'primary';
  const other = isPrimary ? await peer.askPatiently(patienceMs) : undefined;
  const decision = decideStart(runtime.state, other);
  // It may have outlived the service and the process.
  const stays = decision.kind === 'follow' || decision.kind === 'wait';
  if (stays) await runtime.application.endOrphans();
  switch (decision.kind) {
    case 'standby':
      await runtime.startStandby();
      return;
    case 'follow':
      await follow(runtime, decision.epoch, decision.position);
      return;
    case 'wait':
      runtime.wait(
        other === 'unreachable'
          ? `handed over to the other node, which does not answer: waiting for it. If it is lost, run "understudy takeover ${runtime.name} --force" here`
          : 'handed over to the other node, which is still becoming the primary: waiting for it',
      );
      return;
    case 'primary':
      runtime.setTrouble('handover', null);
      if (decision.epoch !== runtime.state.epoch) runtime.saveState({ epoch: decision.epoch });
      await runtime.startPrimary();
      return;
    default:
      unreachable(decision);
  }
}

async function follow(
  runtime: GroupRuntime,
  epoch: number,
  position: Position | null,
): Promise<void> {
  const lost = position === null ? ', and what it wrote last and did not send is replaced' : '';
  const sentence = `group "${runtime.name}" was taken over by the other node (epoch ${epoch}): this node becomes its standby${lost}`;
  runtime.emit('warning', 'PRIMARY_ELSEWHERE', sentence);
  await runtime.becomeStandby(epoch, position);
}
