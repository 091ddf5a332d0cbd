// A mount that is busy for a moment, for good, and because somebody has something open.
import { expect, test } from 'vitest';
import { unmountPatiently, untilNobody } from './unmount-patiently.ts';

test('busy for a moment only: unmounted, whoever looked', async () => {
  let tries = 0;
  const unmount = (): { busy: string } | undefined => {
    tries += 1;
    return tries < 4 ? { busy: '/srv/shop' } : undefined;
  };
  expect(await unmountPatiently({ unmount, refuseWhenOpen: () => undefined })).toBeUndefined();
  expect(tries).toBe(4);
});

test('busy for good: the directory, within the time', async () => {
  const unmount = (): { busy: string } => ({ busy: '/srv/shop' });
  const refuseWhenOpen = (): void => undefined;
  expect(await unmountPatiently({ unmount, refuseWhenOpen, patienceMs: 50 })).toBe('/srv/shop');
});

const inUse = (dir: string): void => {
  throw new Error(`${dir} is in use by 77 editor`);
};

test('something open for good: refused, before the time of a busy mount is over', async () => {
  let tries = 0;
  const unmount = (): { busy: string } => {
    tries += 1;
    return { busy: '/srv/shop' };
  };
  const unmounting = unmountPatiently({ unmount, refuseWhenOpen: inUse, lookMs: 100 });
  await expect(unmounting).rejects.toThrow('77 editor');
  expect(tries).toBe(1);
});

test('something open for a moment: not refused', async () => {
  let looks = 0;
  await untilNobody(() => {
    looks += 1;
    if (looks < 3) inUse('/srv/shop');
  });
  expect(looks).toBe(3);
});
