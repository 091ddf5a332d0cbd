// What a node of a lab says of itself, asked through its admin socket from outside: starting the command
// line for every question would load the machine that is being measured.
import { ControlClient, type ControlEvent } from '../src/service/control-channel.ts';
import type { LabHost } from './host.ts';
import type { GroupSummary } from './pair.ts';

const SOCKET = '/run/understudy/understudyd.sock';
const EVENTS_MAX = 500;

async function ask<T>(host: LabHost, method: string, params = {}): Promise<T | undefined> {
  if (!host.isRunning || host.state.frozen) return undefined;
  try {
    const client = await ControlClient.connect(host.pathFromOutside(SOCKET), 1000);
    try {
      return (await client.call(method, params, 5000)) as T;
    } finally {
      client.close();
    }
  } catch {
    // Its service is just starting, ending, or gone.
    return undefined;
  }
}

/** The group as the node sees it; undefined while its service does not answer. */
export async function askGroup(host: LabHost, name: string): Promise<GroupSummary | undefined> {
  const status = await ask<{ groups: GroupSummary[] }>(host, 'status');
  return status?.groups.find((group) => group.name === name);
}

/** A command without an answer that matters; nothing happens while the service does not answer. */
export async function tellNode(host: LabHost, method: string, params: object): Promise<void> {
  await ask(host, method, params);
}

/** The node's last events, oldest first; none while its service does not answer. */
export async function askEvents(host: LabHost): Promise<ControlEvent[]> {
  return (await ask<ControlEvent[]>(host, 'events', { count: EVENTS_MAX })) ?? [];
}
