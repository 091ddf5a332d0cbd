// The Linux watchdog device (Documentation/watchdog/watchdog-api.rst): resets the machine when it is
// not fed. Armed before this node becomes primary, fed only while its lease is valid: a node that
// lost its lease and cannot even stop is reset.
//
//   lease    ├──── valid ────┤
//   fed      x  x  x  x  x  x
//   reset                    └─ at most `timeout` later
//
// The timeout is never shorter than the lease: a node that may serve is never reset. Nor is one that has ceased: a device that
// cannot be stopped any more, once it was opened (nowayout), is not opened.
import { readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { UnderstudyError } from '../../core/errors.ts';
import { errnoName, O, AT, errno } from '../../linux/constants.ts';
import { cstring, sys } from '../../linux/libc.ts';

// linux/watchdog.h
const WDIOC_GETSUPPORT = 0x8028_5700;
const WDIOC_SETTIMEOUT = 0xc004_5706;
const WDIOC_GETTIMEOUT = 0x8004_5707;
const INFO_BYTES = 40;
const IDENTITY_AT = 8;
const TIMEOUT_SECONDS_MAX = 60;
const KEEP_ALIVE = Uint8Array.of(0);
/** "I end on purpose": without it, closing the device does not stop it. */
const MAGIC_CLOSE = Uint8Array.of('V'.charCodeAt(0));

export const WATCHDOG_PATH = '/dev/watchdog';

export type WatchdogState =
  | { readonly kind: 'absent'; readonly why: string }
  | { readonly kind: 'off' }
  | { readonly kind: 'armed'; readonly identity: string; readonly timeoutMs: number }
  /** There is one, and it is not used. */
  | { readonly kind: 'nowayout'; readonly why: string };

/** Smallest whole number of seconds that is not shorter than the lease. */
export function watchdogTimeoutSeconds(leaseMs: number): number {
  return Math.max(1, Math.ceil(leaseMs / 1000));
}

/** linux/miscdevice.h: `/dev/watchdog` is another name of the first device. */
const MISC_MAJOR = 10;
const WATCHDOG_MINOR = 130;

/** Where the kernel says whether the device of these numbers can be stopped (Documentation/ABI/testing/sysfs-class-watchdog). */
export function nowayoutFile(major: number, minor: number, sysfs = '/sys'): string {
  const isFirst = major === MISC_MAJOR && minor === WATCHDOG_MINOR;
  return join(
    sysfs,
    isFirst ? 'class/watchdog/watchdog0' : `dev/char/${major}:${minor}`,
    'nowayout',
  );
}

/** Whether nothing stops the device once it was opened. False where the kernel does not say. */
export function isNowayout(path: string, sysfs = '/sys'): boolean {
  try {
    const { rdev } = statSync(path);
    // gnu_dev_major(3), for numbers that a device file can have.
    const [major, minor] = [(rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & 0xf_ff00)];
    return readFileSync(nowayoutFile(major, minor, sysfs), 'utf8').trim() === '1';
  } catch {
    return false;
  }
}

export const NOWAYOUT_REMEDY =
  'load its driver with "nowayout=0" (an "options" line in /etc/modprobe.d, or DRIVER.nowayout=0 on the kernel\'s command line)';

export interface WatchdogOptions {
  readonly path?: string;
  /** ioctl(2); tests put another one in the place of the device's driver. */
  readonly ioctl?: (fd: number, request: number, argument: Uint8Array) => number;
  readonly isNowayout?: (path: string) => boolean;
}

export class Watchdog {
  readonly #path: string;
  readonly #ioctl: NonNullable<WatchdogOptions['ioctl']>;
  readonly #isNowayout: (path: string) => boolean;
  #fd: number | undefined;
  #state: WatchdogState = { kind: 'off' };

  constructor(options: WatchdogOptions = {}) {
    this.#path = options.path ?? WATCHDOG_PATH;
    this.#ioctl = options.ioctl ?? ((fd, request, argument) => sys.ioctl(fd, request, argument));
    this.#isNowayout = options.isNowayout ?? isNowayout;
  }

  get state(): WatchdogState {
    return this.#state;
  }

  /**
   * Starts the device for a lease of `leaseMs`; from now on it has to be fed. Returns `absent` where
   * there is none, and `nowayout` where nothing would stop it again. Errors: WATCHDOG_BUSY, WATCHDOG_UNUSABLE.
   */
  arm(leaseMs: number): WatchdogState {
    const seconds = watchdogTimeoutSeconds(leaseMs);
    if (this.#fd !== undefined) {
      const isLongEnough = this.#state.kind === 'armed' && this.#state.timeoutMs >= seconds * 1000;
      if (!isLongEnough) this.#state = this.#configure(this.#fd, seconds);
      this.#write(KEEP_ALIVE);
      return this.#state;
    }
    if (this.#isNowayout(this.#path)) return this.#leaveAlone();
    const fd = sys.openat(AT.FDCWD, cstring(this.#path), O.WRONLY | O.CLOEXEC | O.NONBLOCK, 0);
    if (fd < 0) return this.#cannotOpen(fd);
    try {
      this.#state = this.#configure(fd, seconds);
    } catch (error) {
      // What was opened is running; say the magic word before going away.
      sys.write(fd, MAGIC_CLOSE, 1);
      sys.close(fd);
      throw error;
    }
    this.#fd = fd;
    this.#write(KEEP_ALIVE);
    return this.#state;
  }

  /** Feeds the device if the lease is valid; true when it did. */
  feed(nowMs: number, leaseUntilMs: number): boolean {
    if (this.#fd === undefined || nowMs >= leaseUntilMs) return false;
    this.#write(KEEP_ALIVE);
    return true;
  }

  /** Stops the device. */
  disarm(): WatchdogState {
    if (this.#fd === undefined) return this.#state;
    this.#write(MAGIC_CLOSE);
    sys.close(this.#fd);
    this.#fd = undefined;
    this.#state = { kind: 'off' };
    return this.#state;
  }

  #leaveAlone(): WatchdogState {
    const why = `${this.#path} cannot be stopped once it runs (nowayout), which would reset this machine after every switchover: it is not used; ${NOWAYOUT_REMEDY}`;
    this.#state = { kind: 'nowayout', why };
    return this.#state;
  }

  #cannotOpen(result: number): WatchdogState {
    if (result === -errno.EBUSY) {
      throw new UnderstudyError(
        'WATCHDOG_BUSY',
        `${this.#path} is used by another program: free it (systemd: RuntimeWatchdogSec=off; or stop the service "watchdog"), or set "watchdog: off"`,
      );
    }
    const missing = result === -errno.ENOENT || result === -errno.ENODEV || result === -errno.ENXIO;
    const why = missing
      ? `this machine has no ${this.#path}: load the driver of its watchdog, or "softdog"`
      : `${this.#path} cannot be opened (${errnoName(result)})`;
    this.#state = { kind: 'absent', why };
    return this.#state;
  }

  #configure(fd: number, seconds: number): WatchdogState {
    const info = Buffer.alloc(INFO_BYTES);
    if (this.#ioctl(fd, WDIOC_GETSUPPORT, info) < 0) {
      throw this.#unusable('it is not a watchdog device');
    }
    const identity = info.toString('latin1', IDENTITY_AT).replace(/\0.*$/s, '');
    const value = Buffer.alloc(4);
    value.writeInt32LE(seconds);
    // A driver that cannot set it has a fixed timeout; a driver may also round it up.
    this.#ioctl(fd, WDIOC_SETTIMEOUT, value);
    if (this.#ioctl(fd, WDIOC_GETTIMEOUT, value) < 0) {
      throw this.#unusable('it does not tell its timeout');
    }
    const actual = value.readInt32LE(0);
    if (actual < seconds) {
      throw this.#unusable(
        `its timeout of ${actual} s is shorter than the lease: it would reset a healthy node`,
      );
    }
    if (actual > TIMEOUT_SECONDS_MAX) {
      throw this.#unusable(`its timeout of ${actual} s is too long to be of use`);
    }
    return { kind: 'armed', identity, timeoutMs: actual * 1000 };
  }

  #unusable(why: string): UnderstudyError {
    return new UnderstudyError(
      'WATCHDOG_UNUSABLE',
      `${this.#path} cannot be used as watchdog (${why}): set "watchdog: off", or its path`,
    );
  }

  #write(byte: Uint8Array): void {
    if (this.#fd !== undefined) sys.write(this.#fd, byte, 1);
  }
}
