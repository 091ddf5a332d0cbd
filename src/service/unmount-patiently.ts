// Giving directories back while others look at them. The kernel calls a mount busy also in the moment in which somebody
// looks something up in it (df, a monitor): nobody has anything open then, and a switchover is not refused for that.
import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 2000;
const INTERVAL_MS = 10;

export interface Unmounting {
  /** Undefined when all is unmounted; else the first directory that is in use. */
  unmount(): { readonly busy: string } | undefined;
  /** Throws when processes have something of it open. */
  refuseWhenOpen(dir: string): void;
  readonly patienceMs?: number;
}

/** Undefined when all is unmounted; else a directory that stays busy although nobody has anything of it open. */
export async function unmountPatiently(unmounting: Unmounting): Promise<string | undefined> {
  const deadline = performance.now() + (unmounting.patienceMs ?? PATIENCE_MS);
  for (;;) {
    const left = unmounting.unmount();
    if (left === undefined) return undefined;
    unmounting.refuseWhenOpen(left.busy);
    if (performance.now() > deadline) return left.busy;
    await sleep(INTERVAL_MS);
  }
}
