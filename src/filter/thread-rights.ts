// What the capture thread has for itself alone, though threads of a process share most things.
import { assert } from '../core/assert.ts';
import { sys } from '../linux/libc.ts';

const CLONE_FS = 0x200;
/** linux/capability.h */
const CAPABILITY_VERSION_3 = 0x20080522;
const CAP_SYS_RESOURCE = 24;

/**
 * Gives the calling thread a umask of its own, which it changes with every creation: other threads
 * make files too. And takes away the right to exceed disk quotas (CAP_SYS_RESOURCE), which would
 * otherwise hold for every application, since all of them write through this thread.
 */
export function isolateThread(): void {
  const result = sys.unshare(CLONE_FS);
  assert(result === 0, `the capture thread has a umask of its own (${result})`);
  dropCapability(CAP_SYS_RESOURCE);
}

/** Takes a capability (its number, below 32) from the calling thread, and from no other. */
export function dropCapability(capability: number): void {
  const header = new Uint8Array(new ArrayBuffer(8));
  new DataView(header.buffer).setUint32(0, CAPABILITY_VERSION_3, true);
  // Effective, permitted and inheritable, for capabilities 0 to 31 and then for the rest.
  const sets = new Uint8Array(new ArrayBuffer(24));
  if (sys.capget(header, sets) < 0) return;
  const view = new DataView(sets.buffer);
  view.setUint32(0, view.getUint32(0, true) & ~(1 << capability), true);
  sys.capset(header, sets);
}
