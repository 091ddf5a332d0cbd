// Asks the agents of a standby now and then whether they see a reason against a promotion, so that it is known before anything
// happens: in the moment of a failover every second counts, and an agent may take its time.
import { messageOf } from '../../core/errors.ts';

const LOOK_INTERVAL_MS = 2000;
const ASK_INTERVAL_MS = 30_000;

export interface ReadinessOptions {
  /** This node is a standby whose copy is complete: before that, agents find data that is not what it will be. */
  isAsked(): boolean;
  /** One sentence each. Takes a bounded time. */
  ask(): Promise<readonly string[]>;
  /** `reasons` are others than before. */
  onChange(reasons: readonly string[]): void;
  readonly lookIntervalMs?: number;
  readonly askIntervalMs?: number;
}

export class ReadinessWatch {
  readonly #options: ReadinessOptions;
  readonly #timer: NodeJS.Timeout;
  #askedMs = Number.NEGATIVE_INFINITY;
  #isAsking = false;
  #stopped = false;
  #reasons: readonly string[] = [];
  /** The next answer is told, whatever was told before. */
  #isToTell = false;

  constructor(options: ReadinessOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#look(), options.lookIntervalMs ?? LOOK_INTERVAL_MS);
    this.#timer.unref();
  }

  /** As of the last time that they were asked. */
  get reasons(): readonly string[] {
    return this.#reasons;
  }

  /** This node is no standby any more: what was said is of no use, and asked anew when it is one again. */
  forget(): void {
    this.#askedMs = Number.NEGATIVE_INFINITY;
    this.#take([]);
  }

  /** For a machine that does not know it yet, or what another service has told it before. */
  tellAgain(): void {
    if (this.#reasons.length > 0) this.#options.onChange(this.#reasons);
    else this.#isToTell = true;
  }

  stop(): void {
    this.#stopped = true;
    clearInterval(this.#timer);
  }

  #look(): void {
    const { askIntervalMs = ASK_INTERVAL_MS } = this.#options;
    if (this.#isAsking || !this.#options.isAsked()) return;
    if (performance.now() - this.#askedMs < askIntervalMs) return;
    void this.#ask();
  }

  async #ask(): Promise<void> {
    const askedMs = performance.now();
    this.#askedMs = askedMs;
    this.#isAsking = true;
    let reasons: readonly string[];
    try {
      reasons = await this.#options.ask();
    } catch (thrown) {
      reasons = [messageOf(thrown)];
    } finally {
      this.#isAsking = false;
    }
    // It has become something else meanwhile.
    if (this.#askedMs === askedMs) this.#take(reasons);
  }

  #take(reasons: readonly string[]): void {
    const isNews = reasons.join('\n') !== this.#reasons.join('\n');
    if (this.#stopped || (!isNews && !this.#isToTell)) return;
    this.#isToTell = false;
    this.#reasons = reasons;
    this.#options.onChange(reasons);
  }
}
