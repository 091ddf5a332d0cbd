import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { FileSystemWatch, parseSmart } from './disks.ts';
import { networkCards, parseCounters } from './network-cards.ts';
import { memory, parseTicks, ProcessorWatch } from './processor.ts';

test('counters of proc_pid_net(5), also where a name touches its number', () => {
  const text = `Inter-|   Receive                                                |  Transmit
 face |bytes    packets errs drop fifo frame compressed multicast|bytes    packets errs drop fifo colls carrier compressed
    lo:     100       2    0    0    0     0          0         0      100       2    0    0    0     0       0          0
eth0.12:123456789 1000    3    4    0     0          0         0 987654321    2000    5    6    0     0       0          0
`;
  expect([...parseCounters(text).keys()]).toEqual(['lo', 'eth0.12']);
  expect(parseCounters(text).get('eth0.12')).toEqual({
    receivedBytes: 123_456_789,
    receivedPackets: 1000,
    receivedErrors: 3,
    receivedDropped: 4,
    sentBytes: 987_654_321,
    sentPackets: 2000,
    sentErrors: 5,
    sentDropped: 6,
  });
  expect(parseCounters('').size).toBe(0);
});

test('the cards of this machine: the loopback is among them', () => {
  const loopback = networkCards().find(({ name }) => name === 'lo');
  expect(loopback).toMatchObject({ loopback: true, virtual: true, mac: null, speedMbit: null });
});

test('processor: shares are of the time between two looks', () => {
  expect(parseTicks('cpu  10 20 30 40 50 60 70 80 90 100\ncpu0 …')).toEqual({
    total: 360,
    idle: 40,
    waiting: 50,
  });
  const watch = new ProcessorWatch();
  expect(watch.look().usedShare).toBeNull();
  const { usedShare, cores } = watch.look();
  expect(usedShare === null || (usedShare >= 0 && usedShare <= 1)).toBe(true);
  expect(cores).toBeGreaterThan(0);
  expect(memory().totalBytes).toBeGreaterThan(memory().availableBytes);
});

test('smartctl: an ATA disk, an NVMe one, one that says nothing, and garbage', () => {
  const ata = {
    smart_status: { passed: false },
    temperature: { current: 40 },
    power_on_time: { hours: 9 },
    ata_smart_attributes: {
      table: [
        { id: 5, raw: { value: 8 } },
        { id: 197, raw: { value: 2 } },
      ],
    },
  };
  expect(parseSmart(JSON.stringify(ata))).toEqual({
    passed: false,
    temperatureCelsius: 40,
    powerOnHours: 9,
    reallocatedSectors: 8,
    pendingSectors: 2,
    wearPercent: null,
  });
  const nvme = {
    smart_status: { passed: true },
    nvme_smart_health_information_log: { percentage_used: 3 },
  };
  expect(parseSmart(JSON.stringify(nvme))).toMatchObject({ passed: true, wearPercent: 3 });
  expect(parseSmart('{"smartctl":{"exit_status":2}}')).toBeNull();
  expect(parseSmart('nonsense')).toBeNull();
});

test('a file system that does not answer is not asked again before it does', async () => {
  const space = { totalBytes: 2, freeBytes: 1, files: null, filesFree: null };
  const { promise, resolve } = Promise.withResolvers<typeof space>();
  let hung: string | undefined;
  let asked = 0;
  const watch = new FileSystemWatch(async (path) => {
    hung ??= path;
    if (path !== hung) return space;
    asked += 1;
    return promise;
  });
  const hungView = async () =>
    (await watch.look()).find(({ mountPoint }) => mountPoint === hung)?.totalBytes;
  expect(await Promise.all([hungView(), hungView()])).toEqual([null, null]);
  expect([await hungView(), asked]).toEqual([null, 1]);
  resolve(space);
  await sleep(1);
  expect([await hungView(), asked]).toEqual([2, 2]);
});
