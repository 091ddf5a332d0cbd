// Places for those that follow a stream. There are so many, and they stay taken: when the last one is gone, whoever has the most gives
// up the oldest to somebody who has fewer. Nobody alone keeps the others out.
import type { ServerResponse } from 'node:http';

type Seated = readonly [ServerResponse, readonly string[]];

export class Seats {
  readonly #max: number;
  readonly #taken = new Map<ServerResponse, readonly string[]>();

  constructor(max: number) {
    this.#max = max;
  }

  /**
   * Takes a place until `response` is closed; false: there is none. `who`: whom it is for, first of all and then among those:
   * an access token, and the user whom it names.
   */
  take(response: ServerResponse, who: readonly string[]): boolean {
    if (this.#taken.size >= this.#max && !this.#makeRoom(who)) return false;
    this.#taken.set(response, who);
    response.once('close', () => this.#taken.delete(response));
    return true;
  }

  #makeRoom(who: readonly string[]): boolean {
    let among: readonly Seated[] = [...this.#taken];
    for (const [level, own] of who.entries()) {
      const counts = new Map<string, number>();
      for (const [, { [level]: name = '' }] of among) counts.set(name, (counts.get(name) ?? 0) + 1);
      const most = Math.max(0, ...counts.values());
      const oldest = among.find(([, { [level]: name = '' }]) => counts.get(name) === most);
      if (oldest !== undefined && most > (counts.get(own) ?? 0) + 1) {
        this.#taken.delete(oldest[0]);
        oldest[0].destroy();
        return true;
      }
      among = among.filter(([, { [level]: name }]) => name === own);
    }
    return false;
  }
}
