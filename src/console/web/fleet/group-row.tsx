// One group: how it is in one line. Redrawn only when something in it has changed.
import { Progress, Text } from '@mantine/core';
import { IconArrowRight, IconClockPause } from '@tabler/icons-react';
import { memo } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import type { GroupOverview } from '../../fleet/overview.ts';
import { shareOf } from '../app/copy-progress.ts';
import { useNode } from '../app/fleet-data.tsx';
import { formatBytes, formatDuration, formatPercent, formatRate } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { useProblemText } from '../app/problem-text.ts';
import { ageOf, useServerNow } from '../app/server-clock.ts';
import { LevelIcon } from '../app/ui/level.tsx';

export const GroupRow = memo(function GroupRow({ group }: { readonly group: GroupOverview }) {
  const { t } = useTranslation('fleet');
  const problemText = useProblemText();
  const { name, level, directories, problems } = group;
  const [first, ...others] = problems;
  return (
    <li className="fleet-row" data-level={level}>
      <LevelIcon level={level} size={22} />
      <div className="fleet-name">
        <Link href={`/groups/${group.groupId}`} className="fleet-link">
          {name}
        </Link>
        <Text size="xs" c="dimmed" truncate className="path" title={directories.join('\n')}>
          {directories[0]}
          {directories.length > 1 ? ` +${directories.length - 1}` : ''}
        </Text>
      </div>
      <Roles group={group} />
      <div className="fleet-state">
        <Text size="sm">{t(`copy.${group.copy}`, { ns: 'group', defaultValue: group.copy })}</Text>
        <Movement group={group} />
      </div>
      <div className="fleet-problems">
        {group.isStale && <Stale group={group} />}
        {first !== undefined && (
          <Text size="sm" lineClamp={2} title={problems.map(problemText).join('\n')}>
            {problemText(first)}
            {others.length > 0 && (
              <Text span c="dimmed" size="sm">
                {' '}
                {t('more', { count: others.length })}
              </Text>
            )}
          </Text>
        )}
      </div>
    </li>
  );
});

function Roles({ group: { primary, standby, isPaused } }: { readonly group: GroupOverview }) {
  const { t } = useTranslation('fleet');
  return (
    <div className="fleet-roles">
      <Text size="sm" component="span" fw={550}>
        <span className="only-heard">{t('primary')}: </span>
        {primary ?? '?'}
      </Text>
      <IconArrowRight size={16} aria-hidden />
      <Text size="sm" component="span">
        <span className="only-heard">{t('standby')}: </span>
        {standby ?? '?'}
      </Text>
      {isPaused && <IconClockPause size={16} role="img" aria-label={t('paused')} />}
    </div>
  );
}

function Movement({
  group: { scan, lagMs, backlogBytes, wireBytesPerSecond },
}: {
  readonly group: GroupOverview;
}) {
  const { t } = useTranslation('fleet');
  if (scan !== null) {
    const share = shareOf(scan);
    return (
      <div className="fleet-scan">
        <Progress value={share * 100} size="sm" aria-label={t('scan')} />
        <Text size="xs" c="dimmed" className="numbers">
          {formatPercent(share)} · {formatRate(scan.rateBytesPerSecond)}
        </Text>
      </div>
    );
  }
  if (lagMs === null) return null;
  const parts = [
    t('lag', { lag: formatDuration(lagMs, currentLanguage()) }),
    ...(backlogBytes !== null && backlogBytes > 0 ? [formatBytes(backlogBytes)] : []),
    ...(wireBytesPerSecond !== null && wireBytesPerSecond > 0
      ? [formatRate(wireBytesPerSecond)]
      : []),
  ];
  return (
    <Text size="xs" c="dimmed" className="numbers">
      {parts.join(' · ')}
    </Text>
  );
}

function Stale({ group }: { readonly group: GroupOverview }) {
  const { t } = useTranslation('fleet');
  const seenAt = useNode(group.seenFrom)?.seenAt ?? null;
  const now = useServerNow(5000);
  if (seenAt === null) return null;
  return (
    <Text size="sm" fw={600}>
      {t('asOf', { age: formatDuration(ageOf(seenAt, now), currentLanguage()) })}
    </Text>
  );
}
