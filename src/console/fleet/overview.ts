// The fleet at one moment, made of what each node said last. A group is told once, from the point of view of its primary if that
// node answers. Pure.
import type { GroupStatus, ServiceStatus } from '../../service/status.ts';
import { type Level, LEVELS, type Problem, problem, problemsOf, worst } from './problems.ts';

/** What is known of a node. */
export interface NodeKnowledge {
  /** The console's id of it. */
  readonly id: string;
  readonly name: string;
  readonly where: string;
  readonly isReachable: boolean;
  /** Null while it answers. */
  readonly fault: { readonly code: string; readonly message: string } | null;
  /** Wall clock of the last answer, ms; null: never. */
  readonly seenMs: number | null;
  readonly status: ServiceStatus | null;
}

export interface NodeOverview {
  readonly id: string;
  readonly name: string;
  readonly where: string;
  readonly isReachable: boolean;
  readonly fault: NodeKnowledge['fault'];
  readonly seenAt: string | null;
  /** Of what is shown of it; null: nothing is. */
  readonly ageMs: number | null;
  readonly version: string | null;
  /** Of Understudy, not of the console. */
  readonly nodeId: string | null;
  readonly peerName: string | null;
  /** The console's id of the partner, if it knows it. */
  readonly peerId: string | null;
  readonly level: Level;
  readonly problems: readonly Problem[];
}

export interface GroupOverview {
  readonly groupId: string;
  readonly name: string;
  /** The console's id of the node whose point of view this is. */
  readonly seenFrom: string;
  /** Console ids; null: not known, or the console does not have that node. */
  readonly primaryId: string | null;
  readonly standbyId: string | null;
  readonly primary: string | null;
  readonly standby: string | null;
  readonly epoch: number;
  readonly mode: GroupStatus['mode'];
  readonly copy: string;
  readonly link: string;
  readonly lagMs: number | null;
  readonly backlogBytes: number | null;
  readonly wireBytesPerSecond: number | null;
  readonly scan: GroupStatus['scan'];
  readonly isManaged: boolean;
  readonly isPaused: boolean;
  readonly directories: readonly string[];
  /** The node that this comes from does not answer now: old data. */
  readonly isStale: boolean;
  readonly ageMs: number;
  readonly level: Level;
  readonly problems: readonly Problem[];
}

export interface FleetOverview {
  readonly at: string;
  readonly counts: {
    readonly nodes: number;
    readonly nodesUnreachable: number;
    readonly groups: number;
    readonly byLevel: Readonly<Record<Level, number>>;
  };
  /** Worst first, then by name. */
  readonly nodes: readonly NodeOverview[];
  readonly groups: readonly GroupOverview[];
}

export function fleetOverview(nodes: readonly NodeKnowledge[], nowMs: number): FleetOverview {
  const views = nodes.map((node) => nodeOverview(node, nodes, nowMs)).toSorted(worstFirst);
  const groups = groupOverviews(nodes, nowMs);
  const byLevel = { ok: 0, info: 0, warning: 0, error: 0 };
  for (const { level } of groups) byLevel[level] += 1;
  return {
    at: new Date(nowMs).toISOString(),
    counts: {
      nodes: nodes.length,
      nodesUnreachable: nodes.filter(({ isReachable }) => !isReachable).length,
      groups: groups.length,
      byLevel,
    },
    nodes: views,
    groups,
  };
}

function nodeOverview(
  node: NodeKnowledge,
  all: readonly NodeKnowledge[],
  nowMs: number,
): NodeOverview {
  const { id, where, isReachable, fault, seenMs, status } = node;
  const problems = nodeProblems(node);
  const peerName = status?.peer?.name ?? null;
  return {
    id,
    name: status?.node.name ?? node.name,
    where,
    isReachable,
    fault,
    seenAt: seenMs === null ? null : new Date(seenMs).toISOString(),
    ageMs: seenMs === null ? null : Math.max(0, nowMs - seenMs),
    version: status?.node.version ?? null,
    nodeId: status?.node.id ?? null,
    peerName,
    peerId: peerName === null ? null : (partnerOf(node, all)?.id ?? null),
    level: worst(problems.map(({ level }) => level)),
    problems,
  };
}

