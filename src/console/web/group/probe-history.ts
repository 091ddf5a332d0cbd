// What the probes of a group's agents saw while this page was open. Pure.
import type { GroupStatus } from '../../../service/status.ts';
import type { AgentView } from '../../../service/node-protocol.ts';

const KEPT = 40;

type Probe = NonNullable<AgentView['seen']>;
/** By agent, the oldest first. */
export type ProbeHistory = Readonly<Record<string, readonly Probe[]>>;

export function noteProbes(before: ProbeHistory, status: GroupStatus | undefined): ProbeHistory {
  let after = before;
  for (const { name, seen } of primaryAgents(status)) {
    const kept = before[name] ?? [];
    if (seen === null || kept.at(-1)?.at === seen.at) continue;
    after = { ...after, [name]: [...kept.slice(-KEPT + 1), seen] };
  }
  return after;
}

/** The agents as the primary knows them: that is where the application runs. */
export function primaryAgents(status: GroupStatus | undefined): readonly AgentView[] {
  if (status === undefined) return [];
  const { local, remote } = status;
  return [local, remote].find((view) => view?.role === 'primary')?.agents ?? [];
}
