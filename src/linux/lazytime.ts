// Whether the file system under a descriptor keeps times of changes in memory for a day (mount option
// `lazytime`). Then contents can be on the disk after a power cut under an older ctime.
// Source: proc_pid_mountinfo(5), mount(8).
import { readFileSync } from 'node:fs';
import { Stat } from './stat.ts';

const stat = new Stat();

/** True also when it cannot be found out. */
export function isLazytime(fd: number): boolean {
  if (stat.fd(fd) < 0) return true;
  const device = `${stat.devMajor}:${stat.devMinor}`;
  const options = superOptions(readFileSync('/proc/self/mountinfo', 'utf8'), device);
  return options?.includes('lazytime') ?? true;
}

/** Options of the file system `device` (`major:minor`) in the text of mountinfo. */
export function superOptions(mountinfo: string, device: string): readonly string[] | undefined {
  for (const line of mountinfo.split('\n')) {
    const fields = line.split(' ');
    if (fields[2] !== device) continue;
    const dash = fields.indexOf('-', 6);
    if (dash > 0) return (fields[dash + 3] ?? '').split(',');
  }
  return undefined;
}
