// Events of several nodes, put together by their time. Each node numbers its own: pages are asked for by node.
import { useInfiniteQuery, useQueryClient } from '@tanstack/react-query';
import type { EventView } from '../../../service/admin-api/schemas.ts';
import { call, nodeRoute } from '../app/api.ts';
import type { EventFilter } from './event-filter.ts';
import { queryOf } from './event-filter.ts';

const PAGE = 100;
const IDS_MAX = 1000;

export interface NodeEvent {
  /** Console id and name. */
  readonly node: string;
  readonly nodeName: string;
  readonly event: EventView;
}

interface Page {
  readonly events: readonly NodeEvent[];
  /** Lowest id of each node that has more; nodes that do not answer are left out. */
  readonly next: Readonly<Record<string, number>>;
  readonly missing: readonly string[];
}

export interface Events {
  readonly events: readonly NodeEvent[];
  /** Names of nodes that could not be asked. */
  readonly missing: readonly string[];
  readonly error: Error | null;
  readonly isLoading: boolean;
  readonly more: { readonly load: () => void; readonly isLoading: boolean } | null;
  readonly acknowledge: (events: readonly NodeEvent[]) => Promise<void>;
}

interface NodeName {
  readonly id: string;
  readonly name: string;
}

export function useEvents(nodes: readonly NodeName[], filter: EventFilter): Events {
  const client = useQueryClient();
  const query = queryOf(filter);
  const found = useInfiniteQuery({
    // The stream tells when an event comes: `live.ts` asks for everything below 'events' anew.
    queryKey: ['events', nodes.map(({ id }) => id), query],
    queryFn: async ({ pageParam, signal }) => loadPage(nodes, query, pageParam, signal),
    initialPageParam: null as Page['next'] | null,
    getNextPageParam: ({ next }) => (Object.keys(next).length === 0 ? undefined : next),
    enabled: nodes.length > 0,
    placeholderData: (before) => before,
  });
  const pages = found.data?.pages ?? [];
  return {
    events: pages.flatMap(({ events }) => events).toSorted(newestFirst),
    missing: pages[0]?.missing ?? [],
    error: found.error,
    isLoading: nodes.length > 0 && found.isPending,
    more: found.hasNextPage
      ? { load: () => void found.fetchNextPage(), isLoading: found.isFetchingNextPage }
      : null,
    acknowledge: async (events) => {
      await Promise.all(
        [...Map.groupBy(events, ({ node }) => node)].map(async ([node, own]) => {
          const ids = own.map(({ event }) => event.id);
          for (let from = 0; from < ids.length; from += IDS_MAX) {
            const body = { ids: ids.slice(from, from + IDS_MAX) };
            await call(nodeRoute(node, '/events/acknowledge'), { method: 'POST', body });
          }
        }),
      );
      await client.invalidateQueries({ queryKey: ['events'] });
    },
  };
}

/** One node that is silent must not hide what the others tell. */
async function loadPage(
  nodes: readonly NodeName[],
  query: Readonly<Record<string, string | undefined>>,
  before: Page['next'] | null,
  signal: AbortSignal,
): Promise<Page> {
  const asked = nodes.filter(({ id }) => before === null || before[id] !== undefined);
  const answers = await Promise.allSettled(
    asked.map(async ({ id }) =>
      call<{ events: EventView[] }>(nodeRoute(id, '/events'), {
        query: {
          ...query,
          count: PAGE,
          ...(before === null ? {} : { before: before[id] }),
        },
        signal,
      }),
    ),
  );
  const failed = answers.find((answer) => answer.status === 'rejected');
  if (failed !== undefined && answers.every(({ status }) => status === 'rejected')) {
    throw failed.reason;
  }
  const next: Record<string, number> = {};
  const events: NodeEvent[] = [];
  const missing: string[] = [];
  answers.forEach((answer, index) => {
    const { id, name } = asked[index] ?? { id: '', name: '' };
    if (answer.status === 'rejected') {
      missing.push(name);
      return;
    }
    const { events: own } = answer.value;
    events.push(...own.map((event) => ({ node: id, nodeName: name, event })));
    const last = own.at(-1);
    if (own.length === PAGE && last !== undefined) next[id] = last.id;
  });
  return { events, next, missing };
}

function newestFirst(one: NodeEvent, other: NodeEvent): number {
  if (one.event.at !== other.event.at) return one.event.at < other.event.at ? 1 : -1;
  return other.event.id - one.event.id;
}
