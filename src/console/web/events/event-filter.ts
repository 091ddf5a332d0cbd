// Which events are looked at: in the address of the page, so that it can be kept and passed on. Pure.
export const SPANS = ['hour', 'day', 'week', 'all'] as const;
export type Span = (typeof SPANS)[number];

export interface EventFilter {
  /** Console id; empty: all nodes. */
  readonly node: string;
  readonly level: 'info' | 'warning' | 'error';
  readonly group: string;
  readonly text: string;
  readonly span: Span;
  readonly onlyOpen: boolean;
}

export const NO_FILTER: EventFilter = {
  node: '',
  level: 'info',
  group: '',
  text: '',
  span: 'all',
  onlyOpen: false,
};

const LEVELS = ['info', 'warning', 'error'] as const;
const SPAN_MS: Readonly<Record<Exclude<Span, 'all'>, number>> = {
  hour: 3_600_000,
  day: 86_400_000,
  week: 7 * 86_400_000,
};
const MINUTE_MS = 60_000;

export function filterOf(search: URLSearchParams): EventFilter {
  const level = LEVELS.find((one) => one === search.get('level')) ?? NO_FILTER.level;
  const span = SPANS.find((one) => one === search.get('span')) ?? NO_FILTER.span;
  return {
    node: search.get('node') ?? '',
    level,
    group: search.get('group') ?? '',
    text: search.get('text') ?? '',
    span,
    onlyOpen: search.get('open') === 'true',
  };
}

export function searchOf(filter: EventFilter): URLSearchParams {
  const { node, level, group, text, span, onlyOpen } = filter;
  const search = new URLSearchParams();
  const set = (name: string, value: string, otherwise: string): void => {
    if (value !== otherwise) search.set(name, value);
  };
  set('node', node, '');
  set('level', level, NO_FILTER.level);
  set('group', group, '');
  set('text', text, '');
  set('span', span, NO_FILTER.span);
  set('open', String(onlyOpen), 'false');
  return search;
}

/** As the API takes it. The beginning of a span is of the full minute: the query stays the same for that long. */
export function queryOf(
  { level, group, text, span, onlyOpen }: EventFilter,
  nowMs = Date.now(),
): Readonly<Record<string, string | undefined>> {
  const since =
    span === 'all'
      ? undefined
      : new Date(Math.floor(nowMs / MINUTE_MS) * MINUTE_MS - SPAN_MS[span]).toISOString();
  return {
    level: level === 'info' ? undefined : level,
    group: group.trim() === '' ? undefined : group.trim(),
    text: text.trim() === '' ? undefined : text.trim(),
    since,
    unacknowledged: onlyOpen ? 'true' : undefined,
  };
}
