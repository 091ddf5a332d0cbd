// What the standby asks for during a scan: ranges whose contents differ. They are numbered; the primary hands them on to
// its scanner, which says through the pace how many it has dealt with, and confirms those to the standby.
//
//   0 … told │ dealt with │ handed on, waiting │ not asked for yet
//            └ told       └ done               └ received
import type { ScanPace } from '../core/scan-pace.ts';
import { type Need, NEEDS_AT_ONCE_MAX, type NeedRange } from './link/messages.ts';

/**
 * No more of what the standby asks for waits here for the scanner. Twice what it may ask for at once: when its numbers begin anew,
 * what it asked for before may still wait.
 */
const WAITING_MAX = 2 * NEEDS_AT_ONCE_MAX;
/** When so many are dealt with, the standby hears of it without waiting for the next ping. */
const TOLD_LATE_MAX = NEEDS_AT_ONCE_MAX / 4;

export class TakenNeeds {
  readonly #pace: ScanPace;
  /** Of the standby's process: its numbers begin anew with another one. */
  #life: string | null = null;
  #received = 0;
  /** As the pace counts those that are dealt with (modulo 2^32). */
  #handedOn: number;
  #told = 0;

  constructor(pace: ScanPace) {
    this.#pace = pace;
    this.#handedOn = pace.needsTakenCount;
  }

  get life(): string | null {
    return this.#life;
  }

  get received(): number {
    return this.#received;
  }

  begin(life: string): void {
    if (life === this.#life) return;
    this.#life = life;
    this.#received = 0;
    this.#told = 0;
  }

  /** Those that are new, to be handed on; or what is wrong with them. */
  take({ first, ranges }: Need): readonly NeedRange[] | string {
    if (first > this.#received) return 'the standby left out a need';
    const fresh = ranges.slice(this.#received - first);
    if (this.#waiting + fresh.length > WAITING_MAX) {
      return 'the standby asks for more at once than it may';
    }
    this.#received += fresh.length;
    this.#handedOn = (this.#handedOn + fresh.length) | 0;
    return fresh;
  }

  /** Handed on and not dealt with. */
  get #waiting(): number {
    return (this.#handedOn - this.#pace.needsTakenCount) | 0;
  }

  /** Of the needs of the standby's present life; what was asked for before it may still wait. */
  get #done(): number {
    return Math.max(0, this.#received - this.#waiting);
  }

  /** The standby should hear how many are dealt with. */
  get isLate(): boolean {
    return this.#done - this.#told >= TOLD_LATE_MAX;
  }

  /** How many are dealt with, to be told. */
  tell(): number {
    this.#told = this.#done;
    return this.#told;
  }
}
