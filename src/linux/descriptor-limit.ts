// How many descriptors this process may have (getrlimit(2), RLIMIT_NOFILE).
import { addressOf, sys } from './libc.ts';

const PRLIMIT64 = process.arch === 'arm64' ? 261 : 302;
const RLIMIT_NOFILE = 7;

/** Every descriptor is below this number, as the limit is now; Infinity where it cannot be told. */
export function descriptorLimit(): number {
  const limits = Buffer.from(new ArrayBuffer(16));
  if (sys.syscall(PRLIMIT64, 0, RLIMIT_NOFILE, 0, addressOf(limits)) < 0) return Infinity;
  return Number(limits.readBigUInt64LE(0));
}
