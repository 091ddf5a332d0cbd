// Metrics in the text format of Prometheus (version 0.0.4). They are made when they are asked for, of what the node knows anyway: an
// idle node pays nothing for them. Names and units: docs/metrics.md, compared by a test.
import type { ProcessView } from '../node-health/processes.ts';
import type { GroupStatus, ServiceStatus } from '../status.ts';

export interface Metric {
  readonly name: string;
  readonly type: 'gauge' | 'counter';
  readonly help: string;
}

const gauge = (name: string, help: string): Metric => ({ name, help, type: 'gauge' });
const counter = (name: string, help: string): Metric => ({ name, help, type: 'counter' });

export const METRICS = {
  build: gauge('understudy_build_info', '1, with the version of this node as label'),
  peerReachable: gauge('understudy_peer_reachable', '1: the other node of the pair answers'),
  primary: gauge('understudy_group_primary', '1: this node is the primary of the group'),
  epoch: gauge('understudy_group_epoch', 'Counts promotions'),
  running: gauge('understudy_group_process_running', "1: the group's process runs on this node"),
  copy: gauge(
    'understudy_group_copy_state',
    '1 for the state that the copy is in, 0 for the others',
  ),
  connected: gauge('understudy_group_link_connected', '1: the replication link is connected'),
  alone: gauge('understudy_group_alone', '1: the primary goes on without its standby'),
  halted: gauge('understudy_group_halted', '1: nothing is applied before a person says so'),
  paused: gauge('understudy_group_paused', '1: maintenance, nothing moves by itself'),
  troubles: gauge('understudy_group_troubles', 'Sentences of trouble on both nodes'),
  lag: gauge('understudy_group_lag_seconds', 'Age of the oldest change that the standby lacks'),
  backlog: gauge('understudy_group_backlog_bytes', 'Changes that the standby lacks'),
  sent: gauge('understudy_group_wire_bytes_per_second', 'Sent over the network in the last second'),
  limit: gauge('understudy_group_limit_bytes_per_second', 'Bandwidth limit in force; absent: none'),
  commitWait: gauge('understudy_group_commit_wait_seconds', 'How long the oldest commit waits'),
  journal: gauge('understudy_group_journal_bytes', "In the standby's journal"),
  journalMax: gauge(
    'understudy_group_journal_limit_bytes',
    "Most that the standby's journal may hold",
  ),
  scanDone: gauge(
    'understudy_group_scan_ratio',
    'Done of a first copy or resync, 0 to 1; absent: none',
  ),
  differences: gauge('understudy_group_verify_differences', 'Found by the last comparison'),
  verified: gauge('understudy_group_verify_timestamp_seconds', 'End of the last comparison'),
  agentUp: gauge('understudy_agent_up', '1: the last probe found the application well'),
  agentProbe: gauge('understudy_agent_probe_seconds', 'How long the last probe took'),
  agentRestarts: gauge('understudy_agent_restarts', 'Restarts in place within the window'),
  memory: gauge('understudy_process_resident_bytes', 'Memory of a process of Understudy'),
  cpu: counter('understudy_process_cpu_seconds_total', 'CPU time of a process of Understudy'),
  events: counter('understudy_events_total', 'Events of this node since its service was started'),
  eventsLost: counter('understudy_events_lost_total', 'Events that a disk has not taken'),
} as const satisfies Record<string, Metric>;

const COPY_STATES = [
  'up-to-date',
  'catching-up',
  'syncing',
  'diverged',
  'halted',
  'empty',
  'unknown',
];

export interface Measurable {
  readonly status: ServiceStatus;
  readonly processes: readonly ProcessView[];
  readonly journalBytesMax: (group: string) => number;
  /** By level. */
  readonly events: Readonly<Record<string, number>>;
  readonly eventsLost: number;
}

type Labels = Readonly<Record<string, string>>;

/** Collects samples and writes them, each metric in one block as the format wants it. */
class Samples {
  readonly #lines = new Map<Metric, string[]>();

