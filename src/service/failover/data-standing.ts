// What the machine of a managed group is told of the data on this node, and what a promotion may be made from. The
// process of a standby knows its copy; that nobody has gone on from where the copy was complete, only the service knows.
//
//   without a process     the data of a former primary, or nothing that counts
//   standby               what its process says; `up-to-date` also where it was complete and waits for more that is not there
//   primary               up-to-date
import { bootId } from '../../linux/boot-id.ts';
import type { EffectOf } from '../../cluster/machine/effect-types.ts';
import type { MachineEvent } from '../../cluster/machine/event-types.ts';
import { isSamePosition } from '../../cluster/machine/state.ts';
import type { CopyState, Position } from '../../cluster/machine/types.ts';
import type { DataNotice } from '../data-notices.ts';
import type { GroupRuntime } from '../group-runtime.ts';
import type { GroupState } from '../group-state.ts';
import { HALT_INTERVAL_MS } from '../halt-watch.ts';
import { dataOf, type Demoted, ownData, type StandbyData } from './role-changes.ts';

export type Promotable = Pick<EffectOf<'promote'>, 'base' | 'accepts'>;

export interface DataStandingOptions {
  readonly runtime: GroupRuntime;
  readonly tell: (event: MachineEvent) => void;
  /** The whole copy was written anew. */
  readonly onRewritten: () => void;
}

