import { expect, test } from 'vitest';
import { isWithin, leftoverMounts, mountsBelow, mountsOn, parseMountTable } from './mount-table.ts';

const ROOT = '21 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw';
const SRV = '40 21 7:1 / /srv rw shared:2 - xfs /dev/loop1 rw';
const table = (...lines: string[]) => parseMountTable([ROOT, ...lines, ''].join('\n'));
const ids = (entries: readonly { id: number }[]): number[] => entries.map(({ id }) => id);

test('fields, with and without optional ones, and escaped names', () => {
  const [root, other] = table(
    String.raw`36 21 0:40 /a\040b /srv/a\134b\011c ro,nosuid - fuse.understudy understudy:x rw`,
  );
  expect(root).toMatchObject({
    id: 21,
    device: '254:0',
    mountPoint: '/',
    propagation: ['shared:1'],
    type: 'ext4',
  });
  expect(other).toMatchObject({
    root: '/a b',
    mountPoint: '/srv/a\\b\tc',
    options: ['ro', 'nosuid'],
    propagation: [],
    type: 'fuse.understudy',
    source: 'understudy:x',
  });
});

test('a path is within a directory only at a border of names', () => {
  expect(isWithin('/srv/shop', '/srv/shop')).toBe(true);
  expect(isWithin('/srv/shop/a', '/srv/shop')).toBe(true);
  expect(isWithin('/srv/shop2', '/srv/shop')).toBe(false);
  expect(isWithin('/srv', '/')).toBe(true);
});

test('mounts below', () => {
  const mounts = table(SRV, '41 40 0:5 / /srv/shop/cache rw - tmpfs none rw');
  expect(ids(mountsBelow(mounts, '/srv/shop'))).toEqual([41]);
  expect(ids(mountsBelow(mounts, '/srv'))).toEqual([41]);
  expect(ids(mountsBelow(mounts, '/srv/sh'))).toEqual([]);
});

test('mounts on a directory as they lie on each other, whatever their order in the table', () => {
  const filter = '50 52 0:60 / /srv/shop rw - fuse.understudy understudy:shop rw';
  const cover = '52 40 7:1 /shop /srv/shop ro - xfs /dev/loop1 rw';
  expect(ids(mountsOn(table(SRV, filter, cover), '/srv/shop'))).toEqual([52, 50]);
  expect(ids(leftoverMounts(table(SRV, filter, cover), '/srv/shop'))).toEqual([50, 52]);
});

test('the mount of the filter is a leftover, the disk under it is not', () => {
  const filter = '50 40 0:60 / /srv/shop rw - fuse.understudy understudy:shop rw';
  expect(ids(leftoverMounts(table(SRV, filter), '/srv/shop'))).toEqual([50]);
  const onDisk = '51 40 0:60 / /srv rw - fuse.understudy understudy:shop rw';
  expect(ids(leftoverMounts(table(SRV, onDisk), '/srv'))).toEqual([51]);
});

test('the cover of a standby is a leftover: the directory over itself', () => {
  const cover = '52 40 7:1 /shop /srv/shop ro - xfs /dev/loop1 rw';
  expect(ids(leftoverMounts(table(SRV, cover), '/srv/shop'))).toEqual([52]);
  const coverOfRoot = '53 40 7:1 / /srv ro - xfs /dev/loop1 rw';
  expect(ids(leftoverMounts(table(SRV, coverOfRoot), '/srv'))).toEqual([53]);
  const both = ['54 40 7:1 /shop /srv/shop ro - xfs /dev/loop1 rw', cover];
  expect(ids(leftoverMounts(table(SRV, ...both), '/srv/shop'))).toEqual([52, 54]);
});

test("an administrator's mounts are never leftovers", () => {
  const disk = '60 40 7:9 / /srv/shop rw - ext4 /dev/loop9 rw';
  const bindOfOther = '61 40 7:1 /other /srv/shop rw - xfs /dev/loop1 rw';
  const foreignFuse = '62 40 0:70 / /srv/shop rw - fuse.sshfs host:/x rw';
  for (const mount of [disk, bindOfOther, foreignFuse]) {
    expect(leftoverMounts(table(SRV, mount), '/srv/shop')).toEqual([]);
  }
  // And what lies under one is not touched.
  const filter = '63 40 0:60 / /srv/shop rw - fuse.understudy understudy:shop rw';
  expect(leftoverMounts(table(SRV, filter, disk), '/srv/shop')).toEqual([]);
});
