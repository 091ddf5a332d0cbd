// Events of several nodes in one list. Pure.
import type { EventView } from '../../../service/admin-api/schemas.ts';

export interface NodeEventView extends EventView {
  /** Its name. */
  readonly node: string;
}

export function newestFirst(
  told: readonly { readonly node: string; readonly events: readonly EventView[] }[],
  count: number,
): readonly NodeEventView[] {
  return told
    .flatMap(({ node, events }) => events.map((event) => ({ ...event, node })))
    .toSorted((one, other) => Date.parse(other.at) - Date.parse(one.at) || other.id - one.id)
    .slice(0, count);
}
