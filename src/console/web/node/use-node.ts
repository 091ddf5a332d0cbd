// What a node says of itself, asked again while somebody looks.
import { useQuery } from '@tanstack/react-query';
import type { NodeHealth } from '../../../service/node-health/node-health.ts';
import type { ServiceStatus } from '../../../service/status.ts';
import { call, nodeRoute } from '../app/api.ts';

const HEALTH_INTERVAL_MS = 5000;

export function useHealth(node: string) {
  return useQuery({
    queryKey: ['health', node],
    queryFn: async ({ signal }) => call<NodeHealth>(nodeRoute(node, '/node'), { signal }),
    refetchInterval: HEALTH_INTERVAL_MS,
  });
}

export function useNodeStatus(node: string) {
  return useQuery({
    queryKey: ['status', node],
    queryFn: async ({ signal }) => call<ServiceStatus>(nodeRoute(node, '/status'), { signal }),
    refetchInterval: HEALTH_INTERVAL_MS,
  });
}
