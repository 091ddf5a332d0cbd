// Which boot of the kernel this is: what was only in its memory is gone with it.
import { readFileSync } from 'node:fs';

/** The same for all programs until the machine is started again. */
export function bootId(): string {
  return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
}
