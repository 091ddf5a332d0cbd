// Giving directories back while others look at them. The kernel calls a mount busy also in the moment in which somebody
// looks something up in it (df, a monitor), and whoever lists it has it open for as long; a child of the service has all
// that the service holds before it becomes the program it is started for. A switchover is not refused for any of these.
import { setTimeout as sleep } from 'node:timers/promises';

const PATIENCE_MS = 2000;
const INTERVAL_MS = 10;
/** Who has something open for longer than this does not just look. */
const LOOK_MS = 500;
/** Going through /proc takes a while itself. */
const LOOK_INTERVAL_MS = 50;

export interface Unmounting {
  /** Undefined when all is unmounted; else the first directory that is in use. */
  unmount(): { readonly busy: string } | undefined;
  /** Throws when processes have something of it open. */
  refuseWhenOpen(dir: string): void;
  readonly patienceMs?: number;
  readonly lookMs?: number;
}

/**
 * Undefined when all is unmounted; else a directory that stays busy although nobody has anything of it open. Throws what
 * `refuseWhenOpen` throws when that stays so.
 */
export async function unmountPatiently(unmounting: Unmounting): Promise<string | undefined> {
  const { patienceMs = PATIENCE_MS, lookMs } = unmounting;
  const deadline = performance.now() + patienceMs;
  for (;;) {
    const left = unmounting.unmount();
    if (left === undefined) return undefined;
    await untilNobody(() => unmounting.refuseWhenOpen(left.busy), lookMs);
    if (performance.now() > deadline) return left.busy;
    await sleep(INTERVAL_MS);
  }
}

/** Throws what `refuse` throws when it still does after a while. */
export async function untilNobody(refuse: () => void, lookMs = LOOK_MS): Promise<void> {
  const deadline = performance.now() + lookMs;
  for (;;) {
    try {
      refuse();
      return;
    } catch (thrown) {
      if (performance.now() > deadline) throw thrown;
    }
    await sleep(LOOK_INTERVAL_MS);
  }
}
