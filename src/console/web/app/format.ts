// Numbers and times as people read them, in the language and the zone of the browser. Pure but for that.
const UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const;

export function formatBytes(bytes: number): string {
  let value = bytes;
  let index = 0;
  while (value >= 1024 && index < UNITS.length - 1) {
    value /= 1024;
    index += 1;
  }
  const digits = index === 0 || value >= 100 ? 0 : 1;
  return `${value.toFixed(digits)} ${UNITS[index] ?? ''}`;
}

export const formatRate = (bytesPerSecond: number): string => `${formatBytes(bytesPerSecond)}/s`;

export function formatPercent(share: number): string {
  return `${Math.floor(Math.max(0, Math.min(1, share)) * 100)} %`;
}

export function formatCount(count: number, language: string): string {
  return new Intl.NumberFormat(language).format(count);
}

type Unit = 'millisecond' | 'second' | 'minute' | 'hour' | 'day';
const SECOND_MS = 1000;
const MINUTE_MS = 60 * SECOND_MS;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;

/** `12 ms`, `3 s`, `2 min 5 s`, `3 h 20 min`, `5 d 2 h`, in the words of the language. */
export function formatDuration(ms: number, language: string): string {
  const [first, second] = partsOf(Math.max(0, ms));
  const parts = second === undefined || second[0] === 0 ? [first] : [first, second];
  return parts.map(([value, unit]) => inUnit(value, unit, language)).join(' ');
}

function partsOf(ms: number): [[number, Unit], [number, Unit]?] {
  if (ms < SECOND_MS) return [[Math.round(ms), 'millisecond']];
  if (ms < 10 * SECOND_MS) return [[Math.round(ms / 100) / 10, 'second']];
  if (ms < MINUTE_MS) return [[Math.round(ms / SECOND_MS), 'second']];
  if (ms < HOUR_MS) return split(ms, MINUTE_MS, 'minute', [SECOND_MS, 'second']);
  if (ms < DAY_MS) return split(ms, HOUR_MS, 'hour', [MINUTE_MS, 'minute']);
  return split(ms, DAY_MS, 'day', [HOUR_MS, 'hour']);
}

function split(
  ms: number,
  size: number,
  unit: Unit,
  [smaller, smallerUnit]: [number, Unit],
): [[number, Unit], [number, Unit]] {
  const whole = Math.floor(ms / size);
  return [
    [whole, unit],
    [Math.floor((ms - whole * size) / smaller), smallerUnit],
  ];
}

function inUnit(value: number, unit: Unit, language: string): string {
  return new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'short' }).format(
    value,
  );
}

export function formatTime(at: string | number | Date, language: string): string {
  return new Intl.DateTimeFormat(language, {
    dateStyle: 'medium',
    timeStyle: 'medium',
    hourCycle: 'h23',
  }).format(new Date(at));
}
