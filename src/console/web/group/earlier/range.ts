import type { RewindList } from '../../../../mirror/rewind.ts';

export interface ReachableRange {
  readonly fromMs: number;
  readonly toMs: number;
}

/** From when to when states can be reached; null: none, or it is not known when they were. */
export function rangeOf({ from, to }: Pick<RewindList, 'from' | 'to'>): ReachableRange | null {
  if (from === null || to === null || from.at === null || to.at === null) return null;
  return { fromMs: Date.parse(from.at), toMs: Date.parse(to.at) };
}
