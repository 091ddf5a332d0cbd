// How far back a chart looks, how often it asks again, and how many points it draws. Pure.
export const RANGES = ['live', 'hour', 'sixHours', 'day', 'week', 'month'] as const;
export type Range = (typeof RANGES)[number];

interface RangeSettings {
  readonly seconds: number;
  readonly refetchMs: number;
}

const HOUR = 3600;
const DAY = 24 * HOUR;

export const RANGE_SETTINGS: Readonly<Record<Range, RangeSettings>> = {
  live: { seconds: 300, refetchMs: 30_000 },
  hour: { seconds: HOUR, refetchMs: 10_000 },
  sixHours: { seconds: 6 * HOUR, refetchMs: 30_000 },
  day: { seconds: DAY, refetchMs: 60_000 },
  week: { seconds: 7 * DAY, refetchMs: 300_000 },
  month: { seconds: 30 * DAY, refetchMs: 300_000 },
};

export const POINTS_MAX = 360;
