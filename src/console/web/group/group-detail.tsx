// Everything about one group while its page is open: its overview, the status and the traffic of the node that knows it best, what its
// probes saw, its definition.
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, use, useEffect, useMemo, useState } from 'react';
import type { z } from 'zod';
import type { GroupOverview } from '../../fleet/overview.ts';
import type { LimitStatus } from '../../../service/primary-limit.ts';
import type { Traffic } from '../../../service/admin-api/stream.ts';
import type { GroupDefinition } from '../../../service/group-definition.ts';
import type { GroupView, seenSchema } from '../../../service/node-protocol.ts';
import type { GroupStatus, ServiceStatus } from '../../../service/status.ts';
import { call, nodeRoute } from '../app/api.ts';
import { useConnection, useNode } from '../app/fleet-data.tsx';
import { StreamFollower } from '../app/live.ts';
import { ageOf, useServerNow } from '../app/server-clock.ts';
import { noteProbes, type ProbeHistory } from './probe-history.ts';

export type Seen = z.infer<typeof seenSchema>;

const TRAFFIC_KEPT = 120;
/** A break of the connection that is shorter is not called one. */
const BREAK_MS_MIN = 3000;

/** A node of the pair; without an id this console does not have it. */
export interface PairNode {
  readonly id: string | null;
  readonly name: string;
}

export interface GroupDetail {
  readonly overview: GroupOverview;
  /** As the node tells it that the overview comes from; undefined: not heard yet. */
  readonly status: GroupStatus | undefined;
  readonly definition: GroupDefinition | undefined;
  readonly traffic: readonly Traffic[];
  readonly probes: ProbeHistory;
  /** Both nodes of the pair, as far as this console has them; the one that tells of the group first. */
  readonly nodes: readonly PairNode[];
  /** What a node says of the group, by the name of the node. */
  readonly viewOf: (node: string | null) => GroupView | null;
}

const DetailContext = createContext<GroupDetail | null>(null);

export function GroupDetailProvider({
  overview,
  children,
}: {
  readonly overview: GroupOverview;
  readonly children: ReactNode;
}) {
  const { seenFrom: node, name } = overview;
  const { status, traffic, probes } = useFollowed(node, name);
  const { data: definition } = useQuery({
    queryKey: ['definition', node, overview.groupId],
    queryFn: async ({ signal }) =>
      call<{ definition: GroupDefinition }>(nodeRoute(node, `/groups/${name}`), { signal }),
    enabled: !overview.isStale,
    staleTime: 30_000,
  });
  const known = definition?.definition;
  const nodes = usePair(node);
  const detail = useMemo<GroupDetail>(
    () => ({
      overview,
      status,
      definition: known,
      traffic,
      probes,
      nodes,
      viewOf: (wanted) => viewOf(status, nodes, wanted),
    }),
    [overview, status, known, traffic, probes, nodes],
  );
  return <DetailContext value={detail}>{children}</DetailContext>;
}

function usePair(node: string): readonly PairNode[] {
  const asked = useNode(node);
  const { name, peerName, peerId } = asked ?? { name: null, peerName: null, peerId: null };
  return useMemo(
    () => [
      ...(name === null ? [] : [{ id: node, name }]),
      ...(peerName === null ? [] : [{ id: peerId, name: peerName }]),
    ],
    [node, name, peerName, peerId],
  );
}

/** `local` is that of the node that was asked, the first of the pair. */
function viewOf(
  status: GroupStatus | undefined,
  nodes: readonly PairNode[],
  wanted: string | null,
): GroupView | null {
  if (status === undefined || wanted === null) return null;
  return nodes[0]?.name === wanted ? status.local : status.remote;
}

/** The bandwidth limit in force, as the primary tells it; undefined: it tells none. */
export function limitInForce(detail: GroupDetail): LimitStatus | undefined {
  return detail.viewOf(detail.overview.primary)?.status?.['limit'] as LimitStatus | undefined;
}

export function useGroupDetail(): GroupDetail {
  const detail = use(DetailContext);
  if (detail === null) throw new TypeError('outside of GroupDetailProvider');
  return detail;
}

interface Followed {
  readonly status: GroupStatus | undefined;
  readonly traffic: readonly Traffic[];
  readonly probes: ProbeHistory;
}
const NOTHING: Followed = { status: undefined, traffic: [], probes: {} };

function useFollowed(node: string, group: string): Followed {
  const client = useQueryClient();
  const [followed, setFollowed] = useState<Followed>(NOTHING);
  useEffect(() => {
    const follower = new StreamFollower(nodeRoute(node, '/stream'), (name, data) => {
      if (name === 'status') {
        client.setQueryData(['status', node], data);
        const status = (data as ServiceStatus).groups.find((one) => one.name === group);
        setFollowed((before) => ({
          ...before,
          status,
          probes: noteProbes(before.probes, status),
        }));
      } else if (name === 'traffic') {
        setFollowed((before) => ({
          ...before,
          traffic: [...before.traffic.slice(-TRAFFIC_KEPT + 1), data as Traffic],
        }));
      }
    });
    follower.start();
    return () => follower.stop();
  }, [client, group, node]);
  return followed;
}

/** Whether what is shown of a group is as of now, and if not how old it is. */
export function useFreshness(overview: GroupOverview): {
  readonly isFresh: boolean;
  readonly ageMs: number;
  /** The node that does not answer; null: it is this window that hears nothing. */
  readonly node: string | null;
} {
  const now = useServerNow();
  const { phase, heardMs } = useConnection();
  const seenFrom = useNode(overview.seenFrom);
  if (overview.isStale) {
    const seenAt = seenFrom?.seenAt ?? null;
    const ageMs = seenAt === null ? overview.ageMs : ageOf(seenAt, now);
    return { isFresh: false, ageMs, node: seenFrom?.name ?? null };
  }
  const silentMs = heardMs === null ? 0 : Math.max(0, now - heardMs);
  return { isFresh: phase === 'live' || silentMs < BREAK_MS_MIN, ageMs: silentMs, node: null };
}
