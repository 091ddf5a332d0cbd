import { expect, it } from 'vitest';
import { GiB } from '../core/units.ts';
import { type DiskSpace, keptFree, readDiskSpace, SpaceAlerts, SpaceGuard } from './disk-space.ts';

const at = (percent: number): DiskSpace => ({ totalBytes: 1000, freeBytes: percent * 10 });

it('warns once per threshold, and again only after the space was well above it', () => {
  const alerts = new SpaceAlerts();
  const course = [50, 31, 29.9, 28, 30.5, 29, 19, 19, 22, 19.9, 9, 5, 0, 12, 9, 14, 8, 50, 29];
  const seen = course.map((percent) => alerts.look(at(percent))?.percent ?? '-');
  expect(seen).toEqual([
    '-',
    '-',
    30,
    '-',
    '-',
    '-',
    20,
    '-',
    '-',
    '-',
    10,
    '-',
    '-',
    '-',
    '-',
    '-',
    10,
    '-',
    30,
  ]);
});

it('a steep fall is one warning, of the lowest', () => {
  const alerts = new SpaceAlerts();
  expect(alerts.look(at(5))?.percent).toBe(10);
  expect(alerts.look(at(5))).toBeUndefined();
});

it('keeps a tenth free, of large disks 4 GiB', () => {
  expect(keptFree({ totalBytes: 20 * GiB, freeBytes: 0 })).toBe(2 * GiB);
  expect(keptFree({ totalBytes: 10_000 * GiB, freeBytes: 0 })).toBe(4 * GiB);
});

it('refuses what would leave too little, also between two looks', () => {
  let reads = 0;
  const alerts: number[] = [];
  const guard = new SpaceGuard({
    path: '/',
    read: () => {
      reads += 1;
      return at(35);
    },
    onAlert: ({ percent }) => alerts.push(percent),
  });
  expect(guard.hasRoom(200)).toBe(true);
  expect(guard.hasRoom(60)).toBe(false);
  expect(guard.hasRoom(50)).toBe(true);
  expect(guard.hasRoom(1)).toBe(false);
  expect(reads).toBe(1);
  expect(alerts).toEqual([]);
});

it('knows a real file system, and leaves what cannot be known to the write', () => {
  const { totalBytes, freeBytes } = readDiskSpace('/');
  expect(totalBytes).toBeGreaterThan(freeBytes);
  const guard = new SpaceGuard({ path: '/does/not/exist', onAlert: () => undefined });
  expect(guard.hasRoom(1e15)).toBe(true);
});
