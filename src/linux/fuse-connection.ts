// FUSE connections as the kernel shows them in its control file system, and as their descriptor does.
// Source: Documentation/filesystems/fuse.rst; fs/fuse/dev.c (fuse_dev_poll), fs/fuse/control.c; uapi/linux/mount.h.
import { O, POLLERR } from './constants.ts';
import { addressOf, cstring, sys } from './libc.ts';

// Numbers are the same on all architectures (uapi/asm-generic/unistd.h).
const FSOPEN = 430;
const FSCONFIG = 431;
const FSMOUNT = 432;
const CLOEXEC = 1;
const FSCONFIG_CMD_CREATE = 6;

/** Whether requests may still come: some mount of it, in whichever namespace, or an open file has its file system. */
export function isConnected(fuseFd: number): boolean {
  const bytes = Buffer.from(new ArrayBuffer(8));
  bytes.writeInt32LE(fuseFd, 0);
  sys.poll(bytes, 1, 0);
  return (bytes.readInt16LE(6) & POLLERR) === 0;
}

/**
 * Ends the connection of the file system `device` (`major:minor`): everything that waits for it, and whatever comes later,
 * fails. False where there is none any more, or it cannot be done.
 */
export function abortConnection(device: string): boolean {
  const [, minor] = device.split(':');
  const control = openControl();
  if (control < 0) return false;
  const fd = sys.openat(control, cstring(`${minor ?? ''}/abort`), O.WRONLY | O.CLOEXEC, 0);
  sys.close(control);
  if (fd < 0) return false;
  const written = sys.write(fd, cstring('1'), 1);
  sys.close(fd);
  return written === 1;
}

/** A descriptor of the control file system, which need not be mounted anywhere; or a negative errno. */
function openControl(): number {
  const context = sys.syscall(FSOPEN, addressOf(FUSECTL), CLOEXEC, 0, 0);
  if (context < 0) return context;
  const created = sys.syscall5(FSCONFIG, context, FSCONFIG_CMD_CREATE, 0, 0, 0);
  const mount = created < 0 ? created : sys.syscall(FSMOUNT, context, CLOEXEC, 0, 0);
  sys.close(context);
  return mount;
}

const FUSECTL = cstring('fusectl');
