// What the group is: its definition, and what of it may change while it runs.
import { Code, Stack, Text } from '@mantine/core';
import type { TFunction } from 'i18next';
import { useTranslation } from 'react-i18next';
import type { GroupDefinition } from '../../../service/group-definition.ts';
import { formatBytes, formatDuration, formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { useMay } from '../app/session.tsx';
import { Facts } from '../common/facts.tsx';
import { Section } from '../common/section.tsx';
import { useGroupDetail } from './group-detail.tsx';
import { SettingsForm } from './settings/settings-form.tsx';

export function SettingsTab() {
  const { t } = useTranslation('group');
  const { definition } = useGroupDetail();
  const mayEdit = useMay('administrator');
  if (definition === undefined) return <Text c="dimmed">{t('settings.unknown')}</Text>;
  return (
    <Stack gap="md">
      {mayEdit && <SettingsForm definition={definition} />}
      <Section title={t('settings.directories')}>
        <ul className="directories">
          {definition.directories.map((directory) => (
            <Directory directory={directory} key={directory.dir} />
          ))}
        </ul>
      </Section>
      <Section title={t('settings.definition')}>
        <Stack gap="sm">
          {mayEdit && (
            <Text size="sm" className="soft">
              {t('settings.fixed')}
            </Text>
          )}
          <Defined definition={definition} isWhole={!mayEdit} />
        </Stack>
      </Section>
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

/** `isWhole`: also what may change, for who may not change it. */
function Defined({
  definition,
  isWhole,
}: {
  readonly definition: GroupDefinition;
  readonly isWhole: boolean;
}) {
  const { t } = useTranslation('group');
  const language = currentLanguage();
  const { failover, addresses, fencing, agents, createdAt } = definition;
  const facts: readonly (readonly [string, string])[] = [
    ...(isWhole ? changingFacts(t, definition) : []),
    [t('settings.failover'), failoverWords(t, failover)],
    [t('settings.arbiter'), arbiterWords(failover) ?? t('none', { ns: 'common' })],
    [t('settings.fencing'), fencing === null ? t('none', { ns: 'common' }) : t('settings.fenced')],
    [
      t('settings.addresses'),
      addresses.map((address) => addressWords(address)).join(', ') || t('none', { ns: 'common' }),
    ],
    [
      t('settings.agents'),
      agents.map(({ name }) => name).join(', ') || t('none', { ns: 'common' }),
    ],
    [t('settings.created'), formatTime(createdAt, language)],
  ];
  return <Facts facts={facts} />;
}

const duration = (ms: number): string => formatDuration(ms, currentLanguage());

function changingFacts(
  t: TFunction<'group'>,
  { replication, safety, verifyEveryMs }: GroupDefinition,
): [string, string][] {
  const { hours } = replication.undo;
  return [
    [t('settings.mode'), t(`mode.${replication.mode}`)],
    [t('settings.syncTimeout'), duration(replication.syncTimeoutMs)],
    [t('settings.onStandbyLoss'), t(`settings.${replication.onStandbyLoss}`)],
    [t('settings.compression'), t(`settings.compression_${replication.compression}`)],
    [t('settings.journal'), formatBytes(replication.journalBytesMax)],
    [t('settings.backlog'), formatBytes(replication.backlogBytesMax)],
    [t('settings.undo'), hours === 0 ? t('settings.undoOff') : duration(hours * 3_600_000)],
    [t('settings.label.guard'), t(`settings.guards.${safety.guard}`)],
    [
      t('settings.verify'),
      verifyEveryMs === null ? t('settings.onlyAsked') : duration(verifyEveryMs),
    ],
  ];
}

/** The card is one name, or one for each node. */
function addressWords({ ip, interface: card }: GroupDefinition['addresses'][number]): string {
  const cards =
    typeof card === 'string'
      ? card
      : Object.entries(card)
          .map(([node, name]) => `${node}: ${name}`)
          .join(', ');
  return `${ip} (${cards})`;
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
