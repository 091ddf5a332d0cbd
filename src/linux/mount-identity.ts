// Which mount a descriptor is on: by its number in the mount table, and in a way that no later mount shares: a copy that is still on the mount
// that it was changed on has lost nothing.
import { bootId } from './boot-id.ts';
import { AT } from './constants.ts';
import { addressOf, EMPTY_NAME, sys } from './libc.ts';

const STATX_BYTES = 256;
/** uapi/linux/stat.h */
const STATX_MNT_ID = 0x1000;
/** Since Linux 6.8. */
const STATX_MNT_ID_UNIQUE = 0x4000;
const MASK_AT = 0;
const MNT_ID_AT = 144;

/**
 * Boot and mount of each descriptor. On a kernel that cannot tell mounts apart for good, a text that is
 * never the same twice.
 */
export function mountIdentity(fds: readonly number[]): string {
  const ids = fds.map(
    (fd) => askMount(fd, STATX_MNT_ID_UNIQUE) ?? `unknown ${Date.now()} ${performance.now()}`,
  );
  return [bootId(), ...ids].join(' ');
}

/** The mount of a descriptor as the mount table numbers it; undefined where the kernel does not tell. */
export function mountId(fd: number): number | undefined {
  const id = askMount(fd, STATX_MNT_ID);
  return id === undefined ? undefined : Number(id);
}

function askMount(fd: number, mask: number): bigint | undefined {
  const bytes = Buffer.from(new ArrayBuffer(STATX_BYTES));
  const result = sys.statx(fd, EMPTY_NAME, AT.EMPTY_PATH, mask, addressOf(bytes));
  const isKnown = result === 0 && (bytes.readUInt32LE(MASK_AT) & mask) !== 0;
  return isKnown ? bytes.readBigUInt64LE(MNT_ID_AT) : undefined;
}
