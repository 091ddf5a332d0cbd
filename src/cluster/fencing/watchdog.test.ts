// The protocol of the watchdog device, on a FIFO whose ioctls a small driver answers: this machine has
// no device. What is written to the FIFO is what the kernel would be told.
import { spawnSync } from 'node:child_process';
import {
  closeSync,
  constants,
  mkdirSync,
  mkdtempSync,
  openSync,
  readSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { NodeWatchdog } from './node-watchdog.ts';
import { isNowayout, nowayoutFile, Watchdog, watchdogTimeoutSeconds } from './watchdog.ts';

const GETSUPPORT = 0x8028_5700;
const SETTIMEOUT = 0xc004_5706;
const GETTIMEOUT = 0x8004_5707;
const MAGICCLOSE = 0x100;
const ENOTTY = 25;

let directory = '';
let path = '';
let reader = -1;

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'watchdog-'));
  path = join(directory, 'watchdog');
  spawnSync('mkfifo', [path]);
  reader = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
});
afterEach(() => {
  closeSync(reader);
  rmSync(directory, { recursive: true });
});

/** What the device was told since the last call: `.` fed, `V` magic close. */
function told(): string {
  const bytes = Buffer.alloc(100);
  const length = readSync(reader, bytes, 0, 100, null);
  return bytes.toString('latin1', 0, length).replaceAll('\0', '.');
}

/** A driver with the given abilities. */
function driver(options: { timeout?: number; settable?: boolean; magic?: boolean } = {}) {
  let { timeout = 60 } = options;
  return (_fd: number, request: number, argument: Uint8Array): number => {
    const bytes = Buffer.from(argument.buffer, argument.byteOffset, argument.length);
    if (request === GETSUPPORT) {
      bytes.writeUInt32LE(options.magic === false ? 0 : MAGICCLOSE, 0);
      bytes.write('Test driver\0', 8, 'latin1');
      return 0;
    }
    if (request === SETTIMEOUT && options.settable !== false) timeout = bytes.readInt32LE(0);
    if (request === SETTIMEOUT && options.settable === false) return -ENOTTY;
    if (request === GETTIMEOUT) bytes.writeInt32LE(timeout, 0);
    return 0;
  };
}

function fixed(timeout: number): Watchdog {
  return new Watchdog({ path, ioctl: driver({ settable: false, timeout }) });
}

test('the timeout is a whole number of seconds, never shorter than the lease', () => {
  expect([280, 750, 1000, 1001, 4500].map(watchdogTimeoutSeconds)).toEqual([1, 1, 1, 2, 5]);
});

test('off → armed → fed while the lease is valid → off by the magic word', () => {
  const watchdog = new Watchdog({ path, ioctl: driver() });
  expect(watchdog.feed(0, 1000)).toBe(false);
  expect(watchdog.arm(1500)).toEqual({ kind: 'armed', identity: 'Test driver', timeoutMs: 2000 });
  expect(told()).toBe('.');
  expect(watchdog.feed(100, 1000)).toBe(true);
  expect(watchdog.feed(999, 1000)).toBe(true);
  expect(told()).toBe('..');
  // The lease is over: nothing keeps the machine from being reset.
  expect(watchdog.feed(1000, 1000)).toBe(false);
  expect(watchdog.feed(2000, 0)).toBe(false);
  expect(watchdog.disarm()).toEqual({ kind: 'off' });
  expect(told()).toBe('V');
  expect(watchdog.disarm()).toEqual({ kind: 'off' });
});

test('arming again feeds', () => {
  const watchdog = new Watchdog({ path, ioctl: driver() });
  watchdog.arm(750);
  watchdog.arm(750);
  expect(told()).toBe('..');
  watchdog.disarm();
});

