// Data disks.
import type { FieldLine, Scene } from '../types.ts';

/** A broken disk comes back with the power. */
async function replaceDisk({ primary }: Scene): Promise<void> {
  await primary.powerOff();
  await primary.boot();
}

export const diskLines: readonly FieldLine[] = [
  {
    name: 'disk-fails',
    fault: 'every access to the data disk of the primary fails (EIO)',
    expected: 'the standby serves; what had been acknowledged is there',
    moves: true,
    outageMsMax: 10_000,
    noticedBy: ['DISK_FAILED', 'HANDING_OVER', 'STEPS_DOWN', 'PEER_SILENT', 'TAKING_OVER'],
    strike: async ({ primary }) => {
      primary.breakDisk('error');
      await Promise.resolve();
    },
    mend: replaceDisk,
  },
  {
    name: 'disk-read-only',
    fault: 'the file system of the data disk meets an error and goes read-only (errors=remount-ro)',
    expected: 'the standby serves; what had been acknowledged is there',
    moves: true,
    outageMsMax: 10_000,
    noticedBy: ['DISK_FAILED', 'HANDING_OVER', 'STEPS_DOWN', 'PEER_SILENT', 'TAKING_OVER'],
    strike: async ({ primary }) => {
      primary.breakDisk('read-only');
      await Promise.resolve();
    },
    mend: replaceDisk,
  },
  {
    name: 'disk-full',
    fault: 'the data disk of the primary is full to the last block',
    expected: 'the application gets ENOSPC, no failover; it goes on when there is room again',
    moves: false,
    outageMsMax: 4000,
    outageFromMend: true,
    noticedBy: [],
    strike: async ({ primary }) => {
      await primary.fillDisk();
    },
    mend: async ({ primary }) => {
      await primary.freeDisk();
    },
  },
  {
    name: 'standby-disk-full',
    fault: 'the disk of the standby is full to the last block',
    expected:
      'the primary goes on after at most `syncTimeout`; the standby catches up when there is room again',
    moves: false,
    outageMsMax: 4000,
    noticedBy: [],
    watchMs: 6000,
    strike: async ({ standby }) => {
      await standby.fillDisk();
    },
    mend: async ({ standby }) => {
      await standby.freeDisk();
    },
  },
];
