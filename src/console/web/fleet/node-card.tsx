import { Text } from '@mantine/core';
import { memo } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import type { NodeOverview } from '../../fleet/overview.ts';
import { formatDuration } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { useProblemText } from '../app/problem-text.ts';
import { ageOf, useServerNow } from '../app/server-clock.ts';
import { LevelIcon } from '../app/ui/level.tsx';

export const NodeCard = memo(function NodeCard({ node }: { readonly node: NodeOverview }) {
  const { t } = useTranslation('fleet');
  const problemText = useProblemText();
  const { id, name, where, level, peerName, isReachable, seenAt, problems } = node;
  return (
    <li className="fleet-node" data-level={level}>
      <LevelIcon level={level} size={20} />
      <div className="fleet-name">
        <Link href={`/nodes/${id}`} className="fleet-link">
          {name}
        </Link>
        <Text size="xs" c="dimmed" truncate>
          {where === name ? '' : `${where} · `}
          {peerName === null ? t('noPartner') : t('partner', { name: peerName })}
        </Text>
        {problems.map((problem) => (
          <Text size="sm" key={problem.code} lineClamp={2} title={problemText(problem)}>
            {problemText(problem)}
          </Text>
        ))}
        {!isReachable && seenAt !== null && <LastSeen seenAt={seenAt} />}
      </div>
    </li>
  );
});

function LastSeen({ seenAt }: { readonly seenAt: string }) {
  const { t } = useTranslation('fleet');
  const now = useServerNow(5000);
  const age = formatDuration(ageOf(seenAt, now), currentLanguage());
  return (
    <Text size="xs" c="dimmed">
      {t('lastSeen', { age })}
    </Text>
  );
}
