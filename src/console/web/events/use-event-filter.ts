import { useSearchParams } from 'wouter';
import { type EventFilter, filterOf, searchOf } from './event-filter.ts';

export function useEventFilter(): [EventFilter, (filter: EventFilter) => void] {
  const [search, setSearch] = useSearchParams();
  return [
    filterOf(search),
    (filter) => {
      // Each letter of a search is no place to go back to.
      setSearch(searchOf(filter), { replace: true });
    },
  ];
}
