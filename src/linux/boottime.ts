// CLOCK_BOOTTIME (clock_gettime(2)): never goes back, counts the time that the machine was suspended
// or its virtual machine paused, and is the same for all processes and threads. Leases need exactly
// that: performance.now() stands still during suspend and starts at another zero in each thread.
import type { Clock } from '../core/clock.ts';
import { assert } from '../core/assert.ts';
import { pin, sys } from './libc.ts';

const CLOCK_BOOTTIME = 7;

const seconds = new BigInt64Array(2);
const words = new Uint32Array(seconds.buffer);
const address = pin(new Uint8Array(seconds.buffer));

/** Milliseconds since the machine started, with a fraction; allocates nothing. */
export function boottimeMs(): number {
  assert(sys.clockGettime(CLOCK_BOOTTIME, address) === 0, 'CLOCK_BOOTTIME can be read');
  // Both halves of struct timespec are below 2^53; read as 32-bit words to stay clear of BigInt.
  const [low = 0, high = 0, nanoseconds = 0] = words;
  return (high * 0x1_0000_0000 + low) * 1000 + nanoseconds / 1e6;
}

/** A clock whose monotonic side is {@link boottimeMs}. */
export const bootClock: Clock = { wallMs: () => Date.now(), monotonicMs: boottimeMs };
