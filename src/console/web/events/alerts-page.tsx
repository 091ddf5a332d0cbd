// Where the nodes send their alerts. Each node tells people itself, so that an alert does not depend on this console: each has its own
// channels, and a new one is best made on both nodes of a pair.
import { Alert, NativeSelect, Skeleton, Stack } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'wouter';
import type { NodeOverview } from '../../fleet/overview.ts';
import { call, nodeRoute } from '../app/api.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { Page } from '../app/ui/page.tsx';
import { alertsKey, type AlertsView } from './alerts-view.ts';
import { Channels } from './channels.tsx';
import { TimingForm } from './timing-form.tsx';

export function AlertsPage() {
  const { t } = useTranslation('alerts');
  const fleet = useFleet();
  const [search, setSearch] = useSearchParams();
  const nodes = fleet.data?.nodes.toSorted((one, other) => one.name.localeCompare(other.name));
  const chosen = nodes?.find(({ id }) => id === search.get('node')) ?? nodes?.[0];
  return (
    <Page title={t('title')} subtitle={t('text')}>
      {fleet.error !== null && <Fault error={fleet.error} />}
      {nodes === undefined && fleet.error === null && <Skeleton height={200} />}
      {nodes !== undefined && chosen === undefined && <Alert>{t('noNodes')}</Alert>}
      {nodes !== undefined && chosen !== undefined && (
        <>
          <NativeSelect
            label={t('node')}
            value={chosen.id}
            onChange={(event) => setSearch({ node: event.currentTarget.value }, { replace: true })}
            data={nodes.map(({ id, name }) => ({ value: id, label: name }))}
            maw={320}
          />
          <NodeAlerts key={chosen.id} node={chosen} />
        </>
      )}
    </Page>
  );
}

function NodeAlerts({ node }: { readonly node: NodeOverview }) {
  const alerts = useQuery({
    queryKey: alertsKey(node.id),
    queryFn: async ({ signal }) => call<AlertsView>(nodeRoute(node.id, '/alerts'), { signal }),
  });
  if (alerts.data === undefined) {
    return alerts.error === null ? (
      <Skeleton height={240} />
    ) : (
      <Fault error={alerts.error} onRetry={() => void alerts.refetch()} />
    );
  }
  return (
    <Stack>
      <Channels node={node} channels={alerts.data.channels} />
      <TimingForm node={node.id} timing={alerts.data.timing} />
    </Stack>
  );
}
