// `understudy limit`: shows and changes the bandwidth limit of a group or of this node. That of a group may be set on
// either node: the other one takes the newer limit over when the nodes look at each other, within a few seconds.
import { defineBandwidth } from './bandwidth-input.ts';
import { type Bandwidth, rateText, windowText } from './bandwidth.ts';
import type { GroupShare } from './node-limit.ts';
import type { GroupView } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';
import type { LimitStatus } from './primary-limit.ts';

export interface LimitView {
  readonly group: string;
  /** What is set: rates in bytes per second, null for unlimited. */
  readonly set: Bandwidth;
  /** The same as sentences. */
  readonly lines: readonly string[];
  /** Null while no primary can be asked. */
  readonly inForce: (LimitStatus & { readonly node: string }) | null;
  /** False: the primary has not taken the limit over yet. */
  readonly isTaken: boolean;
  /** Bytes per second on the wire in the last second. */
  readonly wireBytesPerSecond: number | null;
}

/** Errors: GROUP_UNKNOWN. */
export async function showLimit(service: NodeService, group: string): Promise<LimitView> {
  const runtime = service.group(group);
  const [local, remote] = await Promise.all([runtime.view(), service.link.askAbout(group)]);
  const other = typeof remote === 'object' ? remote : undefined;
  const [view, node]: [GroupView | undefined, string] =
    local.role === 'primary'
      ? [local, service.config.name]
      : [other?.role === 'primary' ? other : undefined, service.peers.peer?.name ?? '?'];
  const limit = (view?.status?.['limit'] ?? null) as LimitStatus | null;
  const rates = view?.status?.['rates'] as { wireBytesPerSecond?: number } | undefined;
  const set = runtime.definition.replication.bandwidth;
  return {
    group,
    set,
    lines: linesOf(set),
    inForce: limit === null ? null : { ...limit, node },
    isTaken: limit?.revision === set.revision,
    wireBytesPerSecond: rates?.wireBytesPerSecond ?? null,
  };
}

/**
 * Sets the limit of a group for good, without a restart. Errors: GROUP_UNKNOWN, BANDWIDTH_INVALID,
 * RATE_INVALID.
 */
export async function changeLimit(
  service: NodeService,
  group: string,
  input: unknown,
): Promise<LimitView> {
  const runtime = service.group(group);
  const { revision } = runtime.definition.replication.bandwidth;
  // The other node may have had a change that is not known here yet: the later one counts.
  const next = Math.max(revision + 1, Date.now());
  const bandwidth = { ...defineBandwidth(input, `group "${group}"`), revision: next };
  await runtime.bandwidth.change(bandwidth);
  const what = linesOf(bandwidth).join('; ');
  service.emit('info', 'LIMIT_SET', `group "${group}": bandwidth limit ${what}`, { group });
  return showLimit(service, group);
}

export interface NodeLimitView {
  readonly node: string;
  readonly set: Omit<Bandwidth, 'revision'>;
  readonly lines: readonly string[];
  /** Bytes per second; null: no limit now. */
  readonly rate: number | null;
  /** Of each group whose primary is here. */
  readonly shares: readonly GroupShare[];
}

export function showNodeLimit({ config, limit }: NodeService): NodeLimitView {
  const { bandwidth: set, rate, shares } = limit;
  return { node: config.name, set, lines: linesOf(set), rate, shares };
}

/** Sets the limit of this node for good. Errors: BANDWIDTH_INVALID, RATE_INVALID, CONFIG_INVALID. */
export async function changeNodeLimit(
  service: NodeService,
  input: unknown,
): Promise<NodeLimitView> {
  await service.limit.change(input);
  const view = showNodeLimit(service);
  service.emit('info', 'LIMIT_SET', `this node: bandwidth limit ${view.lines.join('; ')}`);
  return view;
}

function linesOf({ rate, schedule }: Pick<Bandwidth, 'rate' | 'schedule'>): string[] {
  if (schedule.length === 0) return [rateText(rate)];
  return [...schedule.map(windowText), `otherwise ${rateText(rate)}`];
}
