// An event as people read it.
import type { ControlEvent } from './control-channel.ts';

/** What happened, and to which group, where the sentence leaves that to the details: a node has many. */
export function eventText({ message, details }: Pick<ControlEvent, 'message' | 'details'>): string {
  const { group } = details;
  if (typeof group !== 'string' || group === '') return message;
  const isNamed = message.split(/[^a-z0-9-]+/).includes(group);
  return isNamed ? message : `${group}: ${message}`;
}
