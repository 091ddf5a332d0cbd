// All fence devices of the other node: what the machine's effect `fence` is given to.
import { FenceAgent, type FenceAnswer, type FenceDevice } from './fence-agent.ts';

export interface FenceSettings {
  /** Devices of the node that is to be switched off. */
  readonly devices: readonly FenceDevice[];
  /**
   * `any`: they are alternatives, tried in this order until one has confirmed. `all`: the node is off
   * only when each has confirmed (two power supplies on two outlets).
   */
  readonly require: 'any' | 'all';
  /** Waits before it begins: given to one of two nodes, so that they do not shoot each other. */
  readonly delayMs: number;
}

export class Fencer {
  readonly #settings: FenceSettings;
  readonly #agents: readonly FenceAgent[];
  #running: Promise<FenceAnswer> | undefined;

  constructor(settings: FenceSettings) {
    this.#settings = settings;
    this.#agents = settings.devices.map((device) => new FenceAgent(device));
  }

  /** See {@link FenceAgent.check}. */
  async check(): Promise<void> {
    for (const agent of this.#agents) await agent.check();
  }

  /** Switches the node off. A second call while one runs gets the same answer. Never rejects. */
  async fence(timeoutMs: number): Promise<FenceAnswer> {
    this.#running ??= this.#fence(timeoutMs).finally(() => {
      this.#running = undefined;
    });
    return this.#running;
  }

  async #fence(timeoutMs: number): Promise<FenceAnswer> {
    const { require, delayMs } = this.#settings;
    const deadline = performance.now() + timeoutMs;
    if (delayMs > 0) {
      await new Promise((resolve) => {
        setTimeout(resolve, Math.min(delayMs, timeoutMs));
      });
    }
    if (require === 'all') return this.#fenceAll(deadline);
    const messages: string[] = [];
    for (const agent of this.#agents) {
      const answer = await agent.fence(deadline - performance.now());
      messages.push(answer.message);
      if (answer.off) return { off: true, message: messages.join('; ') };
    }
    return { off: false, message: messages.join('; ') || 'no fence device is configured' };
  }

  /** At the same time: with one outlet off and the other still on, the node would live on. */
  async #fenceAll(deadline: number): Promise<FenceAnswer> {
    const remaining = deadline - performance.now();
    const answers = await Promise.all(this.#agents.map(async (agent) => agent.fence(remaining)));
    return {
      off: answers.length > 0 && answers.every(({ off }) => off),
      message: answers.map(({ message }) => message).join('; ') || 'no fence device is configured',
    };
  }
}
