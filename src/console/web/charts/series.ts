// From what nodes remember to what a chart draws and says. Pure.

/** Seconds since 1970, mean, least, most. */
export type Point = readonly [number, number, number, number];

/** One moment for all lines: what a line does not have there is null. */
export interface Aligned {
  readonly times: readonly number[];
  /** Per line: means, least, most, of the same length as `times`. */
  readonly lines: readonly {
    readonly mean: readonly (number | null)[];
    readonly least: readonly (number | null)[];
    readonly most: readonly (number | null)[];
  }[];
}

/** A line is interrupted where so many grains in a row have nothing. */
const GAP_GRAINS = 3;

/**
 * Puts the points of several lines on one axis. Between points that are farther apart than a few grains there is a moment
 * without values, so that no line is drawn over a time of which nothing is known.
 */
export function align(lines: readonly (readonly Point[])[], grainSeconds: number): Aligned {
  const times = [...new Set(lines.flatMap((line) => line.map(([at]) => at)))].toSorted(
    (one, other) => one - other,
  );
  const withGaps = times.flatMap((at, index) => {
    const before = times[index - 1];
    const isGap = before !== undefined && at - before > GAP_GRAINS * grainSeconds;
    return isGap ? [before + grainSeconds, at] : [at];
  });
  return {
    times: withGaps,
    lines: lines.map((line) => {
      const byTime = new Map(line.map((point) => [point[0], point]));
      const column = (index: 1 | 2 | 3): (number | null)[] =>
        withGaps.map((at) => byTime.get(at)?.[index] ?? null);
      return { mean: column(1), least: column(2), most: column(3) };
    }),
  };
}

/** What both nodes of a pair remember of a measure: each for the time that it was in that role. The later list wins. */
export function mergePoints(...all: readonly (readonly Point[])[]): Point[] {
  const byTime = new Map(all.flat().map((point) => [point[0], point]));
  return [...byTime.values()].toSorted(([one], [other]) => one - other);
}

/** Points of the last `seconds`, told second by second, behind those that were asked for. */
export function appendLive(
  remembered: readonly Point[],
  live: readonly Point[],
  fromSeconds: number,
): Point[] {
  const first = live[0]?.[0] ?? Number.POSITIVE_INFINITY;
  return [...remembered.filter(([at]) => at < first), ...live].filter(([at]) => at >= fromSeconds);
}

export interface Summary {
  readonly last: number;
  readonly mean: number;
  readonly least: number;
  readonly most: number;
}

/** Null when there is nothing to say anything about. */
export function summaryOf(points: readonly Point[]): Summary | null {
  const last = points.at(-1);
  if (last === undefined) return null;
  const sum = points.reduce((total, [, mean]) => total + mean, 0);
  return {
    last: last[1],
    mean: sum / points.length,
    least: Math.min(...points.map(([, , least]) => least)),
    most: Math.max(...points.map(([, , , most]) => most)),
  };
}

/** At most `count` points, evenly over the time: for the table beside a chart. */
export function thinned(points: readonly Point[], count: number): readonly Point[] {
  if (points.length <= count) return points;
  const step = (points.length - 1) / (count - 1);
  const chosen = Array.from({ length: count }, (_, index) => points[Math.round(index * step)]);
  return chosen.filter((point) => point !== undefined);
}

/** Distances between the marks of an axis of bytes: binary, so that they read `64 MiB` and not `61 MiB`. */
export const BYTE_STEPS: readonly number[] = Array.from({ length: 51 }, (_, power) => 2 ** power);
