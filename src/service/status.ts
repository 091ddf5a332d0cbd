// What "understudy status" shows: this node, its partner, and every group from both points of view.
import type { PackerStatus } from '../mirror/packer.ts';
import type { VerifyReportData } from '../mirror/verify-report.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { ProcessStatus } from './group-process.ts';
import type { GroupView, NodeInfo } from './node-protocol.ts';
import type { NodeService } from './node-service.ts';
import type { LimitStatus } from './primary-limit.ts';

export interface PeerStatus {
  readonly name: string;
  readonly host: string;
  /** It answered the last time it was asked. */
  readonly reachable: boolean;
  readonly fault: string | null;
  /** How old everything is that is told of it; null: it has not answered since the service was started. */
  readonly ageMs: number | null;
}

/** How far something is that goes through all files; totals are 0 while they are not known. */
export interface CopyProgress {
  readonly files: number;
  readonly filesTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
  readonly rateBytesPerSecond: number;
  readonly secondsLeft: number | null;
}

export interface GroupStatus {
  readonly name: string;
  readonly groupId: string;
  /** Role of the node that was asked. */
  readonly role: GroupView['role'];
  /** Names of the nodes; null when it is not known or there is none. */
  readonly primary: string | null;
  readonly standby: string | null;
  /** The latest that is known: a standby's own process knows it of the stream, before the peer's answer and without one. */
  readonly epoch: number;
  readonly mode: GroupDefinition['replication']['mode'];
  /** `up-to-date`, `catching-up`, `syncing`, `diverged`, `halted`, `empty`, or `unknown`. */
  readonly copy: string;
  readonly link: string;
  readonly linkReason: string | null;
  readonly alone: boolean;
  readonly backlogBytes: number | null;
  readonly lagMs: number | null;
  /** Why nothing is applied to the copy before a person says so. */
  readonly halted: string | null;
  /** A first copy or resync that is going on. */
  readonly scan: CopyProgress | null;
  /** Progress of a comparison whose records are not all in the stream yet. */
  readonly verifying: CopyProgress | null;
  /** The last comparison, as the standby tells it; null: no standby answers. */
  readonly verify: VerifyReportData | null;
  /** The bandwidth limit in force as a sentence; null: none, or no primary answers. */
  readonly limit: string | null;
  /** How many times longer the records are than what was sent for them; null: none compressed. */
  readonly compressionRatio: number | null;
  /** What the primary sends, bytes per second on the wire. */
  readonly wireBytesPerSecond: number | null;
  readonly directories: readonly string[];
  /** What is kept aside on the nodes, the newest first. */
  readonly salvages: readonly { readonly node: string; readonly name: string }[];
  readonly troubles: readonly string[];
  readonly local: GroupView;
  readonly remote: GroupView | null;
}

export interface ServiceStatus {
  readonly node: NodeInfo;
  readonly peer: PeerStatus | null;
  readonly groups: readonly GroupStatus[];
}

/** What is known, at once: the peer's part is as of its last answer, and none while it does not answer. */
export async function collectStatus(service: NodeService): Promise<ServiceStatus> {
  const peer = service.peers.peer;
  service.link.refresh();
  const local = await service.view();
  const { view: remote, fault, ageMs } = service.link.known;
  return {
    node: service.info,
    peer:
      peer === undefined
        ? null
        : { name: peer.name, host: peer.host, reachable: remote !== undefined, fault, ageMs },
    groups: local.groups.map((view) => {
      const seen = remote?.groups.find(({ groupId }) => groupId === view.groupId) ?? null;
      const sinceRoleMs = performance.now() - service.group(view.name).roleSinceMs;
      return groupStatus(service, view, presentView(view, seen, { ageMs, sinceRoleMs }));
    }),
  };
}

/** The same, with the peer asked before: for those who decide by what it says. */
export async function freshStatus(service: NodeService): Promise<ServiceStatus> {
  await service.link.poll();
  return collectStatus(service);
}

/**
 * What the peer said of a group, unless it is as of before this node was promoted: a primary that died would look like a second one.
 * `sinceRoleMs`: since the last change of this node's role.
 */
export function presentView(
  local: Pick<GroupView, 'role'>,
  remote: GroupView | null,
  { ageMs, sinceRoleMs }: { readonly ageMs: number | null; readonly sinceRoleMs: number },
): GroupView | null {
  const isBefore = ageMs === null || ageMs > sinceRoleMs;
  return isBefore && local.role === 'primary' && remote?.role === 'primary' ? null : remote;
}

