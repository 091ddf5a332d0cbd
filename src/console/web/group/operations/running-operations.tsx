// What runs for this group now, whoever started it, and from where.
import { useQueries, useQueryClient } from '@tanstack/react-query';
import { Text } from '@mantine/core';
import { useEffect } from 'react';
import { useTranslation } from 'react-i18next';
import type { OperationView } from '../../../../service/admin-api/operations.ts';
import { call, nodeRoute } from '../../app/api.ts';
import { useLive } from '../../app/fleet-data.tsx';
import { useGroupDetail } from '../group-detail.tsx';
import { OperationProgressBar } from './operation-progress.tsx';

const REFRESH_MS = 20_000;

export function RunningOperations() {
  const { t } = useTranslation('group');
  const { overview, nodes } = useGroupDetail();
  const running = useRunning(
    nodes.flatMap(({ id }) => id ?? []),
    overview.name,
  );
  if (running.length === 0) return null;
  return (
    <section className="card" aria-label={t('running')}>
      {running.map((view) => (
        <div key={view.id} className="running">
          <OperationProgressBar view={view} />
          <Text size="xs" c="dimmed">
            {t('startedBy', { by: view.by })}
          </Text>
        </div>
      ))}
    </section>
  );
}

function useRunning(nodes: readonly string[], group: string): readonly OperationView[] {
  const client = useQueryClient();
  const live = useLive();
  useEffect(
    () =>
      live.onOperation(({ node, operation }) => {
        client.setQueryData<readonly OperationView[]>(['operations', node], (before = []) => [
          operation,
          ...before.filter(({ id }) => id !== operation.id),
        ]);
      }),
    [client, live],
  );
  const answers = useQueries({
    queries: nodes.map((node) => ({
      queryKey: ['operations', node],
      queryFn: async ({ signal }: { signal: AbortSignal }) =>
        call<readonly OperationView[]>(nodeRoute(node, '/operations'), { signal }),
      refetchInterval: REFRESH_MS,
    })),
  });
  return answers.flatMap(({ data }) =>
    (data ?? []).filter((view) => view.group === group && view.state === 'running'),
  );
}