function nodeProblems({ isReachable, fault, status }: NodeKnowledge): Problem[] {
  const found: Problem[] = [];
  if (!isReachable) {
    const params = { reason: fault?.message ?? '', code: fault?.code ?? 'NODE_UNREACHABLE' };
    found.push(problem('error', 'NODE_UNREACHABLE', params));
    return found;
  }
  if (status === null) return found;
  if (status.peer === null) found.push(problem('info', 'NOT_PAIRED'));
  else if (!status.peer.reachable && status.peer.fault !== null) {
    const params = { peer: status.peer.name, reason: status.peer.fault };
    found.push(problem('error', 'PEER_UNREACHABLE', params));
  }
  return found;
}

/** The other node of the pair: it has the name that this one says, and says this one's. */
function partnerOf(
  { id, status }: NodeKnowledge,
  all: readonly NodeKnowledge[],
): NodeKnowledge | undefined {
  return all.find(
    (other) =>
      other.id !== id &&
      other.status !== null &&
      other.status.node.name === status?.peer?.name &&
      other.status.peer?.name === status.node.name,
  );
}

function groupOverviews(nodes: readonly NodeKnowledge[], nowMs: number): GroupOverview[] {
  const byGroup = new Map<string, { node: NodeKnowledge; group: GroupStatus }[]>();
  for (const node of nodes) {
    for (const group of node.status?.groups ?? []) {
      byGroup.set(group.groupId, [...(byGroup.get(group.groupId) ?? []), { node, group }]);
    }
  }
  return [...byGroup.values()]
    .map((views) => groupOverview(views, nodes, nowMs))
    .toSorted(worstFirst);
}

function groupOverview(
  views: readonly { node: NodeKnowledge; group: GroupStatus }[],
  nodes: readonly NodeKnowledge[],
  nowMs: number,
): GroupOverview {
  const [best] = views.toSorted((one, other) => rank(other) - rank(one));
  if (best === undefined) throw new TypeError('a group that no node has');
  const { node, group } = best;
  const stale: Problem[] = node.isReachable
    ? []
    : [problem('error', 'STALE', { node: node.status?.node.name ?? node.name })];
  const problems = [...stale, ...problemsOf(group)];
  const partner = partnerOf(node, nodes);
  const idOf = (name: string | null): string | null => {
    if (name === null) return null;
    if (name === node.status?.node.name) return node.id;
    return name === partner?.status?.node.name ? partner.id : null;
  };
  return {
    groupId: group.groupId,
    name: group.name,
    seenFrom: node.id,
    primaryId: idOf(group.primary),
    standbyId: idOf(group.standby),
    primary: group.primary,
    standby: group.standby,
    epoch: group.epoch,
    mode: group.mode,
    copy: group.copy,
    link: group.link,
    lagMs: group.lagMs,
    backlogBytes: group.backlogBytes,
    wireBytesPerSecond: group.wireBytesPerSecond,
    scan: group.scan,
    isManaged: group.local.failover !== null,
    isPaused: problems.some(({ code }) => code === 'PAUSED'),
    directories: group.directories,
    isStale: !node.isReachable,
    ageMs: Math.max(0, nowMs - (node.seenMs ?? 0)),
    level: worst(problems.map(({ level }) => level)),
    problems,
  };
}

/** Who knows best: a node that answers, the primary of the later epoch, who looked last. */
function rank({ node, group }: { node: NodeKnowledge; group: GroupStatus }): number {
  const isPrimary = group.role === 'primary' ? 1 : 0;
  return (
    (node.isReachable ? 1e15 : 0) +
    group.local.epoch * 1e5 +
    isPrimary * 1e4 +
    ((node.seenMs ?? 0) % 1e4) / 1e4
  );
}

function worstFirst(
  one: { readonly level: Level; readonly name: string },
  other: { readonly level: Level; readonly name: string },
): number {
  const difference = LEVELS.indexOf(other.level) - LEVELS.indexOf(one.level);
  return difference === 0 ? one.name.localeCompare(other.name) : difference;
}
