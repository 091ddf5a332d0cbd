// The bandwidth limit of a group or a node, as it is kept, and which part of it is in force when.
//
// A schedule is a list of weekly windows in the node's own time; outside of them the limit itself
// holds. Windows do not overlap, so there is one answer at any time. One that ends before it begins
// ends the next day. On the days that clocks are changed a window is as long as the clock says.
import { z } from 'zod';
import { formatRate } from '../core/units.ts';

/** 64 kbit/s: below that, the link's own pings would be most of it. */
export const RATE_MIN = 8000;
export const RATE_MAX = 125_000_000_000;
const WINDOWS_MAX = 64;
const DAY_MINUTES = 1440;
const WEEK_MINUTES = 7 * DAY_MINUTES;

/** Bytes per second on the wire; null: unlimited. */
export const rateSchema = z.int().min(RATE_MIN).max(RATE_MAX).nullable();

export const windowSchema = z.strictObject({
  /** 0: Monday. The day on which the window begins. */
  days: z.array(z.int().min(0).max(6)).min(1).max(7),
  /** Minutes of the day. */
  from: z
    .int()
    .min(0)
    .max(DAY_MINUTES - 1),
  to: z.int().min(1).max(DAY_MINUTES),
  rate: rateSchema,
});
export type BandwidthWindow = z.infer<typeof windowSchema>;

export const bandwidthSchema = z.strictObject({
  rate: rateSchema,
  schedule: z.array(windowSchema).max(WINDOWS_MAX),
  /** Grows with each change, so that both nodes of a group end with the newer one. */
  revision: z.int().min(0),
});
export type Bandwidth = z.infer<typeof bandwidthSchema>;

export const UNLIMITED: Bandwidth = { rate: null, schedule: [], revision: 0 };
export const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;

/** The limit in force at `at`, and the window it comes from. */
export function limitAt(
  { rate, schedule }: Pick<Bandwidth, 'rate' | 'schedule'>,
  at: Date,
): { readonly rate: number | null; readonly window: BandwidthWindow | null } {
  const minute = ((at.getDay() + 6) % 7) * DAY_MINUTES + at.getHours() * 60 + at.getMinutes();
  const window = schedule.find((one) =>
    spansOf(one).some(({ from, to }) => isWithin(minute, from, to)),
  );
  return window === undefined ? { rate, window: null } : { rate: window.rate, window };
}

/** Two windows that overlap, or undefined. */
export function findOverlap(
  schedule: readonly BandwidthWindow[],
): readonly [BandwidthWindow, BandwidthWindow] | undefined {
  const spans = schedule.flatMap((window) => spansOf(window).map((span) => ({ window, ...span })));
  for (const [index, one] of spans.entries()) {
    for (const other of spans.slice(index + 1)) {
      const meets =
        isWithin(other.from, one.from, one.to) || isWithin(one.from, other.from, other.to);
      if (meets) return [one.window, other.window];
    }
  }
  return undefined;
}

/** Minutes of the week; `to` may be in the next one. */
function spansOf({ days, from, to }: BandwidthWindow): { from: number; to: number }[] {
  const length = to > from ? to - from : to + DAY_MINUTES - from;
  return days.map((day) => {
    const begin = day * DAY_MINUTES + from;
    return { from: begin, to: begin + length };
  });
}

function isWithin(minute: number, from: number, to: number): boolean {
  return (minute >= from && minute < to) || minute + WEEK_MINUTES < to;
}

export function rateText(rate: number | null): string {
  return rate === null ? 'unlimited' : formatRate(rate);
}

/** `mon-fri 08:00-18:00 50 Mbit/s`. */
export function windowText({ days, from, to, rate }: BandwidthWindow): string {
  return `${daysText(days)} ${timeText(from)}-${timeText(to)} ${rateText(rate)}`;
}

function daysText(days: readonly number[]): string {
  if (days.length === 7) return 'daily';
  const sorted = days.toSorted((a, b) => a - b);
  const runs: number[][] = [];
  for (const day of sorted) {
    const run = runs.at(-1);
    if (run !== undefined && run.at(-1) === day - 1) run.push(day);
    else runs.push([day]);
  }
  return runs
    .map((run) => {
      const [first, last] = [DAYS[run[0] ?? 0], DAYS[run.at(-1) ?? 0]];
      if (run.length === 1) return first;
      return `${first}${run.length === 2 ? ',' : '-'}${last}`;
    })
    .join(',');
}

function timeText(minutes: number): string {
  return `${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}
