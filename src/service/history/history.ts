// Measures each group of this node every ten seconds and answers for charts from minutes to weeks. SQLite is loaded with the first
// group: a node without groups spares its memory.
import type { NodeService } from '../node-service.ts';
import type { HistoryPoint, HistoryStore } from './history-store.ts';
import { type Measure, MEASURES, measuresOf } from './measures.ts';

const MEASURE_MS = 10_000;
const FLUSH_MS = 60_000;
/** Must be that of the finest tier, see history-store.ts. */
const GRAIN_SECONDS = 10;

export interface HistorySeries {
  readonly measure: Measure;
  readonly unit: string;
  readonly points: readonly HistoryPoint[];
}

export interface HistoryAnswer {
  readonly group: string;
  readonly fromSeconds: number;
  readonly toSeconds: number;
  readonly grainSeconds: number;
  readonly series: readonly HistorySeries[];
}

export class History {
  readonly #service: NodeService;
  readonly #timers: NodeJS.Timeout[] = [];
  #store: HistoryStore | undefined;
  #isMeasuring = false;

  constructor(service: NodeService) {
    this.#service = service;
  }

  start(): void {
    this.#timers.push(
      setInterval(() => void this.measure(), MEASURE_MS),
      setInterval(() => this.#store?.flush(), FLUSH_MS),
    );
    for (const timer of this.#timers) timer.unref();
  }

  stop(): void {
    for (const timer of this.#timers) clearInterval(timer);
    this.#store?.close();
    this.#store = undefined;
  }

  async measure(): Promise<void> {
    const groups = [...this.#service.groups.values()];
    if (groups.length === 0 || this.#isMeasuring) return;
    this.#isMeasuring = true;
    try {
      const store = await this.#open();
      for (const runtime of groups) {
        const { groupId, replication } = runtime.definition;
        const measured = measuresOf(await runtime.view(), replication.journalBytesMax);
        const at = seconds();
        for (const [name, value] of Object.entries(measured)) {
          store.add(groupId, name, value, at - (at % GRAIN_SECONDS));
        }
      }
    } finally {
      this.#isMeasuring = false;
    }
  }

  /** A group is gone for good. */
  forget(groupId: string): void {
    this.#store?.forget(groupId);
  }

  /** `points`: at most so many of each measure. Errors: GROUP_UNKNOWN. */
  async answer(query: {
    readonly group: string;
    readonly measures: readonly Measure[];
    readonly fromSeconds: number;
    readonly toSeconds: number;
    readonly points: number;
  }): Promise<HistoryAnswer> {
    const { group, measures, fromSeconds, toSeconds, points } = query;
    const { groupId } = this.#service.group(group).definition;
    const store = await this.#open();
    const { tier, grainSeconds } = chooseGrain(await tiers(), {
      ageSeconds: seconds() - fromSeconds,
      spanSeconds: toSeconds - fromSeconds,
      points,
    });
    const series = measures.map((measure) => ({
      measure,
      unit: MEASURES[measure].unit,
      points: store.points({
        subject: groupId,
        measure,
        tier,
        fromSeconds,
        toSeconds,
        grainSeconds,
      }),
    }));
    return { group, fromSeconds, toSeconds, grainSeconds, series };
  }

  async #open(): Promise<HistoryStore> {
    if (this.#store !== undefined) return this.#store;
    const { HistoryStore: Store } = await import('./history-store.ts');
    this.#store ??= new Store(this.#service.paths.history, seconds);
    return this.#store;
  }
}

interface TierLike {
  readonly grainSeconds: number;
  readonly keptSeconds: number;
}

async function tiers(): Promise<readonly TierLike[]> {
  return (await import('./history-store.ts')).TIERS;
}

/** The finest tier that reaches back so far, and a grain with which no more than `points` come. */
export function chooseGrain(
  all: readonly TierLike[],
  wish: { readonly ageSeconds: number; readonly spanSeconds: number; readonly points: number },
): { readonly tier: number; readonly grainSeconds: number } {
  const found = all.findIndex(({ keptSeconds }) => keptSeconds >= wish.ageSeconds);
  const tier = found < 0 ? all.length - 1 : found;
  const least = all[tier]?.grainSeconds ?? 1;
  const wanted = Math.max(1, wish.spanSeconds / wish.points);
  return { tier, grainSeconds: least * Math.ceil(wanted / least) };
}

function seconds(): number {
  return Math.floor(Date.now() / 1000);
}
