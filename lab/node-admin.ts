// What a node of a lab says of itself, asked through its sockets from outside: starting the command
// line for every question would load the machine that is being measured.
import { type ApiCall, LocalApi } from '../src/service/admin-api/client.ts';
import { ControlClient } from '../src/service/control-channel.ts';
import type { LoggedEvent } from '../src/service/event-log.ts';
import { groupPaths, servicePaths } from '../src/service/service-paths.ts';
import type { LabHost } from './host.ts';
import { waitUntil } from './run.ts';

const APPLIED_POLL_MS = 100;
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
    const api = new LocalApi(host.pathFromOutside(servicePaths({}).adminSocket));
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

/** What the process of a group says of this very moment; undefined while it does not answer. */
async function askProcess(
  host: LabHost,
  name: string,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  if (!host.isRunning || host.state.frozen) return undefined;
  const socket = host.pathFromOutside(groupPaths(servicePaths({}), name).controlSocket);
  let client: ControlClient | undefined;
  try {
    client = await ControlClient.connect(socket, TIMEOUT_MS);
    return (await client.call('status', {}, TIMEOUT_MS)) as Record<string, unknown>;
  } catch {
    return undefined;
  } finally {
    client?.close();
  }
}

/**
 * Waits until the standby has applied everything that the primary has captured when this begins. Returns undefined, or
 * how far it came within `timeoutMs`.
 */
export async function waitUntilApplied(
  { primary, standby }: { readonly primary: LabHost; readonly standby: LabHost },
  name: string,
  timeoutMs: number,
): Promise<string | undefined> {
  let captured: number | undefined;
  let applied: number | undefined;
  const isApplied = async (): Promise<boolean> => {
    captured ??= numberOf((await askProcess(primary, name))?.['sequence']);
    applied = numberOf((await askProcess(standby, name))?.['appliedSequence']);
    return captured !== undefined && applied !== undefined && applied >= captured;
  };
  if (await waitUntil(isApplied, timeoutMs, APPLIED_POLL_MS)) return undefined;
  return `the standby has applied ${applied ?? 'nobody knows how many'} of ${captured ?? 'nobody knows how many'} records within ${timeoutMs / 1000} s`;
}

function numberOf(value: unknown): number | undefined {
  return typeof value === 'number' ? value : undefined;
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
