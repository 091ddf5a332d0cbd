// The bandwidth limit of a primary: which one is in force now, and why.
//
// The process looks at the schedule itself, so that a limit changes on time also while the service is
// not there. A share of the node's limit (node-limit) comes from the service.
import type { Sender } from '../mirror/sender.ts';
import { type Bandwidth, limitAt, rateText, windowText } from './bandwidth.ts';

/** A schedule has minutes; a clock that is set must not be overlooked for long. */
const LOOK_INTERVAL_MS = 2000;

export interface LimitStatus {
  /** Bytes per second on the wire; null: unlimited. */
  readonly rate: number | null;
  readonly from: 'limit' | 'schedule' | 'node';
  /** What is in force and why, as a sentence. */
  readonly why: string;
  readonly revision: number;
}

export interface PrimaryLimitDependencies {
  readonly sender: Pick<Sender, 'setLimit'> | undefined;
  /** Another limit is in force than before. */
  readonly onChange: (status: LimitStatus) => void;
  readonly now: () => Date;
}

export class PrimaryLimit {
  readonly #dependencies: PrimaryLimitDependencies;
  #bandwidth: Bandwidth;
  #share: number | null = null;
  #status: LimitStatus;
  #timer: NodeJS.Timeout | undefined;

  constructor(bandwidth: Bandwidth, dependencies: PrimaryLimitDependencies) {
    this.#dependencies = dependencies;
    this.#bandwidth = bandwidth;
    this.#status = this.#decide();
    dependencies.sender?.setLimit(this.#status.rate);
  }

  start(): void {
    this.#timer = setInterval(() => this.#look(), LOOK_INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Takes over what the operator has set; what is older than what is known does nothing. */
  change(bandwidth: Bandwidth): void {
    if (bandwidth.revision < this.#bandwidth.revision) return;
    this.#bandwidth = bandwidth;
    this.#look();
  }

  /** This group's part of the node's limit, bytes per second; null: the node has none. */
  setShare(share: number | null): void {
    this.#share = share;
    this.#look();
  }

  get status(): LimitStatus {
    return this.#status;
  }

  #look(): void {
    const before = this.#status;
    this.#status = this.#decide();
    if (this.#status.rate !== before.rate) this.#dependencies.sender?.setLimit(this.#status.rate);
    // Shares change with every breath of other groups: that is not worth an event.
    const isOperators = this.#status.from !== 'node' || before.from !== 'node';
    if (isOperators && this.#status.why !== before.why) this.#dependencies.onChange(this.#status);
  }

  #decide(): LimitStatus {
    const { revision } = this.#bandwidth;
    const { rate, window } = limitAt(this.#bandwidth, this.#dependencies.now());
    const share = this.#share;
    if (share !== null && (rate === null || share < rate)) {
      const why = `${rateText(share)}: its share of the node's limit`;
      return { rate: share, from: 'node', why, revision };
    }
    if (window !== null) {
      const why = `${rateText(rate)}, by the schedule (${windowText(window)})`;
      return { rate, from: 'schedule', why, revision };
    }
    const outside = this.#bandwidth.schedule.length > 0 ? ', outside of the schedule' : '';
    return { rate, from: 'limit', why: `${rateText(rate)}${outside}`, revision };
  }
}
