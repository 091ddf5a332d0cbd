// One group: how it is, what it did, what can be done with it.
import { Alert, Skeleton, Tabs } from '@mantine/core';
import { IconHistoryToggle } from '@tabler/icons-react';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation, useParams } from 'wouter';
import type { GroupOverview } from '../../fleet/overview.ts';
import { useFleet, useGroup } from '../app/fleet-data.tsx';
import { formatDuration } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { here, later } from '../app/later.tsx';
import { NotFound } from '../app/not-found.tsx';
import { LevelBadge } from '../app/ui/level.tsx';
import { Page } from '../app/ui/page.tsx';
import { GroupDetailProvider, useFreshness } from './group-detail.tsx';
import { OperationsProvider } from './operations/operations-provider.tsx';
import { OperationButtons } from './operations/operation-buttons.tsx';
import { RunningOperations } from './operations/running-operations.tsx';
import { OverviewTab } from './overview-tab.tsx';
import { Problems } from './problems.tsx';
import './group.css';

const TABS = {
  overview: here(OverviewTab),
  charts: later(async () => (await import('./charts-tab.tsx')).ChartsTab),
  earlier: later(async () => (await import('./earlier-tab.tsx')).EarlierTab),
  bandwidth: later(async () => (await import('./bandwidth-tab.tsx')).BandwidthTab),
  settings: later(async () => (await import('./settings-tab.tsx')).SettingsTab),
} as const;
type TabName = keyof typeof TABS;
const TAB_NAMES = Object.keys(TABS) as TabName[];

export function GroupPage() {
  const { group: id = '', tab } = useParams();
  const { isPending } = useFleet();
  const overview = useGroup(id);
  if (overview === undefined) return isPending ? <Skeleton height={320} /> : <NotFound />;
  const shown = TAB_NAMES.find((name) => name === tab) ?? 'overview';
  return (
    <GroupDetailProvider overview={overview} key={id}>
      <OperationsProvider>
        <Frame overview={overview} tab={shown} />
      </OperationsProvider>
    </GroupDetailProvider>
  );
}

function Frame({ overview, tab }: { readonly overview: GroupOverview; readonly tab: TabName }) {
  const { t } = useTranslation('group');
  const [, navigate] = useLocation();
  const { name, level, mode, groupId } = overview;
  const Content = TABS[tab];
  return (
    <Page
      title={name}
      badge={<LevelBadge level={level} label={t(`levelLong.${level}`)} />}
      trail={[{ label: t('nav.fleet', { ns: 'common' }), to: '/' }]}
      subtitle={t(`mode.${mode}`)}
      actions={<OperationButtons />}
    >
      <Freshness overview={overview} />
      <Problems />
      <RunningOperations />
      <Tabs
        value={tab}
        onChange={(next) =>
          navigate(next === 'overview' ? `/groups/${groupId}` : `/groups/${groupId}/${next ?? ''}`)
        }
        keepMounted={false}
      >
        <Tabs.List aria-label={name} className="group-tabs">
          {TAB_NAMES.map((one) => (
            <Tabs.Tab value={one} key={one}>
              {t(`tab.${one}`)}
            </Tabs.Tab>
          ))}
        </Tabs.List>
        <Tabs.Panel value={tab} pt="md">
          <Content waiting={<Skeleton height={320} />} />
        </Tabs.Panel>
      </Tabs>
    </Page>
  );
}

/** Says it first when what follows is old. */
function Freshness({ overview }: { readonly overview: GroupOverview }): ReactNode {
  const { t } = useTranslation('group');
  const { isFresh, ageMs, node } = useFreshness(overview);
  // The banner of the connection says it already when this window hears nothing.
  if (isFresh || node === null) return null;
  return (
    <Alert color="red" icon={<IconHistoryToggle aria-hidden />} title={t('old.title', { node })}>
      {t('old.text', { age: formatDuration(ageMs, currentLanguage()) })}
    </Alert>
  );
}
