// What a node of a lab says of itself, asked through its API's socket from outside: starting the command
// line for every question would load the machine that is being measured.
import { type ApiCall, LocalApi } from '../src/service/admin-api/client.ts';
import type { LoggedEvent } from '../src/service/event-log.ts';
import type { LabHost } from './host.ts';

const SOCKET = '/run/understudy/understudyd.sock';
const EVENTS_MAX = 500;
const TIMEOUT_MS = 5000;

/** The part of a group's status that scripts need. */
export interface GroupSummary {
  readonly name: string;
  readonly role: 'primary' | 'standby' | string;
  readonly copy: string;
  readonly link: string;
  readonly linkReason: string | null;
  readonly alone: boolean;
  readonly lagMs: number | null;
}

async function ask<T>(host: LabHost, call: ApiCall): Promise<T | undefined> {
  if (!host.isRunning || host.state.frozen) return undefined;
  try {
    const api = new LocalApi(host.pathFromOutside(SOCKET));
    return await api.call<T>({ timeoutMs: TIMEOUT_MS, ...call });
  } catch {
    // Its service is just starting, ending, or gone.
    return undefined;
  }
}

/** What `understudy status` shows there; undefined while its service does not answer. */
export async function askStatus<T>(host: LabHost): Promise<T | undefined> {
  return ask<T>(host, { method: 'GET', path: '/status' });
}

/** The group as the node sees it; undefined while its service does not answer. */
export async function askGroup<T extends { readonly name: string } = GroupSummary>(
  host: LabHost,
  name: string,
): Promise<T | undefined> {
  const status = await askStatus<{ groups: readonly T[] }>(host);
  return status?.groups.find((group) => group.name === name);
}

/** A command without an answer that matters; nothing happens while the service does not answer. */
export async function tellNode(host: LabHost, call: ApiCall): Promise<void> {
  await ask(host, call);
}

/** The node's last events, oldest first; none while its service does not answer. */
export async function askEvents(host: LabHost): Promise<LoggedEvent[]> {
  const query = { count: EVENTS_MAX };
  const found = await ask<{ events: LoggedEvent[] }>(host, {
    method: 'GET',
    path: '/events',
    query,
  });
  return found?.events.toReversed() ?? [];
}
