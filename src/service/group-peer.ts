// What the other node says of one group that is not managed, and what follows from it here.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlEvent } from './control-channel.ts';
import type { GroupState } from './group-state.ts';
import type { GroupTroubles } from './group-troubles.ts';
import type { GroupView, NodeView } from './node-protocol.ts';
import { concludeFromPeer, type PeerAnswer } from './role-decision.ts';

const ASK_TIMEOUT_MS = 1500;
const ASK_AGAIN_MS = 1000;
/** A group is made on its standby first: its primary does not know it for as long as that takes. */
const UNKNOWN_PATIENCE_MS = 5000;

export interface GroupPeerOptions {
  readonly group: string;
  readonly groupId: string;
  /** Name of this node. */
  readonly node: string;
  readonly state: () => GroupState;
  readonly noteState: (change: Partial<GroupState>) => void;
  readonly troubles: GroupTroubles;
  readonly phase: () => GroupView['process'];
  readonly ask: (group: string, timeoutMs: number) => Promise<PeerAnswer>;
  /** The service ends. */
  readonly isClosed: () => boolean;
  /** What could not be decided before can be now. */
  readonly onDecidable: () => void;
  readonly emit: (level: ControlEvent['level'], code: string, message: string) => void;
}

export class GroupPeer {
  readonly #options: GroupPeerOptions;
  /** Since when the other node says that it does not know the group (performance.now()). */
  #unknownSince: number | undefined;

  constructor(options: GroupPeerOptions) {
    this.#options = options;
  }

  /** Asks until there is an answer, at most for so long. */
  async askPatiently(patienceMs: number): Promise<PeerAnswer> {
    const { group, ask, isClosed } = this.#options;
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const other = await ask(group, ASK_TIMEOUT_MS);
      if (other !== 'unreachable' || performance.now() >= deadline || isClosed()) return other;
      await sleep(ASK_AGAIN_MS);
    }
  }

  /** The other node was asked, and knows the group as `other`. */
  conclude({ node }: NodeView, other: GroupView | undefined): void {
    const { group, groupId, state, troubles, phase, noteState, onDecidable } = this.#options;
    const conclusion = concludeFromPeer({ groupId, state: state(), phase: phase() }, other);
    const isUnknown = conclusion.kind === 'unknown-group';
    const forget = `node "${node.name}" does not know this group: delete it here with "understudy group delete ${group} --force"`;
    this.#unknownSince = isUnknown ? (this.#unknownSince ?? performance.now()) : undefined;
    const isOrphan =
      this.#unknownSince !== undefined &&
      performance.now() - this.#unknownSince >= UNKNOWN_PATIENCE_MS;
    troubles.set('peer', isOrphan ? forget : null);
    if (conclusion.kind === 'split-brain') this.#noteSplitBrain(node.name, conclusion.newer);
    else if (!isUnknown) troubles.set('conflict', null);
    if (conclusion.kind === 'epoch') noteState({ epoch: conclusion.epoch });
    if (conclusion.kind === 'decide') onDecidable();
  }

  #noteSplitBrain(other: string, newerOne: 'this' | 'other'): void {
    const { group, node, troubles, emit } = this.#options;
    if (troubles.get('conflict') !== undefined) return;
    const [newer, older] = newerOne === 'other' ? [other, node] : [node, other];
    const sentence = `both nodes are primary (split brain): "${newer}" was promoted later. Keep what you need of the data on "${older}", then run "understudy yield ${group} --force" there to make it the standby`;
    troubles.set('conflict', sentence);
    emit('error', 'SPLIT_BRAIN', `group "${group}": ${sentence}`);
  }
}