test('a device that cannot be stopped any more (nowayout) is never started', () => {
  const watchdog = new Watchdog({ path, ioctl: driver(), isNowayout: () => true });
  const shared = new NodeWatchdog(watchdog);
  expect(shared.arm('shop', 750)).toMatchObject({
    kind: 'nowayout',
    why: expect.stringContaining('nowayout=0'),
  });
  expect(shared.feed('shop', 0, 1000)).toBe(false);
  shared.disarm('shop');
  expect(told()).toBe('');
  // The kernel lets whoever asks know before the device is opened.
  const sysfs = join(directory, 'sys');
  mkdirSync(join(sysfs, 'dev/char/1:3'), { recursive: true });
  mkdirSync(join(sysfs, 'class/watchdog/watchdog0'), { recursive: true });
  const says = (file: string, text: string): void => writeFileSync(join(sysfs, file), text);
  expect(isNowayout('/dev/null', sysfs)).toBe(false);
  says('dev/char/1:3/nowayout', '1\n');
  expect(isNowayout('/dev/null', sysfs)).toBe(true);
  says('dev/char/1:3/nowayout', '0\n');
  expect(isNowayout('/dev/null', sysfs)).toBe(false);
  expect(isNowayout(join(directory, 'none'), sysfs)).toBe(false);
  // "/dev/watchdog" itself is another name of the first one.
  expect(nowayoutFile(10, 130, sysfs)).toBe(join(sysfs, 'class/watchdog/watchdog0/nowayout'));
});

test('a driver without the magic word stops whenever it is closed', () => {
  const watchdog = new Watchdog({ path, ioctl: driver({ magic: false }) });
  watchdog.arm(750);
  expect(watchdog.disarm()).toEqual({ kind: 'off' });
});

test('a fixed timeout is taken when it is long enough, and refused when it is too short', () => {
  const watchdog = fixed(10);
  expect(watchdog.arm(750)).toMatchObject({ kind: 'armed', timeoutMs: 10_000 });
  watchdog.disarm();
  expect(() => fixed(1).arm(1500)).toThrow(expect.objectContaining({ code: 'WATCHDOG_UNUSABLE' }));
  expect(() => fixed(300).arm(750)).toThrow(expect.objectContaining({ code: 'WATCHDOG_UNUSABLE' }));
  expect(told().endsWith('V')).toBe(true);
});

test('no device is a state, with what to do', () => {
  const watchdog = new Watchdog({ path: join(directory, 'none') });
  expect(watchdog.arm(750)).toMatchObject({
    kind: 'absent',
    why: expect.stringContaining('softdog'),
  });
  expect(watchdog.feed(0, 1000)).toBe(false);
  expect(watchdog.disarm()).toMatchObject({ kind: 'absent' });
});

test('with the real ioctl, a file that is no device is refused', () => {
  const file = join(directory, 'file');
  writeFileSync(file, '');
  expect(() => new Watchdog({ path: file }).arm(750)).toThrow(
    expect.objectContaining({ code: 'WATCHDOG_UNUSABLE' }),
  );
});

test('groups share the device: it is fed while the leases of all are valid, and stops with the last', () => {
  const device = new Watchdog({ path, ioctl: driver() });
  const shared = new NodeWatchdog(device);
  expect(shared.arm('shop', 750)).toMatchObject({ kind: 'armed', timeoutMs: 1000 });
  // No shorter than the longest lease.
  expect(shared.arm('mail', 4500)).toMatchObject({ kind: 'armed', timeoutMs: 5000 });
  expect(shared.arm('shop', 750)).toMatchObject({ kind: 'armed', timeoutMs: 5000 });
  told();
  expect(shared.feed('shop', 0, 1000)).toBe(false);
  expect(shared.feed('mail', 0, 4500)).toBe(true);
  expect(shared.feed('shop', 900, 1650)).toBe(true);
  expect(told()).toBe('..');
  // The lease of one is over.
  expect(shared.feed('mail', 1700, 6200)).toBe(false);
  shared.disarm('shop');
  expect(shared.feed('shop', 1800, 2500)).toBe(false);
  expect(shared.feed('mail', 1800, 6200)).toBe(true);
  shared.disarm('shop');
  expect(told()).toBe('.');
  shared.disarm('mail');
  expect(told()).toBe('V');
});
