// Gives memory back to the machine that the C library keeps after a process has started, and after
// peaks of work: 5 to 10 MiB in each of the long-lived processes.
import { sys } from './libc.ts';

const FIRST_MS = 10_000;
const INTERVAL_MS = 300_000;

function trim(): void {
  sys.mallocTrim(0);
}

/** Begins to give back what is not used; takes a few milliseconds each time. */
export function keepMemorySmall(): void {
  setTimeout(trim, FIRST_MS).unref();
  setInterval(trim, INTERVAL_MS).unref();
}
