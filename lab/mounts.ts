// The mounts that make a namespace a server of its own. Pure: builds the script, runs nothing.
//
//   /                    the machine's, shared (programs, this checkout)
//   /run, /dev/shm       empty tmpfs: gone with the power
//   /etc                 overlay of the machine's with a tmpfs, so that a host has its own names
//   /etc/understudy, /var/lib/understudy, /srv
//                        from the host's own disk: keep what had reached it
//   /proc, /sys          of the host's own namespaces
//
// A host without a disk gets the third group from a tmpfs.
import { join } from 'node:path';

export interface MountPlan {
  readonly hostName: string;
  /** Directory of the machine on which the host's disk is mounted, in the host only. */
  readonly diskDirectory: string;
  /** Image of the disk; undefined: a tmpfs takes its place. */
  readonly image: string | undefined;
  readonly hostsFile: string;
  /** Directories below /run that packages expect (`postgresql` …): name, octal mode, owner. */
  readonly runDirectories: readonly RunDirectory[];
  /** Mount points inherited from the machine that must not be kept alive by the host. */
  readonly unwanted: readonly string[];
  /** /var/lib/understudy does not exist on the machine. */
  readonly stateMountPointMissing: boolean;
}

export interface RunDirectory {
  readonly name: string;
  readonly mode: string;
  readonly owner: string;
}

/** A script for `sh -eu`, to be run in the host's mount and UTS namespaces. */
export function mountScript(plan: MountPlan): string {
  const disk = quote(plan.diskDirectory);
  return [
    ...plan.unwanted.map((path) => `umount -l ${quote(path)} 2>/dev/null || :`),
    `echo ${quote(plan.hostName)} > /proc/sys/kernel/hostname`,
    'mount -t tmpfs -o mode=755 tmpfs /run',
    'mount -t tmpfs -o mode=1777 tmpfs /dev/shm',
    'mount -t sysfs sysfs /sys',
    'mount -t fusectl fusectl /sys/fs/fuse/connections 2>/dev/null || :',
    ...plan.runDirectories.map(
      ({ name, mode, owner }) =>
        `mkdir -m ${mode} ${quote(join('/run', name))} && chown ${owner} ${quote(join('/run', name))}`,
    ),
    ...overlay('/etc', 'etc'),
    'mkdir -p /etc/understudy',
    `cat ${quote(plan.hostsFile)} > /etc/hosts`,
    ...(plan.stateMountPointMissing ? overlay('/var/lib', 'var-lib') : []),
    'mkdir -p /var/lib/understudy',
    plan.image === undefined
      ? `mount -t tmpfs -o mode=755 tmpfs ${disk}`
      : `mount -t ext4 -o loop,noinit_itable,errors=remount-ro ${quote(plan.image)} ${disk}`,
    ...bind(plan.diskDirectory, 'srv', '/srv', '755'),
    ...bind(plan.diskDirectory, 'etc-understudy', '/etc/understudy', '755'),
    ...bind(plan.diskDirectory, 'var-lib-understudy', '/var/lib/understudy', '700'),
  ].join('\n');
}

function overlay(path: string, name: string): string[] {
  const base = `/run/.lab/${name}`;
  const options = `lowerdir=${path},upperdir=${base}/upper,workdir=${base}/work`;
  return [`mkdir -p ${base}/upper ${base}/work`, `mount -t overlay -o ${options} overlay ${path}`];
}

function bind(disk: string, name: string, path: string, mode: string): string[] {
  const source = quote(join(disk, name));
  return [`[ -d ${source} ] || mkdir -m ${mode} ${source}`, `mount --bind ${source} ${path}`];
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/**
 * Mount points of a /proc/PID/mountinfo that a new namespace should drop: loop devices and FUSE
 * mounts of others, which would otherwise live as long as the host does. Deepest first.
 */
export function unwantedMounts(mountinfo: string): string[] {
  const paths: string[] = [];
  for (const line of mountinfo.split('\n')) {
    const [mount, source] = line.split(' - ');
    const [type = '', device = ''] = source?.split(' ') ?? [];
    const isFuse = type === 'fuse' || type === 'fuseblk' || type.startsWith('fuse.');
    const path = mount?.split(' ')[4];
    if ((isFuse || device.startsWith('/dev/loop')) && path !== undefined && path !== '/') {
      paths.push(path.replaceAll(/\\(\d{3})/g, (_, octal: string) => unescape(octal)));
    }
  }
  return paths.toReversed();
}

function unescape(octal: string): string {
  return String.fromCharCode(Number.parseInt(octal, 8));
}
