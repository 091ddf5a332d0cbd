// Keeps a thread running when the machine is overloaded: real-time scheduling for the calling
// thread, and program code that stays in memory.
//
// Not mlockall(2): V8 gives memory back with madvise(2), which fails on locked pages, and V8 then
// ends the process; it would also make 700 MiB of reserved memory resident. What a service must not
// lose to swap is kept by its control group (MemorySwapMax=0 in the unit file); what is evicted even
// without swap is file-backed code, and that is locked here, page by page as it is first used.
import { readFileSync } from 'node:fs';
import { errnoName } from './constants.ts';
import { sys } from './libc.ts';

const SCHED_OTHER = 0;
const SCHED_RR = 2;
/** sched(7): a new process does not inherit the policy, so commands of an operator run as usual. */
const SCHED_RESET_ON_FORK = 0x4000_0000;
const PRIO_PROCESS = 0;
const MLOCK_ONFAULT = 1;
const SYS_MLOCK2 = process.arch === 'arm64' ? 284 : 325;

/** What a thread got: real-time, a better nice value, or nothing (with the reason). */
export type Urgency =
  | { readonly kind: 'real-time'; readonly priority: number }
  | { readonly kind: 'nice'; readonly nice: number; readonly why: string }
  | { readonly kind: 'normal'; readonly why: string };

/** Raises the calling thread as far as the machine permits. */
export function raiseThread(priority = 20, nice = -19): Urgency {
  const scheduled = schedule(SCHED_RR | SCHED_RESET_ON_FORK, priority);
  if (scheduled === 0) return { kind: 'real-time', priority };
  const why = `SCHED_RR was refused (${errnoName(scheduled)})`;
  // On Linux the "process" of setpriority(2) is the calling thread.
  const niced = sys.setpriority(PRIO_PROCESS, 0, nice);
  if (niced === 0) return { kind: 'nice', nice, why };
  return { kind: 'normal', why: `${why}, nice ${nice} too (${errnoName(niced)})` };
}

/** Asks for real-time scheduling for a moment; why it was refused, or undefined. */
export function tryUrgency(priority = 20): string | undefined {
  const result = schedule(SCHED_RR | SCHED_RESET_ON_FORK, priority);
  if (result < 0) return `SCHED_RR is refused (${errnoName(result)})`;
  schedule(SCHED_OTHER, 0);
  return undefined;
}

/** Policy of the calling thread; 0 or a negative errno. */
function schedule(policy: number, priority: number): number {
  return sys.schedSetscheduler(0, policy, new Uint8Array(new Int32Array([priority]).buffer));
}

/**
 * Locks the code of this program and its libraries into memory as it is used, so that a machine out
 * of memory does not have to read it from disk to send a heartbeat. Returns the number of mappings.
 */
export function lockProgramCode(): number {
  let locked = 0;
  for (const line of readFileSync('/proc/self/maps', 'latin1').split('\n')) {
    const [range = '', permissions = '', , , inode = '0', ...path] = line.split(/\s+/);
    const readOnlyFile = permissions.startsWith('r') && permissions[1] === '-' && inode !== '0';
    if (!readOnlyFile || !path.join(' ').startsWith('/')) continue;
    const [start = '', end = ''] = range.split('-');
    const from = Number.parseInt(start, 16);
    const length = Number.parseInt(end, 16) - from;
    if (sys.syscall(SYS_MLOCK2, from, length, MLOCK_ONFAULT, 0) === 0) locked += 1;
  }
  return locked;
}
