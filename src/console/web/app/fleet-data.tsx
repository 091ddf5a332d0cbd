// The fleet as every page has it: asked for once, then kept by the live stream.
import { type UseQueryResult, useQuery, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, use, useEffect, useState } from 'react';
import type { FleetOverview, GroupOverview, NodeOverview } from '../../fleet/overview.ts';
import { call } from './api.ts';
import { FLEET_KEY, LiveFleet, type LiveState, useLiveState } from './live.ts';
import { takeClock } from './server-clock.ts';

const LiveContext = createContext<LiveFleet | null>(null);

export function LiveProvider({ children }: { readonly children: ReactNode }) {
  const client = useQueryClient();
  const [live] = useState(() => new LiveFleet(client));
  useEffect(() => {
    live.follower.start();
    return () => live.follower.stop();
  }, [live]);
  return <LiveContext value={live}>{children}</LiveContext>;
}

export function useLive(): LiveFleet {
  const live = use(LiveContext);
  if (live === null) throw new TypeError('outside of LiveProvider');
  return live;
}

/** Whether what is shown is kept up to date, and when the console was last heard. */
export function useConnection(): LiveState {
  return useLiveState(useLive().follower);
}

export function useFleet(): UseQueryResult<FleetOverview> {
  return useQuery({ queryKey: FLEET_KEY, queryFn: loadFleet, staleTime: Number.POSITIVE_INFINITY });
}

export async function loadFleet(): Promise<FleetOverview> {
  const fleet = await call<FleetOverview>('/fleet');
  takeClock(fleet.at);
  return fleet;
}

export function useGroup(groupId: string): GroupOverview | undefined {
  return useFleet().data?.groups.find((group) => group.groupId === groupId);
}

export function useNode(id: string | null): NodeOverview | undefined {
  return useFleet().data?.nodes.find((node) => node.id === id);
}
