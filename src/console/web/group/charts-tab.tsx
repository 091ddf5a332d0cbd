import { GroupCharts } from '../charts/group-charts.tsx';
import { limitInForce, useGroupDetail } from './group-detail.tsx';
import { primaryAgents } from './probe-history.ts';

export function ChartsTab() {
  const detail = useGroupDetail();
  const { overview, status } = detail;
  return (
    <GroupCharts
      group={overview.name}
      primaryId={overview.primaryId}
      standbyId={overview.standbyId}
      hasAgents={primaryAgents(status).length > 0}
      limit={limitInForce(detail)?.rate ?? null}
    />
  );
}
