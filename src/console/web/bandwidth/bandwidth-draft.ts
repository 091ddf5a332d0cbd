// A bandwidth limit as a form has it, from and to what the API takes. Pure.
import type { Bandwidth } from '../../../service/bandwidth.ts';

export const RATE_UNITS = ['kbit/s', 'Mbit/s', 'Gbit/s', 'MB/s'] as const;
export type RateUnit = (typeof RATE_UNITS)[number];

/** Bytes per second. */
const UNIT_BYTES: Readonly<Record<RateUnit, number>> = {
  'kbit/s': 125,
  'Mbit/s': 125_000,
  'Gbit/s': 125_000_000,
  'MB/s': 1_000_000,
};

export interface RateDraft {
  readonly isLimited: boolean;
  /** As typed. */
  readonly value: string | number;
  readonly unit: RateUnit;
}

export interface WindowDraft {
  /** For lists on the page. */
  readonly key: number;
  /** 0: Monday. */
  readonly days: readonly number[];
  readonly from: string;
  readonly to: string;
  readonly rate: RateDraft;
}

export interface BandwidthDraft {
  readonly rate: RateDraft;
  readonly schedule: readonly WindowDraft[];
}

const DAY_NAMES = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'] as const;
const NO_LIMIT: RateDraft = { isLimited: false, value: 50, unit: 'Mbit/s' };

/** The largest unit in which the number is at least one. */
export function rateDraft(rate: number | null): RateDraft {
  if (rate === null) return NO_LIMIT;
  const unit = (['Gbit/s', 'Mbit/s'] as const).find((one) => rate >= UNIT_BYTES[one]) ?? 'kbit/s';
  return { isLimited: true, value: Number((rate / UNIT_BYTES[unit]).toFixed(3)), unit };
}

export function bandwidthDraft({
  rate,
  schedule,
}: Pick<Bandwidth, 'rate' | 'schedule'>): BandwidthDraft {
  return {
    rate: rateDraft(rate),
    schedule: schedule.map((window, key) => ({
      key,
      days: window.days,
      from: timeText(window.from),
      to: timeText(window.to),
      rate: rateDraft(window.rate),
    })),
  };
}

/** A window that does not overlap most others: working hours, until it is changed. */
export function newWindow(schedule: readonly WindowDraft[]): WindowDraft {
  const key = 1 + Math.max(-1, ...schedule.map((window) => window.key));
  const rate = { ...NO_LIMIT, isLimited: true };
  return { key, days: [0, 1, 2, 3, 4], from: '08:00', to: '18:00', rate };
}

export function rateInput({ isLimited, value, unit }: RateDraft): string {
  return isLimited ? `${value} ${unit}` : 'unlimited';
}

/** As `PUT …/limit` and a group's `replication.bandwidth` take it. */
export function bandwidthInput({ rate, schedule }: BandwidthDraft): string | object {
  if (schedule.length === 0) return rateInput(rate);
  return {
    default: rateInput(rate),
    schedule: schedule.map((window) => ({
      days: window.days.map((day) => DAY_NAMES[day] ?? ''),
      from: window.from,
      to: window.to,
      bandwidth: rateInput(window.rate),
    })),
  };
}

/** Bytes per second; null: unlimited, or no number yet. */
export function rateOf({ isLimited, value, unit }: RateDraft): number | null {
  const number = Number(value);
  return isLimited && number > 0 ? number * UNIT_BYTES[unit] : null;
}

/** Minutes of the day; null: not a time. */
export function minutesOf(text: string): number | null {
  const [, hours, minutes] = /^(\d\d?):(\d\d)$/.exec(text.trim()) ?? [];
  if (hours === undefined || minutes === undefined) return null;
  const all = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && all <= 1440 ? all : null;
}

export interface Block {
  readonly day: number;
  /** Minutes of the day. */
  readonly from: number;
  readonly to: number;
  readonly rate: number | null;
  readonly index: number;
}

/** What a schedule is on each day of the week, cut at midnight; windows that are not written well yet are left out. */
export function blocksOf(schedule: readonly WindowDraft[]): Block[] {
  return schedule.flatMap((window, index) => {
    const [from, to] = [minutesOf(window.from), minutesOf(window.to)];
    if (from === null || to === null || from === to || to === 0) return [];
    const rate = rateOf(window.rate);
    return window.days.flatMap((day) =>
      to > from
        ? [{ day, from, to, rate, index }]
        : [
            { day, from, to: 1440, rate, index },
            { day: (day + 1) % 7, from: 0, to, rate, index },
          ],
    );
  });
}

function timeText(minutes: number): string {
  return `${twoDigits(Math.floor(minutes / 60))}:${twoDigits(minutes % 60)}`;
}

function twoDigits(number: number): string {
  return String(number).padStart(2, '0');
}

/** A fault of the API by the field of the form: `default`, `schedule[0].days`. */
export function ownField(field: string): string {
  const own = field.replace(/^(replication\.)?bandwidth\.?/, '');
  return own === '' ? 'default' : own;
}