export class DataStanding {
  readonly #runtime: GroupRuntime;
  readonly #tell: DataStandingOptions['tell'];
  readonly #onRewritten: () => void;
  /** Where this node ended its last stream in order, or where the data stands that it was to serve and did not: see the state. */
  #completeAt: Position | null;
  /** Epoch of the data of a standby, as told last. */
  #epoch = 0;
  #haltTimer: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor({ runtime, tell, onRewritten }: DataStandingOptions) {
    this.#runtime = runtime;
    this.#tell = tell;
    this.#onRewritten = onRewritten;
    this.#completeAt = knownComplete(runtime.state);
  }

  /** Epoch of the data here while this node is a standby. */
  get epoch(): number {
    return this.#epoch;
  }

  stop(): void {
    this.#stopped = true;
    clearTimeout(this.#haltTimer);
  }

  /** What is known of the data here without a process. */
  withoutProcess(): { readonly copy: CopyState; readonly position: Position } {
    const { state } = this.#runtime;
    const own = state.role === 'primary' ? ownData(state) : state.own;
    if (own !== null) {
      const copy = this.#lookForHalt() ? 'failed' : 'up-to-date';
      return { copy, position: own };
    }
    return { copy: 'syncing', position: { epoch: state.epoch, sequence: state.lastSequence } };
  }

  /** Another directory lies where the data was: the other node may have it, this one has not. */
  #lookForHalt(): boolean {
    const isHalted = this.#runtime.halt.look() !== null;
    if (isHalted && !this.#stopped) {
      clearTimeout(this.#haltTimer);
      this.#haltTimer = setTimeout(() => this.lookAgain(), HALT_INTERVAL_MS).unref();
    }
    return isHalted;
  }

  /** The directories may have come back, or been accepted as they are. */
  lookAgain(): void {
    const { process, isSucceeding } = this.#runtime;
    if (this.#stopped || process.isAlive || isSucceeding) return;
    this.#tell({ kind: 'copy', ...this.withoutProcess() });
  }

  /** The group's process says where its data stands. */
  note({ copy, epoch, sequence, isStaged = false }: DataNotice): void {
    const runtime = this.#runtime;
    const { own, role } = runtime.state;
    if (copy === 'empty') {
      this.#tell({ kind: 'copy', ...this.withoutProcess() });
      return;
    }
    if (own !== null && role === 'standby') runtime.noteState({ own: null });
    if (role === 'standby' && copy === 'up-to-date') this.#onRewritten();
    if (role === 'primary') runtime.noteSequence(sequence);
    else this.#epoch = epoch;
    const position = { epoch, sequence };
    // Where it was complete it has everything, whether the other node is heard or not.
    const isAtEnd = this.#isAtEnd({ copy, position, isStaged });
    // A primary has gone on from there.
    const isThere = isAtEnd || (copy === 'up-to-date' && this.#isThere(position));
    if (role === 'standby' && !isThere) this.#keepComplete(null);
    this.#tell({ kind: 'copy', copy: isAtEnd ? 'up-to-date' : copy, position });
  }

  /** A copy whose process waits for more, and there is none: nobody has gone on, as whoever sends what is staged has. */
  #isAtEnd({ copy, position, isStaged }: StandbyData): boolean {
    return copy === 'catching-up' && !isStaged && this.#isThere(position);
  }

  #isThere(position: Position): boolean {
    return isSame(this.#completeAt, position);
  }

  /** Also for the next service. */
  #keepComplete(position: Position | null): void {
    this.#completeAt = position;
    if (isSame(position, knownComplete(this.#runtime.state))) return;
    const completeAt = position === null ? null : { ...position, boot: bootId() };
    this.#runtime.noteState({ completeAt });
  }

  /** What to promote from. Where the copy was complete, and nobody has gone on, it has everything: its process cannot know that. */
  async promotable({ base, accepts }: Promotable): Promise<Promotable> {
    const { state, process } = this.#runtime;
    const complete = this.#completeAt;
    if (complete === null || state.role !== 'standby' || !process.isAlive) return { base, accepts };
    const status = await process.status();
    if (!this.#isAtEnd(dataOf(status))) return { base, accepts };
    return { base: base ?? complete, accepts: [...accepts, 'catching-up'] };
  }

  /** A promotion begins: whoever ends it, or this service, may end the process with what it knows. */
  async noteComplete(): Promise<void> {
    const { process, state } = this.#runtime;
    if (state.role !== 'standby' || state.own !== null || !process.isAlive) return;
    try {
      const { copy, position, isStaged } = dataOf(await process.status());
      const isStill = this.#runtime.state.role === 'standby';
      if (isStill && copy === 'up-to-date' && !isStaged) this.#keepComplete(position);
    } catch {
      // Then it is not known.
    }
  }

  /** This node serves, and goes on from where the data was complete. */
  promoted(): void {
    this.#completeAt = null;
  }

  /** A promotion failed, which took copies that were complete (`wasComplete`): what has been applied is as complete as it was. */
  promotionFailed(wasComplete: boolean): void {
    const { role, epoch, position, own } = this.#runtime.state;
    if (own !== null) this.#keepComplete(null);
    else if (wasComplete && role === 'standby' && position !== null) {
      this.#keepComplete({ epoch, sequence: position.sequence });
    }
    this.lookAgain();
  }

  /** This node has ceased: tells of it by `tell`, before it is kept, since the other node does not wait for that. */
  demoted(demoted: Demoted, wasPrimary: boolean, tell: (copy: CopyState) => void): void {
    // What a promotion that came to nothing leaves is where it was.
    if (wasPrimary) this.#completeAt = demoted.clean ? demoted.position : null;
    tell(this.#isAtEnd(demoted) ? 'up-to-date' : demoted.copy);
    this.#keepComplete(this.#completeAt);
  }

  /**
   * Nobody goes on from where this node closed its stream, which says nothing any more when the machine has been started again: the
   * data here is that of the last primary, as after a demotion that says so (`stays`).
   */
  async keepAsOwn(): Promise<void> {
    const runtime = this.#runtime;
    await runtime.exclusive(async () => {
      const { role, epoch, own } = runtime.state;
      const closed = this.#completeAt;
      if (role !== 'standby' || own !== null || closed === null) return;
      await runtime.stopProcess({ cover: true });
      await runtime.becomeStandby(epoch, null, closed);
      this.#keepComplete(null);
    });
  }
}

function knownComplete({ completeAt }: GroupState): Position | null {
  if (completeAt?.boot !== bootId()) return null;
  const { epoch, sequence } = completeAt;
  return { epoch, sequence };
}

const isSame = (a: Position | null, b: Position | null): boolean =>
  a === null || b === null ? a === b : isSamePosition(a, b);
