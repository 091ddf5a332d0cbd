// A row of bars, one per moment, the latest at the right.

const BLOCKS = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'] as const;
/** For terminals that are not known to show anything else. */
const PLAIN = ['_', '.', ':', '-', '=', '+', '*', '#'] as const;

export interface Sparkline {
  readonly width: number;
  readonly unicode: boolean;
  /** What a full bar means at least: a lag of 2 ms among zeros is no mountain. */
  readonly least: number;
}

/** `samples`: oldest first; null: not known, shown as a gap. Of more samples than fit, the latest are shown. */
export function sparkline(
  samples: readonly (number | null)[],
  { width, unicode, least }: Sparkline,
): string {
  const shown = samples.slice(Math.max(0, samples.length - width));
  const levels = unicode ? BLOCKS : PLAIN;
  const most = Math.max(least, ...shown.map((value) => value ?? 0));
  const bars = shown.map((value) => (value === null ? ' ' : barOf(value / most, levels)));
  return bars.join('').padStart(width);
}

function barOf(share: number, levels: readonly string[]): string {
  const index = Math.ceil(Math.min(1, Math.max(0, share)) * (levels.length - 1));
  return levels[index] ?? ' ';
}

/** `[########----]` of exactly `width` columns. */
export function progressBar(share: number, width: number): string {
  const inner = Math.max(0, width - 2);
  const filled = Math.round(Math.min(1, Math.max(0, share)) * inner);
  return `[${'#'.repeat(filled)}${'-'.repeat(inner - filled)}]`;
}
