import { GroupCharts } from '../charts/group-charts.tsx';
import { useGroupDetail } from './group-detail.tsx';
import { primaryAgents } from './probe-history.ts';

export function ChartsTab() {
  const { overview, status, viewOf } = useGroupDetail();
  const limit = viewOf(overview.primary)?.status?.['limit'] as { rate?: number | null } | undefined;
  return (
    <GroupCharts
      group={overview.name}
      primaryId={overview.primaryId}
      standbyId={overview.standbyId}
      hasAgents={primaryAgents(status).length > 0}
      limit={limit?.rate ?? null}
    />
  );
}
