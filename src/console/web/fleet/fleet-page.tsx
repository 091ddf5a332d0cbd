// Everything that is protected, the worst first.
import { Anchor, Button, Group, Skeleton, Stack, Text, TextInput, Title } from '@mantine/core';
import { IconPlus, IconSearch, IconServerBolt, IconX } from '@tabler/icons-react';
import { useDeferredValue, useMemo, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import type { FleetOverview } from '../../fleet/overview.ts';
import type { Level } from '../../fleet/problems.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { useMay } from '../app/session.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { Page } from '../app/ui/page.tsx';
import { Counts } from './counts.tsx';
import { GroupRow } from './group-row.tsx';
import { matchingGroups, matchingNodes } from './matching.ts';
import { NodeCard } from './node-card.tsx';
import './fleet.css';

export function FleetPage() {
  const { t } = useTranslation('fleet');
  const { data, error, refetch } = useFleet();
  return (
    <Page title={t('title')} actions={<Actions />}>
      {error !== null && data === undefined && (
        <Fault error={error} onRetry={() => void refetch()} />
      )}
      {data === undefined && error === null && <Skeleton height={320} />}
      {data !== undefined && <Overview fleet={data} />}
    </Page>
  );
}

function Actions() {
  const { t } = useTranslation('fleet');
  const isAdministrator = useMay('administrator');
  if (!isAdministrator) return null;
  return (
    <>
      <Button
        component={Link}
        href="/nodes/add"
        variant="default"
        leftSection={<IconServerBolt size={16} aria-hidden />}
      >
        {t('addNode')}
      </Button>
      <Button component={Link} href="/create" leftSection={<IconPlus size={16} aria-hidden />}>
        {t('createGroup')}
      </Button>
    </>
  );
}

function Overview({ fleet }: { readonly fleet: FleetOverview }) {
  const { t } = useTranslation('fleet');
  const [text, setText] = useState('');
  const [level, setLevel] = useState<Level | null>(null);
  // Typing stays smooth with hundreds of rows.
  const wanted = useDeferredValue(text);
  const groups = useMemo(
    () => matchingGroups(fleet.groups, { text: wanted, level }),
    [fleet.groups, wanted, level],
  );
  const nodes = useMemo(
    () => matchingNodes(fleet.nodes, { text: wanted, level }),
    [fleet.nodes, wanted, level],
  );
  return (
    <Stack gap="lg">
      <Counts fleet={fleet} level={level} onLevel={setLevel} />
      <TextInput
        type="search"
        value={text}
        onChange={({ currentTarget }) => setText(currentTarget.value)}
        leftSection={<IconSearch size={16} aria-hidden />}
        placeholder={t('search')}
        aria-label={t('search')}
        maw={420}
      />
      <section aria-labelledby="fleet-groups">
        <Heading id="fleet-groups" shown={groups.length} all={fleet.groups.length} what="groups" />
        {level !== null && <OnlyLevel level={level} onAll={() => setLevel(null)} />}
        {fleet.groups.length === 0 && <Text c="dimmed">{t('noGroups')}</Text>}
        {fleet.groups.length > 0 && groups.length === 0 && <Text c="dimmed">{t('noMatch')}</Text>}
        <ul className="fleet-rows">
          {groups.map((group) => (
            <GroupRow key={group.groupId} group={group} />
          ))}
        </ul>
      </section>
      <section aria-labelledby="fleet-nodes">
        <Heading id="fleet-nodes" shown={nodes.length} all={fleet.nodes.length} what="nodes" />
        {fleet.nodes.length === 0 && <NoNodes />}
        <ul className="fleet-nodes">
          {nodes.map((node) => (
            <NodeCard key={node.id} node={node} />
          ))}
        </ul>
      </section>
    </Stack>
  );
}

function Heading({
  id,
  shown,
  all,
  what,
}: {
  readonly id: string;
  readonly shown: number;
  readonly all: number;
  readonly what: 'groups' | 'nodes';
}) {
  const { t } = useTranslation('fleet');
  return (
    <Group gap="xs" mb="xs" align="baseline">
      <Title order={2} size="h4" id={id}>
        {t(what)}
      </Title>
      <Text c="dimmed" size="sm" className="numbers" role="status">
        {shown === all ? t('count', { count: all }) : t('countOf', { shown, all })}
      </Text>
    </Group>
  );
}

function OnlyLevel({ level, onAll }: { readonly level: Level; readonly onAll: () => void }) {
  const { t } = useTranslation('fleet');
  const word = t(`level.${level}`, { ns: 'common' });
  return (
    <Button
      size="compact-sm"
      variant="light"
      mb="xs"
      rightSection={<IconX size={14} aria-hidden />}
      onClick={onAll}
    >
      {t('onlyLevel', { level: word })}
    </Button>
  );
}

function NoNodes() {
  const { t } = useTranslation('fleet');
  const isAdministrator = useMay('administrator');
  return (
    <div className="card">
      <Text>{t('noNodes')}</Text>
      {isAdministrator && (
        <Anchor component={Link} href="/nodes/add">
          {t('addNode')}
        </Anchor>
      )}
    </div>
  );
}
