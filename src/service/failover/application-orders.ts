// What the machine of a managed group wants of the application: one order after the other; what comes later gives up what is
// under way.
import { messageOf } from '../../core/errors.ts';
import type { EffectOf } from '../../cluster/machine/effect-types.ts';
import type { MachineEvent } from '../../cluster/machine/event-types.ts';
import type { OuterEffect } from '../../cluster/thread/group-effects.ts';
import type { GroupRuntime } from '../group-runtime.ts';

export type ApplicationOrder = EffectOf<'startApplication' | 'stopApplication' | 'escalateStop'>;

export class ApplicationOrders {
  readonly #runtime: GroupRuntime;
  readonly #tell: (event: MachineEvent) => void;
  /** Gives up the start or stop that is under way. */
  #underWay = new AbortController();
  #queue: Promise<unknown> = Promise.resolve();
  #isStopping = false;
  #stopped = false;

  constructor(runtime: GroupRuntime, tell: (event: MachineEvent) => void) {
    this.#runtime = runtime;
    this.#tell = tell;
  }

  /** It is being stopped, or was: whoever watched it would start it again. Until its machine has it started, or is to leave it. */
  get isStopping(): boolean {
    return this.#isStopping;
  }

  /** The machine that gave the orders is gone. */
  orphan(): void {
    this.#isStopping = false;
    this.giveUp();
  }

  giveUp(): void {
    this.#underWay.abort();
  }

  /** What the machine wants of it, before anything else that the machine says. */
  foresee({ kind }: OuterEffect): void {
    if (kind === 'startApplication') this.#isStopping = false;
    if (kind === 'stopApplication' || kind === 'escalateStop') this.#isStopping = true;
  }

  /** The service ends: the machine gives what failed because of that to the next one. */
  stop(): void {
    this.#stopped = true;
  }

  async carryOut(order: ApplicationOrder): Promise<void> {
    this.foresee(order);
    this.giveUp();
    const control = new AbortController();
    this.#underWay = control;
    const turn = this.#queue.then(async () => this.#perform(order, control.signal));
    this.#queue = turn.catch(() => undefined);
    await turn;
  }

  async #perform({ kind, op, timeoutMs }: ApplicationOrder, given: AbortSignal): Promise<void> {
    const signal = AbortSignal.any([given, AbortSignal.timeout(timeoutMs)]);
    if (kind === 'startApplication') {
      const faults = await this.#runtime.application.start(signal);
      if (this.#stopped && faults.length > 0) return;
      if (faults.length === 0) this.#tell({ kind: 'applicationStarted', op });
      else this.#tell({ kind: 'applicationStartFailed', op, message: faults.join('; ') });
      return;
    }
    const fault =
      kind === 'stopApplication'
        ? await this.#stopAgents(signal)
        : await this.#runtime.application.kill(timeoutMs);
    if (this.#stopped && fault !== null) return;
    // There is no other means: where it may go on, it is left as it is.
    if (fault !== null && kind === 'escalateStop') this.#isStopping = false;
    if (fault === null) this.#tell({ kind: 'applicationStopped', op });
    else this.#tell({ kind: 'applicationStopFailed', op, message: fault });
  }

  async #stopAgents(signal: AbortSignal): Promise<string | null> {
    try {
      await this.#runtime.application.stop(signal);
      return null;
    } catch (thrown) {
      return messageOf(thrown);
    }
  }
}
