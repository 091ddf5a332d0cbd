// What moves, second by second, of every group: bounded, and filled from the node's history at the beginning.

/** One per second: more than the widest terminal has columns would be for nothing. */
export const SAMPLES_MAX = 240;
/** A name that is not told any more is forgotten with the others' next samples. */
const GROUPS_MAX = 128;

export interface GroupSamples {
  readonly lagMs: readonly (number | null)[];
  readonly wireBytesPerSecond: readonly (number | null)[];
}

export interface Sample {
  readonly name: string;
  readonly lagMs: number | null;
  readonly wireBytesPerSecond: number | null;
}

const NONE: GroupSamples = { lagMs: [], wireBytesPerSecond: [] };

export class Samples {
  readonly #groups = new Map<string, GroupSamples>();

  of(group: string): GroupSamples {
    return this.#groups.get(group) ?? NONE;
  }

  /** A second has passed. */
  add(all: readonly Sample[]): void {
    const told = new Set(all.map(({ name }) => name));
    for (const name of this.#groups.keys()) if (!told.has(name)) this.#groups.delete(name);
    for (const { name, lagMs, wireBytesPerSecond } of all.slice(0, GROUPS_MAX)) {
      const before = this.of(name);
      this.#groups.set(name, {
        lagMs: [...before.lagMs, lagMs].slice(-SAMPLES_MAX),
        wireBytesPerSecond: [...before.wireBytesPerSecond, wireBytesPerSecond].slice(-SAMPLES_MAX),
      });
    }
  }

  /** What was before the first sample: `lagMs` and the rate, oldest first. */
  precede(group: string, past: GroupSamples): void {
    const known = this.of(group);
    this.#groups.set(group, {
      lagMs: [...past.lagMs, ...known.lagMs].slice(-SAMPLES_MAX),
      wireBytesPerSecond: [...past.wireBytesPerSecond, ...known.wireBytesPerSecond].slice(
        -SAMPLES_MAX,
      ),
    });
  }
}

export type Point = readonly [seconds: number, mean: number, least: number, most: number];

/** Points of a history, one every `grainSeconds`, as one value per second; seconds without any are gaps. */
export function perSecond(
  points: readonly Point[],
  span: { readonly fromSeconds: number; readonly toSeconds: number; readonly grainSeconds: number },
): (number | null)[] {
  const { fromSeconds, toSeconds, grainSeconds } = span;
  const values = Array.from<number | null>({ length: Math.max(0, toSeconds - fromSeconds) });
  values.fill(null);
  for (const [at, mean] of points) {
    const begin = Math.max(0, at - fromSeconds);
    values.fill(mean, begin, Math.min(values.length, at - fromSeconds + grainSeconds));
  }
  return values;
}
