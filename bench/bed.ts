// The bed of the benches: a lab with a pair, a protected directory and an equal unprotected one on
// the same disk image, so that native and ours differ by the product alone.
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabHost } from '../lab/host.ts';
import { Lab } from '../lab/lab.ts';
import { GiB } from '../src/core/units.ts';
import { gatewayFailover, virtualAddress } from '../lab/managed.ts';
import { interfaceOf } from '../lab/network.ts';
import { pairNodes, understudy, waitForCopy } from '../lab/pair.ts';

export const NATIVE = '/srv/native';
export const PROTECTED = '/srv/protected';
const GROUP = 'bench';
const DISK_BYTES = 4 * GiB;
const COPY_TIMEOUT_MS = 300_000;

export type Mode = 'sync' | 'memory' | 'async';

export class Bed {
  readonly lab: Lab;
  readonly a: LabHost;
  readonly b: LabHost;

  private constructor(lab: Lab) {
    this.lab = lab;
    this.a = lab.host('a');
    this.b = lab.host('b');
  }

  /** Runs `work` on a fresh pair; the lab is removed whatever happens. */
  static async with<T>(work: (bed: Bed) => Promise<T>): Promise<T> {
    const lab = await Lab.up({ diskBytes: DISK_BYTES, solidDisks: true });
    try {
      const bed = new Bed(lab);
      await pairNodes(lab);
      for (const dir of [NATIVE, PROTECTED]) await bed.a.must(['mkdir', '-p', dir]);
      return await work(bed);
    } finally {
      await lab.down();
    }
  }

  /** Protects the directory and waits until the copy is complete. */
  async protect(mode: Mode): Promise<void> {
    await this.#create({ replication: { mode } });
  }

  /** The same, in a group whose nodes decide themselves who serves, with a virtual address. */
  async protectManaged(mode: Mode): Promise<void> {
    const ip = `${virtualAddress(this.lab)}/24`;
    await this.#create({
      replication: { mode },
      addresses: [{ ip, interface: interfaceOf('lan') }],
      failover: gatewayFailover(this.lab),
    });
  }

  async #create(rest: Readonly<Record<string, unknown>>): Promise<void> {
    const paths = [{ dir: PROTECTED }];
    const input = JSON.stringify({ name: GROUP, paths, seed: true, ...rest });
    const options = { input, timeoutMs: 60_000, acceptWarnings: true };
    await understudy(this.a, ['group', 'create', '--file', '-', '--allow-empty-match'], options);
    await waitForCopy(this.a, GROUP, COPY_TIMEOUT_MS);
    await sleep(500);
  }

  /** Ends protection; the data stays where it is. */
  async unprotect(): Promise<void> {
    await understudy(this.a, ['group', 'delete', GROUP], { timeoutMs: 60_000 });
  }
}
