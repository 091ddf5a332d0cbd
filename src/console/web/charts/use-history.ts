// What the nodes of a group remember of its measures. Each node remembers what it saw in its role, so both are asked, and a line goes
// on over a switchover.
import { useQueries } from '@tanstack/react-query';
import type { HistoryAnswer } from '../../../service/history/history.ts';
import type { Measure } from '../../../service/history/measures.ts';
import { call, nodeRoute } from '../app/api.ts';
import { POINTS_MAX, type Range, RANGE_SETTINGS } from './ranges.ts';
import { mergePoints, type Point } from './series.ts';

export interface GroupHistory {
  readonly isLoading: boolean;
  /** Set when no node of the group could be asked. */
  readonly error: Error | null;
  readonly grainSeconds: number;
  readonly pointsOf: (measure: Measure) => readonly Point[];
}

/** `nodes`: console ids of the nodes of the group, the one that counts more last. */
export function useHistory(
  group: string,
  nodes: readonly string[],
  range: Range,
  measures: readonly Measure[],
): GroupHistory {
  const { seconds, refetchMs } = RANGE_SETTINGS[range];
  const wanted = measures.join(',');
  const answers = useQueries({
    queries: nodes.map((node) => ({
      queryKey: ['history', node, group, range, wanted],
      queryFn: async ({ signal }: { signal: AbortSignal }) =>
        call<HistoryAnswer>(nodeRoute(node, '/history'), {
          query: { group, measures: wanted, seconds, points: POINTS_MAX },
          signal,
        }),
      refetchInterval: refetchMs,
      placeholderData: (before: HistoryAnswer | undefined) => before,
    })),
  });
  const known = answers.flatMap(({ data }) => data ?? []);
  const failed = answers.find(({ error }) => error !== null)?.error ?? null;
  return {
    isLoading: known.length === 0 && answers.some(({ isPending }) => isPending),
    error: known.length === 0 ? failed : null,
    grainSeconds: Math.max(1, ...known.map(({ grainSeconds }) => grainSeconds)),
    pointsOf: (measure) =>
      mergePoints(
        ...known.map(({ series }) => series.find((one) => one.measure === measure)?.points ?? []),
      ),
  };
}
