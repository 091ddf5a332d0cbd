// What the group is: its definition, and what of it may change while it runs.
import { Button, Code, Group, Select, Stack, Text } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { GroupDefinition } from '../../../service/group-definition.ts';
import { call, nodeRoute } from '../app/api.ts';
import { formatBytes, formatDuration, formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { useMay } from '../app/session.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { Facts } from '../common/facts.tsx';
import { Section } from '../common/section.tsx';
import { useWork } from '../common/use-work.ts';
import { useFreshness, useGroupDetail } from './group-detail.tsx';
import { epochOf } from './operations/operations.ts';

const DAY_MS = 86_400_000;
/** As the API takes them. */
const INTERVALS = ['off', '1d', '3d', '7d', '14d', '30d'] as const;

export function SettingsTab() {
  const { t } = useTranslation('group');
  const { definition } = useGroupDetail();
  if (definition === undefined) return <Text c="dimmed">{t('settings.unknown')}</Text>;
  return (
    <Stack gap="md">
      <Comparison definition={definition} />
      <Section title={t('settings.directories')}>
        <ul className="directories">
          {definition.directories.map((directory) => (
            <Directory directory={directory} key={directory.dir} />
          ))}
        </ul>
      </Section>
      <Defined definition={definition} />
      <Text size="sm" c="dimmed">
        {t('settings.fixed')}
      </Text>
    </Stack>
  );
}

function Directory({
  directory: { dir, peerDir, include, exclude },
}: {
  readonly directory: GroupDefinition['directories'][number];
}) {
  const { t } = useTranslation('group');
  return (
    <li>
      <Code className="path">{dir}</Code>
      {peerDir !== dir && (
        <Text size="sm" component="span">
          {' '}
          {t('settings.peerDir')} <Code className="path">{peerDir}</Code>
        </Text>
      )}
      <Text size="sm" c="dimmed">
        {t('settings.include')}: <span className="path">{include.join(', ')}</span>
        {exclude.length > 0 && (
          <>
            {' · '}
            {t('settings.exclude')}: <span className="path">{exclude.join(', ')}</span>
          </>
        )}
      </Text>
    </li>
  );
}

function Comparison({ definition }: { readonly definition: GroupDefinition }) {
  const { t } = useTranslation('group');
  const { overview, status } = useGroupDetail();
  const { isFresh } = useFreshness(overview);
  const client = useQueryClient();
  const mayEdit = useMay('administrator');
  const present = intervalOf(definition.verifyEveryMs);
  const [wish, setWish] = useState<string | null>(null);
  const { isBusy, error, run } = useWork();
  const value = wish ?? present;
  const save = async (): Promise<void> => {
    const node = overview.primaryId ?? overview.seenFrom;
    const expectEpoch = epochOf({ id: node, name: '' }, overview, status);
    await call(nodeRoute(node, `/groups/${overview.name}`), {
      method: 'PATCH',
      body: { verify: value, expectEpoch },
    });
    await client.invalidateQueries({ queryKey: ['definition'] });
    setWish(null);
    notifyDone(t('settings.saved'));
  };
  return (
    <Section title={t('settings.verify')}>
      <Stack gap="sm">
        <Text size="sm" c="dimmed">
          {t('settings.verifyHelp')}
        </Text>
        <Group align="flex-end">
          <Select
            label={t('settings.every')}
            value={value}
            onChange={(next) => setWish(next)}
            allowDeselect={false}
            disabled={!mayEdit}
            data={[...new Set([...INTERVALS, present])].map((each) => ({
              value: each,
              label: each === 'off' ? t('settings.onlyAsked') : durationWords(each),
            }))}
          />
          {mayEdit && (
            <Button
              onClick={() => void run(save)}
              loading={isBusy}
              disabled={value === present || !isFresh}
            >
              {t('save', { ns: 'common' })}
            </Button>
          )}
        </Group>
        {!isFresh && mayEdit && <Text size="sm">{t('settings.notWhileOld')}</Text>}
        {error !== null && <Fault error={error} />}
      </Stack>
    </Section>
  );
}

function intervalOf(ms: number | null): string {
  if (ms === null) return 'off';
  return ms % DAY_MS === 0 ? `${ms / DAY_MS}d` : `${Math.round(ms / 3_600_000)}h`;
}

function durationWords(text: string): string {
  const unitMs = text.endsWith('d') ? DAY_MS : 3_600_000;
  return formatDuration(Number.parseInt(text, 10) * unitMs, currentLanguage());
}

function Defined({ definition }: { readonly definition: GroupDefinition }) {
  const { t } = useTranslation('group');
  const language = currentLanguage();
  const { replication, failover, addresses, fencing, agents, createdAt } = definition;
  const duration = (ms: number): string => formatDuration(ms, language);
  const facts: readonly (readonly [string, string])[] = [
    [t('settings.mode'), t(`mode.${replication.mode}`)],
    [t('settings.syncTimeout'), duration(replication.syncTimeoutMs)],
    [t('settings.onStandbyLoss'), t(`settings.${replication.onStandbyLoss}`)],
    [t('settings.compression'), t(`settings.compression_${replication.compression}`)],
    [t('settings.journal'), formatBytes(replication.journalBytesMax)],
    [t('settings.backlog'), formatBytes(replication.backlogBytesMax)],
    [
      t('settings.undo'),
      replication.undo.hours === 0
        ? t('settings.undoOff')
        : duration(replication.undo.hours * 3_600_000),
    ],
    [t('settings.failover'), failoverWords(t, failover)],
    [t('settings.arbiter'), arbiterWords(failover) ?? t('none', { ns: 'common' })],
    [t('settings.fencing'), fencing === null ? t('none', { ns: 'common' }) : t('settings.fenced')],
    [
      t('settings.addresses'),
      addresses.map(({ ip, interface: card }) => `${ip} (${card})`).join(', ') ||
        t('none', { ns: 'common' }),
    ],
    [
      t('settings.agents'),
      agents.map(({ name }) => name).join(', ') || t('none', { ns: 'common' }),
    ],
    [t('settings.created'), formatTime(createdAt, language)],
  ];
  return (
    <Section title={t('settings.definition')}>
      <Facts facts={facts} />
    </Section>
  );
}

function failoverWords(t: (key: string) => string, failover: GroupDefinition['failover']): string {
  if (failover === null) return t('settings.byHand');
  return t(failover.automatic === false ? 'settings.managedByHand' : 'settings.automatic');
}

function arbiterWords(failover: GroupDefinition['failover']): string | null {
  const arbiter: unknown = failover?.arbiter;
  if (arbiter === undefined || arbiter === null) return null;
  if (typeof arbiter === 'string') return arbiter;
  return Object.keys(arbiter).join(', ');
}
