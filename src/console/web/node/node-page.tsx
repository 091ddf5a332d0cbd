// One node: how its machine is, what Understudy does on it, and with whom it is paired.
import { Alert, Button, Skeleton, Stack } from '@mantine/core';
import { IconCloudOff, IconPlus } from '@tabler/icons-react';
import type { TFunction } from 'i18next';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { Link, useLocation, useParams } from 'wouter';
import type { NodeOverview } from '../../fleet/overview.ts';
import { useFleet, useNode } from '../app/fleet-data.tsx';
import { formatDuration } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { useMay } from '../app/session.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { LevelBadge } from '../app/ui/level.tsx';
import { Page } from '../app/ui/page.tsx';
import { BandwidthEditor } from '../bandwidth/bandwidth-editor.tsx';
import { RoutedTabs } from '../common/routed-tabs.tsx';
import { DisksSection } from './disks-section.tsx';
import { DoctorSection } from './doctor-section.tsx';
import { HealthSection } from './health-section.tsx';
import { NetworkSection } from './network-section.tsx';
import { NodeGroups } from './node-groups.tsx';
import { PairingSection } from './pairing-section.tsx';
import { ProcessesSection } from './processes-section.tsx';
import { useHealth } from './use-node.ts';

const TABS = ['overview', 'network', 'bandwidth', 'doctor', 'pairing'] as const;
type Tab = (typeof TABS)[number];

export function NodePage() {
  const { t } = useTranslation('node');
  const { node = '', tab = 'overview' } = useParams<{ node: string; tab?: string }>();
  const [, go] = useLocation();
  const fleet = useFleet();
  const known = useNode(node);
  const mayCreate = useMay('administrator');
  const shown = TABS.find((one) => one === tab) ?? 'overview';
  if (known === undefined) {
    return (
      <Page title={t('title')} trail={[{ label: t('fleet'), to: '/' }]}>
        {fleet.isPending ? <Skeleton height={200} /> : <Alert color="yellow">{t('unknown')}</Alert>}
        {fleet.error !== null && <Fault error={fleet.error} />}
      </Page>
    );
  }
  return (
    <Page
      title={known.name}
      badge={<LevelBadge level={known.level} />}
      trail={[
        { label: t('fleet'), to: '/' },
        { label: t('nodes'), to: '/nodes' },
      ]}
      subtitle={subtitleOf(known, t)}
      actions={
        mayCreate &&
        known.peerName !== null && (
          <Button
            component={Link}
            href={`/create?node=${node}`}
            leftSection={<IconPlus size={16} aria-hidden />}
          >
            {t('createHere')}
          </Button>
        )
      }
    >
      <Unreachable node={known} />
      <RoutedTabs
        tabs={TABS}
        value={shown}
        label={(one) => t(`tab.${one}`)}
        onChange={(one) => go(`/nodes/${node}/${one}`)}
      >
        <TabBody tab={shown} node={known} />
      </RoutedTabs>
    </Page>
  );
}

function subtitleOf({ where, version, peerName }: NodeOverview, t: TFunction<'node'>): string {
  return [
    where,
    version === null ? '' : t('version', { version }),
    peerName === null ? t('notPaired') : t('pairedWith', { peer: peerName }),
  ]
    .filter((part) => part !== '')
    .join(' · ');
}

/** What is shown below is old: of when. */
function Unreachable({ node }: { readonly node: NodeOverview }) {
  const { t } = useTranslation('node');
  if (node.isReachable) return null;
  const age =
    node.ageMs === null
      ? t('neverSeen')
      : t('lastSeen', { age: formatDuration(node.ageMs, currentLanguage()) });
  return (
    <Alert
      color="red"
      icon={<IconCloudOff aria-hidden />}
      title={t('unreachable', { node: node.name })}
      role="alert"
    >
      {node.fault === null ? '' : `${node.fault.message}. `}
      {age}
    </Alert>
  );
}

function TabBody({ tab, node }: { readonly tab: Tab; readonly node: NodeOverview }): ReactNode {
  switch (tab) {
    case 'overview':
      return <Overview node={node} />;
    case 'network':
      return <NetworkSection node={node.id} />;
    case 'bandwidth':
      return <BandwidthEditor target={{ kind: 'node', node: node.id, name: node.name }} />;
    case 'doctor':
      return <DoctorSection node={node.id} />;
    case 'pairing':
      return <PairingSection node={node} />;
  }
}

function Overview({ node }: { readonly node: NodeOverview }) {
  const health = useHealth(node.id);
  if (health.data === undefined) {
    return health.error === null ? (
      <Stack>
        <Skeleton height={140} />
        <Skeleton height={200} />
      </Stack>
    ) : (
      <Fault error={health.error} onRetry={() => void health.refetch()} />
    );
  }
  return (
    <Stack gap="md">
      {health.error !== null && <Fault error={health.error} />}
      <HealthSection health={health.data} />
      <NodeGroups node={node} />
      <DisksSection health={health.data} />
      <ProcessesSection health={health.data} />
    </Stack>
  );
}
