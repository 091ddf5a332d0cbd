// Whether this window hears the console: a small sign always, a banner with the age of what is shown when it does not.
import { Alert, Badge } from '@mantine/core';
import { IconCloudOff, IconPlugConnected, IconPlugConnectedX } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { useConnection } from './fleet-data.tsx';
import { formatDuration } from './format.ts';
import { currentLanguage } from './i18n.ts';
import { useServerNow } from './server-clock.ts';

/** A short break is not worth a banner. */
const BANNER_AFTER_MS = 3000;

export function ConnectionBadge() {
  const { t } = useTranslation();
  const { phase } = useConnection();
  const isLive = phase === 'live';
  const Icon = isLive ? IconPlugConnected : IconPlugConnectedX;
  return (
    <Badge
      variant="light"
      color={isLive ? 'teal' : 'red'}
      leftSection={<Icon size={14} aria-hidden />}
      tt="none"
      className="level-badge"
      data-connection={phase}
      visibleFrom="xs"
    >
      {t(`connection.${phase}`)}
    </Badge>
  );
}

export function ConnectionBanner() {
  const { t } = useTranslation();
  const { phase, heardMs } = useConnection();
  const now = useServerNow();
  const ageMs = heardMs === null ? 0 : now - heardMs;
  const isShown = phase === 'lost' && (heardMs === null || ageMs > BANNER_AFTER_MS);
  return (
    <div role="status" aria-live="polite">
      {isShown && (
        <Alert color="red" mb="md" icon={<IconCloudOff aria-hidden />} title={t('lost.title')}>
          {heardMs === null
            ? t('lost.never')
            : t('lost.text', { age: formatDuration(ageMs, currentLanguage()) })}
        </Alert>
      )}
    </div>
  );
}
