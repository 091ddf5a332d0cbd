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

  /** For a machine that does not know it yet, or what another service has told it before. */
  tellAgain(): void {
    if (this.#interfaces.length === 0) return;
    this.#judge();
    this.#onChange(this.#state, this.#why);
  }

  #look(): void {
    const before = this.#state;
    this.#judge();
    if (this.#state !== before) this.#onChange(this.#state, this.#why);
  }

  #judge(): void {
    const dead = this.#interfaces.find((name) => !hasCarrier(name));
    this.#state = dead === undefined ? 'ok' : 'failed';
    this.#why =
      dead === undefined ? 'every network card has a carrier' : `${dead} has no carrier or is down`;
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