function groupStatus(
  service: NodeService,
  local: GroupView,
  remote: GroupView | null,
): GroupStatus {
  const { definition } = service.group(local.name);
  const names = { local: service.config.name, remote: service.peers.peer?.name ?? null };
  const primary = statusOf('primary', local, remote);
  const standby = statusOf('standby', local, remote);
  const peerTrouble = remote?.trouble ?? null;
  const scanFault = textOrNull(primary?.['scanFault']);
  return {
    name: local.name,
    groupId: local.groupId,
    role: local.role,
    primary: nodeIn('primary', local, remote, names),
    standby: nodeIn('standby', local, remote, names),
    epoch: Math.max(local.epoch, remote?.epoch ?? 0, numberOrNull(standby?.['epoch']) ?? 0),
    mode: definition.replication.mode,
    copy: shownCopy(primary, standby),
    link: shownLink(primary, local.role === 'standby' ? local.status : null),
    linkReason: textOrNull(primary?.['linkReason']),
    alone: primary?.['alone'] === true,
    backlogBytes: numberOrNull(primary?.['backlogBytes']),
    lagMs: numberOrNull(primary?.['lagMs']),
    halted: haltedSince(standby),
    scan: (primary?.['scan'] ?? null) as CopyProgress | null,
    verifying: (primary?.['verify'] ?? null) as CopyProgress | null,
    verify: (standby?.['verify'] ?? null) as VerifyReportData | null,
    limit: limitOf(primary),
    compressionRatio: ratioOf(primary),
    wireBytesPerSecond: numberOrNull(
      (primary?.['rates'] as ProcessStatus | undefined)?.['wireBytesPerSecond'],
    ),
    directories: definition.directories.map(({ dir }) => dir),
    salvages: [
      ...local.salvages.map((name) => ({ node: names.local, name })),
      ...(remote?.salvages ?? []).map((name) => ({ node: names.remote ?? '?', name })),
    ],
    troubles: [
      ...(local.trouble === null ? [] : [`${names.local}: ${local.trouble}`]),
      ...(peerTrouble === null ? [] : [`${names.remote ?? '?'}: ${peerTrouble}`]),
      ...(scanFault === null ? [] : [scanFault]),
    ],
    local,
    remote,
  };
}

/**
 * Both nodes were asked, at different moments: a standby that had everything when its primary went away
 * says so until the next hello, which may be the beginning of a scan. Once they are connected, the copy is
 * up to date when both say so.
 */
export function shownCopy(primary: ProcessStatus | null, standby: ProcessStatus | null): string {
  const heard = (primary?.['standby'] as ProcessStatus | null | undefined)?.['copy'];
  const told = standby?.['copy'];
  if (told === undefined) return String(heard ?? 'unknown');
  const isDoubted = told === 'up-to-date' && primary?.['link'] === 'connected';
  return String(isDoubted ? (heard ?? 'catching-up') : told);
}

/** The primary knows more about its link; that it is there is not believed when this node's own standby has lost it. */
export function shownLink(primary: ProcessStatus | null, ownStandby: ProcessStatus | null): string {
  const told = primary?.['link'];
  const own = ownStandby?.['link'];
  const isDoubted = told === 'connected' && own !== undefined && own !== 'connected';
  return String((isDoubted ? own : (told ?? own)) ?? 'unknown');
}

function haltedSince(standby: ProcessStatus | null): string | null {
  const halt = standby?.['halted'] as { since: string; sentence: string } | null | undefined;
  return halt == null ? null : `${halt.sentence} (it began at ${halt.since})`;
}

function statusOf(
  role: GroupView['role'],
  local: GroupView,
  remote: GroupView | null,
): ProcessStatus | null {
  if (local.role === role) return local.status;
  return remote?.role === role ? remote.status : null;
}

function nodeIn(
  role: GroupView['role'],
  local: GroupView,
  remote: GroupView | null,
  names: { local: string; remote: string | null },
): string | null {
  // With a split brain the later one leads.
  if (local.role === role && (remote?.role !== role || local.epoch >= remote.epoch)) {
    return names.local;
  }
  return remote?.role === role ? names.remote : null;
}

function limitOf(primary: ProcessStatus | null): string | null {
  const limit = primary?.['limit'] as Partial<LimitStatus> | undefined;
  return limit === undefined || limit.rate === null ? null : textOrNull(limit.why);
}

function ratioOf(primary: ProcessStatus | null): number | null {
  const seen = primary?.['compression'] as Partial<PackerStatus> | null | undefined;
  const { recordsBytes = 0, sentBytes = 0, packedFrames = 0 } = seen ?? {};
  return packedFrames === 0 ? null : Math.round((recordsBytes / sentBytes) * 100) / 100;
}

function textOrNull(value: unknown): string | null {
  return typeof value === 'string' ? value : null;
}

function numberOrNull(value: unknown): number | null {
  return typeof value === 'number' ? value : null;
}
