// FUSE connections as the kernel shows them below /sys/fs/fuse/connections, and as their descriptor does.
// Source: Documentation/filesystems/fuse.rst; fs/fuse/dev.c (fuse_dev_poll), fs/fuse/control.c.
import { existsSync, writeFileSync } from 'node:fs';
import { POLLERR } from './constants.ts';
import { sys } from './libc.ts';

/** Whether requests may still come: some mount of it, in whichever namespace, or an open file has its file system. */
export function isConnected(fuseFd: number): boolean {
  const bytes = Buffer.from(new ArrayBuffer(8));
  bytes.writeInt32LE(fuseFd, 0);
  sys.poll(bytes, 1, 0);
  return (bytes.readInt16LE(6) & POLLERR) === 0;
}

/** Ends a connection: everything that waits for it, and whatever comes later, fails. False where that cannot be done. */
export function abortConnection(device: string): boolean {
  const [, minor] = device.split(':');
  const path = `/sys/fs/fuse/connections/${minor ?? ''}/abort`;
  if (!existsSync(path)) return false;
  writeFileSync(path, '1');
  return true;
}
