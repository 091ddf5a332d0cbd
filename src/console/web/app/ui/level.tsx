// How bad something is: a sign, a colour and a word, never the colour alone.
import { Badge } from '@mantine/core';
import {
  IconAlertOctagonFilled,
  IconAlertTriangleFilled,
  IconCircleCheckFilled,
  IconInfoCircleFilled,
} from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import type { Level } from '../../../fleet/problems.ts';

export const LEVEL_COLORS: Readonly<Record<Level, string>> = {
  ok: 'teal',
  info: 'blue',
  warning: 'yellow',
  error: 'red',
};

const ICONS = {
  ok: IconCircleCheckFilled,
  info: IconInfoCircleFilled,
  warning: IconAlertTriangleFilled,
  error: IconAlertOctagonFilled,
} as const;

export function LevelIcon({ level, size = 20 }: { readonly level: Level; readonly size?: number }) {
  const { t } = useTranslation();
  const Icon = ICONS[level];
  return (
    <span className="level-icon" data-level={level}>
      <Icon size={size} role="img" aria-label={t(`level.${level}`)} />
    </span>
  );
}

export function LevelBadge({ level, label }: { readonly level: Level; readonly label?: string }) {
  const { t } = useTranslation();
  const Icon = ICONS[level];
  return (
    <Badge
      variant="light"
      color={LEVEL_COLORS[level]}
      leftSection={<Icon size={14} aria-hidden />}
      tt="none"
      className="level-badge"
    >
      {label ?? t(`level.${level}`)}
    </Badge>
  );
}
