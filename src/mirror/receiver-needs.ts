// Ranges that the applier found to differ, on their way to the primary. They are numbered and kept
// until the primary has confirmed them: one lost on the way would leave wrong contents in the copy.
// What the primary may have too much of waits here.
//
//   0 … confirmed │ sent, kept │ not sent
//                 └ first      └ sent      └ end
import type { ServerLink } from './link/link-server.ts';
import { CONTROL_BODY_BYTES_MAX, frameType } from './link/frame.ts';
import { encodeMessage, NEEDS_AT_ONCE_MAX, type NeedRange } from './link/messages.ts';

/** No more is given to a link that has so much waiting. */
const UNSENT_BYTES_MAX = 1024 * 1024;
/** Upper bound of a range's JSON apart from its path, and of a path's byte in it. */
const RANGE_JSON_BYTES = 128;
const PATH_JSON_FACTOR = 6;

export class NeedQueue {
  #ranges: NeedRange[] = [];
  /** Number of the first range kept. */
  #first = 0;
  /** Number of the next range to send. */
  #sent = 0;

  /** Ranges not confirmed yet. */
  get length(): number {
    return this.#ranges.length;
  }

  /** True when everything was given to the link. */
  get isSent(): boolean {
    return this.#sent === this.#first + this.#ranges.length;
  }

  add(ranges: readonly NeedRange[]): void {
    for (const range of ranges) this.#ranges.push(range);
  }

  /** Begins anew: numbers from 0, nothing kept. */
  clear(): void {
    this.#ranges = [];
    this.#first = 0;
    this.#sent = 0;
  }

  /** Another life of the numbers: what is kept is sent again from 0. */
  renumber(): void {
    this.#first = 0;
    this.#sent = 0;
  }

  /** The primary has dealt with all before number `count`; false when that cannot be. */
  confirm(count: number): boolean {
    if (count > this.#sent) return false;
    if (count > this.#first) this.#ranges.splice(0, count - this.#first);
    this.#first = Math.max(this.#first, count);
    return true;
  }

  /** A new connection: send again from number `count`; false when that is not kept any more. */
  rewind(count: number): boolean {
    if (count < this.#first || count > this.#first + this.#ranges.length) return false;
    this.#sent = count;
    return true;
  }

  /** Gives the link as much as it and the primary take. */
  send(link: ServerLink): void {
    const end = Math.min(this.#ranges.length, NEEDS_AT_ONCE_MAX);
    while (this.#sent - this.#first < end && link.unsentBytes < UNSENT_BYTES_MAX) {
      const from = this.#sent - this.#first;
      let to = from;
      for (let bytes = RANGE_JSON_BYTES; to < end; to += 1) {
        bytes += RANGE_JSON_BYTES + (this.#ranges[to]?.path.length ?? 0) * PATH_JSON_FACTOR;
        if (bytes > CONTROL_BODY_BYTES_MAX && to > from) break;
      }
      const ranges = this.#ranges.slice(from, to);
      link.write(encodeMessage(frameType.need, { first: this.#sent, ranges }));
      this.#sent += ranges.length;
    }
  }
}
