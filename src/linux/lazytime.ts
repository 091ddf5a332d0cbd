// Whether the file system under a descriptor keeps times of changes in memory for longer than contents: for a day (mount option
// `lazytime`), or until its journal is committed, when that is done seldom (`commit=600`). Then contents can be on the disk after a power
// cut under an older ctime.
// Source: mount(8), ext4(5).
import { readMountTable } from './mount-table.ts';
import { Stat } from './stat.ts';

/** The kernel writes contents that nobody asked for after 30 s; times have to be there well before. */
const COMMIT_SECONDS_MAX = 15;

const stat = new Stat();

/** True also when it cannot be found out. */
export function keepsTimesBack(fd: number): boolean {
  if (stat.fd(fd) < 0) return true;
  const device = `${stat.devMajor}:${stat.devMinor}`;
  const mount = readMountTable().find((entry) => entry.device === device);
  return mount?.superOptions.some(isLate) ?? true;
}

function isLate(option: string): boolean {
  const [name, value] = option.split('=');
  return name === 'lazytime' || (name === 'commit' && !(Number(value) <= COMMIT_SECONDS_MAX));
}
