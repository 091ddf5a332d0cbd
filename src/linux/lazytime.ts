// Whether the file system under a descriptor keeps times of changes in memory for a day (mount option
// `lazytime`). Then contents can be on the disk after a power cut under an older ctime.
// Source: mount(8).
import { readMountTable } from './mount-table.ts';
import { Stat } from './stat.ts';

const stat = new Stat();

/** True also when it cannot be found out. */
export function isLazytime(fd: number): boolean {
  if (stat.fd(fd) < 0) return true;
  const device = `${stat.devMajor}:${stat.devMinor}`;
  const mount = readMountTable().find((entry) => entry.device === device);
  return mount?.superOptions.includes('lazytime') ?? true;
}
