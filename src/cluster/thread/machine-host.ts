// Runs the machine of one group: one event after the other, effects in order, ticks in time. What an
// effect brings about at once (an event given back while effects are carried out) waits its turn.
// Who is handed an effect knows by then what the machine has become: the effect may be done by others
// before this thread, on a busy machine, comes to its next line.
import type { Clock } from '../../core/clock.ts';
import type { Refusal } from '../machine/commands.ts';
import type { Effect } from '../machine/effect-types.ts';
import type { Boot, MachineEvent } from '../machine/event-types.ts';
import { initialState, type MachineState } from '../machine/state.ts';
import { step } from '../machine/step.ts';
import type { MachineConfig } from '../machine/types.ts';

export interface HostParts {
  readonly clock: Clock;
  /** `nowMs`: the moment that was given to the step. */
  readonly perform: (effect: Effect, nowMs: number) => void;
  /** After each step, before its effects. */
  readonly onStep: (state: MachineState, nowMs: number) => void;
}

export class MachineHost {
  readonly #parts: HostParts;
  readonly #ticker: NodeJS.Timeout;
  #state: MachineState;
  #waiting: MachineEvent[] = [];
  #stepping = false;
  #wake: NodeJS.Timeout | undefined;
  #stopped = false;

  constructor(config: MachineConfig, boot: Boot, parts: HostParts) {
    this.#parts = parts;
    this.#state = initialState(config, boot, parts.clock.monotonicMs());
    const tick = (): void => {
      this.deliver({ kind: 'tick' });
    };
    this.#ticker = setInterval(tick, config.timings.heartbeatIntervalMs);
    tick();
  }

  get state(): MachineState {
    return this.#state;
  }

  /** Gives the machine an event. Only commands are refused. */
  deliver(event: MachineEvent): Refusal | null {
    if (this.#stopped) return null;
    if (this.#stepping) {
      this.#waiting.push(event);
      return null;
    }
    this.#stepping = true;
    try {
      const refusal = this.#step(event);
      for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
        this.#step(next);
      }
      this.#setWake();
      return refusal;
    } finally {
      this.#stepping = false;
    }
  }

  /** Nothing happens from now on; what the group holds, it keeps. */
  stop(): void {
    this.#stopped = true;
    clearInterval(this.#ticker);
    clearTimeout(this.#wake);
  }

  #step(event: MachineEvent): Refusal | null {
    const nowMs = this.#parts.clock.monotonicMs();
    const result = step(this.#state, event, nowMs);
    if (result.refused) return { code: result.code, reason: result.reason };
    this.#state = result.state;
    this.#parts.onStep(this.#state, nowMs);
    for (const effect of result.effects) this.#parts.perform(effect, nowMs);
    return null;
  }

  #setWake(): void {
    clearTimeout(this.#wake);
    const inMs = this.#state.wakeAtMs - this.#parts.clock.monotonicMs();
    // Beyond the next tick, the tick will do.
    if (inMs > this.#state.config.timings.heartbeatIntervalMs) return;
    this.#wake = setTimeout(() => this.deliver({ kind: 'tick' }), Math.max(1, Math.ceil(inMs)));
  }
}
