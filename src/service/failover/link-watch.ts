// Whether the network cards that clients come in through have a carrier: looked at, since an unplugged
// cable is seen here within a fraction of a second.
import { readFileSync } from 'node:fs';
import type { Health } from '../../cluster/machine/types.ts';

const INTERVAL_MS = 200;

export class LinkWatch {
  readonly #interfaces: readonly string[];
  readonly #onChange: (state: Health, why: string) => void;
  readonly #timer: NodeJS.Timeout | undefined;
  #state: Health = 'ok';
  #why = 'every network card has a carrier';

  /** `onChange`: with a sentence for people. */
  constructor(interfaces: readonly string[], onChange: (state: Health, why: string) => void) {
    this.#interfaces = [...new Set(interfaces)];
    this.#onChange = onChange;
    if (this.#interfaces.length > 0) this.#timer = setInterval(() => this.#look(), INTERVAL_MS);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** For a machine that does not know it yet. */
  tellAgain(): void {
    if (this.#state === 'failed') this.#onChange(this.#state, this.#why);
  }

  #look(): void {
    const dead = this.#interfaces.find((name) => !hasCarrier(name));
    const state: Health = dead === undefined ? 'ok' : 'failed';
    if (state === this.#state) return;
    this.#state = state;
    this.#why =
      dead === undefined ? 'every network card has a carrier' : `${dead} has no carrier or is down`;
    this.#onChange(state, this.#why);
  }
}

/** False also for an interface that is down (EINVAL) or does not exist. */
function hasCarrier(name: string): boolean {
  try {
    return readFileSync(`/sys/class/net/${name}/carrier`, 'latin1').startsWith('1');
  } catch {
    return false;
  }
}
