// Sizes, rates and durations as people write them, and back.
import { UnderstudyError } from './errors.ts';

export const KiB = 1024;
export const MiB = 1024 * KiB;
export const GiB = 1024 * MiB;

const SIZE_UNITS: Readonly<Record<string, number>> = {
  b: 1,
  k: KiB,
  kb: 1000,
  kib: KiB,
  m: MiB,
  mb: 1e6,
  mib: MiB,
  g: GiB,
  gb: 1e9,
  gib: GiB,
  t: 1024 * GiB,
  tb: 1e12,
  tib: 1024 * GiB,
};

const DURATION_UNITS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

/** Parses `64 MiB`, `10GB`, `4096` into bytes. */
export function parseBytes(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]*)\s*$/i.exec(text);
  const unit = SIZE_UNITS[(match?.[2] ?? '').toLowerCase() || 'b'];
  if (match === null || unit === undefined) {
    throw new UnderstudyError(
      'SIZE_INVALID',
      `"${text}" is not a size: write for example "64 MiB"`,
    );
  }
  return Math.round(Number(match[1]) * unit);
}

/** Parses `2s`, `500 ms`, `10m` into milliseconds. */
export function parseDurationMs(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*$/i.exec(text);
  const unit = DURATION_UNITS_MS[(match?.[2] ?? '').toLowerCase()];
  if (match === null || unit === undefined) {
    throw new UnderstudyError(
      'DURATION_INVALID',
      `"${text}" is not a duration: write for example "2s"`,
    );
  }
  return Math.round(Number(match[1]) * unit);
}

/** Bits per unit. Only with an upper-case B are bytes meant. */
const RATE_UNITS_BITS: Readonly<Record<string, number>> = {
  bit: 1,
  kbit: 1e3,
  Mbit: 1e6,
  Gbit: 1e9,
  kB: 8e3,
  MB: 8e6,
  GB: 8e9,
  KiB: 8 * KiB,
  MiB: 8 * MiB,
  GiB: 8 * GiB,
};

/** Parses `50 Mbit/s`, `10mbit`, `5 MB/s` into bytes per second. */
export function parseRate(text: string): number {
  const match = /^\s*(\d+(?:\.\d+)?)\s*([a-z]+)\s*(?:\/\s*s)?\s*$/i.exec(text);
  const written = match?.[2] ?? '';
  const isBits = written.toLowerCase().endsWith('bit');
  const unit = Object.keys(RATE_UNITS_BITS).find((known) =>
    isBits ? known.toLowerCase() === written.toLowerCase() : known === written,
  );
  if (match === null || unit === undefined) {
    throw new UnderstudyError(
      'RATE_INVALID',
      `"${text}" is not a bandwidth: write for example "50 Mbit/s" or "5 MB/s"`,
    );
  }
  return Math.round((Number(match[1]) * (RATE_UNITS_BITS[unit] ?? 1)) / 8);
}

/** Bytes per second: `6_250_000` → `50 Mbit/s`. */
export function formatRate(bytesPerSecond: number): string {
  const units = ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s'];
  let value = bytesPerSecond * 8;
  let index = 0;
  while (value >= 1000 && index < units.length - 1) {
    value /= 1000;
    index += 1;
  }
  return `${Number(value.toPrecision(3))} ${units[index] ?? ''}`;
}

/** `1536` → `1.5 KiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let index = 0;
  while (value >= 1024 && index < units.length - 1) {
    value /= 1024;
    index += 1;
  }
  return `${index === 0 ? value : value.toFixed(1)} ${units[index] ?? ''}`;
}

/** `93_000` → `1 min 33 s`. */
export function formatDurationMs(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`;
  // Of two servers that change places, a tenth of a second is worth telling.
  if (ms < 9950) return `${Number((ms / 1000).toFixed(1))} s`;
  const seconds = Math.round(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${seconds % 60} s`;
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
