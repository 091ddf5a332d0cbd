// How many there are of each level; each count shows only those.
import { Text, UnstyledButton } from '@mantine/core';
import { IconServer2 } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import type { FleetOverview } from '../../fleet/overview.ts';
import type { Level } from '../../fleet/problems.ts';
import { LevelIcon } from '../app/ui/level.tsx';

const SHOWN: readonly Level[] = ['error', 'warning', 'info', 'ok'];

export function Counts({
  fleet: { counts },
  level,
  onLevel,
}: {
  readonly fleet: FleetOverview;
  readonly level: Level | null;
  readonly onLevel: (level: Level | null) => void;
}) {
  const { t } = useTranslation('fleet');
  const answering = counts.nodes - counts.nodesUnreachable;
  return (
    <div className="fleet-counts">
      {SHOWN.map((one) => (
        <UnstyledButton
          key={one}
          className="fleet-count"
          data-level={one}
          data-none={counts.byLevel[one] === 0}
          aria-pressed={level === one}
          onClick={() => onLevel(level === one ? null : one)}
        >
          <LevelIcon level={one} size={22} />
          <span>
            <span className="fleet-number numbers">{counts.byLevel[one]}</span>
            <Text size="sm" component="span" className="fleet-count-label">
              {t(`countOfLevel.${one}`)}
            </Text>
          </span>
        </UnstyledButton>
      ))}
      <div className="fleet-count" data-level={counts.nodesUnreachable > 0 ? 'error' : 'ok'}>
        <IconServer2 size={22} stroke={1.6} aria-hidden />
        <span>
          <span className="fleet-number numbers">
            {answering}/{counts.nodes}
          </span>
          <Text size="sm" component="span" className="fleet-count-label">
            {t('answering')}
          </Text>
        </span>
      </div>
    </div>
  );
}
