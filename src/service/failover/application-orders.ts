// What the machine of a managed group wants of the application: one order after the other; what comes later gives up what is
// under way.
import { messageOf } from '../../core/errors.ts';
import type { EffectOf } from '../../cluster/machine/effect-types.ts';
import type { MachineEvent } from '../../cluster/machine/event-types.ts';
import type { GroupRuntime } from '../group-runtime.ts';

export type ApplicationOrder = EffectOf<'startApplication' | 'stopApplication' | 'escalateStop'>;

export class ApplicationOrders {
  readonly #runtime: GroupRuntime;
  readonly #tell: (event: MachineEvent) => void;
  /** Gives up the start or stop that is under way. */
  #underWay = new AbortController();
  #queue: Promise<unknown> = Promise.resolve();
  /** It was being started or stopped for a machine that is gone: what of it runs is not known. */
  #isUnsettled = false;
  #stopped = false;

  constructor(runtime: GroupRuntime, tell: (event: MachineEvent) => void) {
    this.#runtime = runtime;
    this.#tell = tell;
  }

  /** Something of it runs here, or may do so. */
  get mayRun(): boolean {
    return this.#isUnsettled || this.#runtime.agents.mayRun;
  }

  /** The machine that gave the orders is gone. */
  orphan(): void {
    this.#isUnsettled = this.mayRun;
    this.giveUp();
  }

  /** Stops what an earlier machine left, and no machine will. */
  async stopOrphans(): Promise<void> {
    if (await this.#runtime.application.stopOrphans()) this.#isUnsettled = false;
  }

  giveUp(): void {
    this.#underWay.abort();
  }

  /** The service ends: the machine gives what failed because of that to the next one. */
  stop(): void {
    this.#stopped = true;
  }

  async carryOut(order: ApplicationOrder): Promise<void> {
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
      const faults = await this.#startAgents(signal);
      if (this.#stopped && faults.length > 0) return;
      if (faults.length === 0) this.#tell({ kind: 'applicationStarted', op });
      else this.#tell({ kind: 'applicationStartFailed', op, message: faults.join('; ') });
      return;
    }
    const fault =
      kind === 'stopApplication' ? await this.#stopAgents(signal) : await this.#kill(timeoutMs);
    if (this.#stopped && fault !== null) return;
    if (fault === null) {
      this.#isUnsettled = false;
      this.#tell({ kind: 'applicationStopped', op });
    } else this.#tell({ kind: 'applicationStopFailed', op, message: fault });
  }

  /** What is left of an earlier life uses a mount that is gone, and may keep the next one from being started: it is stopped first. */
  async #startAgents(signal: AbortSignal): Promise<string[]> {
    if (this.#isUnsettled) {
      const fault = await this.#stopAgents(signal);
      if (fault !== null) return [fault];
      this.#isUnsettled = false;
    }
    return this.#runtime.application.start(signal);
  }

  async #stopAgents(signal: AbortSignal): Promise<string | null> {
    try {
      await this.#runtime.application.stop(signal);
      return null;
    } catch (thrown) {
      return messageOf(thrown);
    }
  }

  async #kill(timeoutMs: number): Promise<string | null> {
    const runtime = this.#runtime;
    const left = await runtime.application.killAll(timeoutMs);
    if (left !== null) return left;
    // Others may watch by now: see `replaceAgents`.
    runtime.agents.allKilled();
    runtime.application.note(false);
    return null;
  }
}