  set(metric: Metric, labels: Labels, value: number | boolean | null | undefined): void {
    if (value === null || value === undefined || Number.isNaN(value)) return;
    const text = Object.entries(labels)
      .map(([name, label]) => `${name}="${escapeLabel(label)}"`)
      .join(',');
    const line = `${metric.name}${text === '' ? '' : `{${text}}`} ${Number(value)}`;
    this.#lines.set(metric, [...(this.#lines.get(metric) ?? []), line]);
  }

  get text(): string {
    return [...this.#lines]
      .flatMap(([{ name, type, help }, lines]) => [
        `# HELP ${name} ${help}`,
        `# TYPE ${name} ${type}`,
        ...lines,
      ])
      .map((line) => `${line}\n`)
      .join('');
  }
}

function escapeLabel(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}

export function metricsText(from: Measurable): string {
  const { status, processes, events, eventsLost } = from;
  const samples = new Samples();
  samples.set(METRICS.build, { version: status.node.version, node: status.node.name }, 1);
  if (status.peer !== null) {
    samples.set(METRICS.peerReachable, { peer: status.peer.name }, status.peer.reachable);
  }
  for (const group of status.groups) addGroup(samples, group, from.journalBytesMax(group.name));
  for (const { kind, group, residentBytes, cpuSeconds } of processes) {
    const labels = { kind, ...(group === null ? {} : { group }) };
    samples.set(METRICS.memory, labels, residentBytes);
    samples.set(METRICS.cpu, labels, cpuSeconds);
  }
  for (const level of ['info', 'warning', 'error']) {
    samples.set(METRICS.events, { level }, events[level] ?? 0);
  }
  samples.set(METRICS.eventsLost, {}, eventsLost);
  return samples.text;
}

function addGroup(samples: Samples, group: GroupStatus, journalBytesMax: number): void {
  const labels = { group: group.name };
  const { local } = group;
  const own = local.status;
  samples.set(METRICS.primary, labels, local.role === 'primary');
  samples.set(METRICS.epoch, labels, group.epoch);
  samples.set(METRICS.running, labels, local.process === 'running');
  for (const state of COPY_STATES) {
    samples.set(METRICS.copy, { ...labels, state }, group.copy === state);
  }
  samples.set(METRICS.connected, labels, group.link === 'connected');
  samples.set(METRICS.alone, labels, group.alone);
  samples.set(METRICS.halted, labels, group.halted !== null);
  samples.set(METRICS.paused, labels, local.failover?.['paused'] === true);
  samples.set(METRICS.troubles, labels, group.troubles.length);
  if (local.role === 'primary') addPrimary(samples, group, labels);
  const journalBytes = own?.['journalBytes'];
  if (local.role === 'standby' && typeof journalBytes === 'number') {
    samples.set(METRICS.journal, labels, journalBytes);
    samples.set(METRICS.journalMax, labels, journalBytesMax);
  }
  const { verify } = group;
  if (verify !== null && verify.endedAtMs > 0) {
    samples.set(METRICS.differences, labels, verify.count);
    samples.set(METRICS.verified, labels, verify.endedAtMs / 1000);
  }
  for (const { name, seen, restarts } of local.agents) {
    const agent = { ...labels, agent: name };
    if (seen !== null) {
      samples.set(METRICS.agentUp, agent, seen.state === 'ok' || seen.state === 'degraded');
      samples.set(METRICS.agentProbe, agent, seen.ms / 1000);
    }
    samples.set(METRICS.agentRestarts, agent, restarts);
  }
}

/** What only the primary knows: told by one node of a pair, not by both. */
function addPrimary(samples: Samples, group: GroupStatus, labels: Labels): void {
  const own = group.local.status;
  if (group.lagMs !== null) samples.set(METRICS.lag, labels, group.lagMs / 1000);
  samples.set(METRICS.backlog, labels, group.backlogBytes);
  samples.set(METRICS.sent, labels, group.wireBytesPerSecond);
  const limit = own?.['limit'] as { rate?: number | null } | undefined;
  samples.set(METRICS.limit, labels, limit?.rate);
  const waitMs = own?.['commitWaitMs'];
  if (typeof waitMs === 'number') samples.set(METRICS.commitWait, labels, waitMs / 1000);
  const { scan } = group;
  if (scan !== null && scan.bytesTotal > 0) {
    samples.set(METRICS.scanDone, labels, Math.min(1, scan.bytes / scan.bytesTotal));
  }
}
