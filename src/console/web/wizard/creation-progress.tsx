// After a group was created: how far its first copy is.
import { Alert, Button, Group, Progress, Stack, Text, Title } from '@mantine/core';
import { IconArrowRight } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import { shareOf } from '../app/copy-progress.ts';
import { useGroup } from '../app/fleet-data.tsx';
import { formatBytes, formatDuration, formatPercent, formatRate } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { LevelBadge } from '../app/ui/level.tsx';

export function CreationProgress({
  name,
  groupId,
  warnings,
}: {
  readonly name: string;
  readonly groupId: string;
  readonly warnings: readonly string[];
}) {
  const { t } = useTranslation('wizard');
  const group = useGroup(groupId);
  const isDone = group?.copy === 'up-to-date' && group.scan === null;
  return (
    <section className="card" aria-label={t('created', { name })} data-created={groupId}>
      <Stack>
        <Group gap="sm">
          <Title order={2} size="h3">
            {t('created', { name })}
          </Title>
          {isDone && <LevelBadge level="ok" label={t('copyDone')} />}
        </Group>
        {warnings.map((warning) => (
          <Alert color="yellow" key={warning}>
            {warning}
          </Alert>
        ))}
        <div aria-live="polite">
          {isDone ? <Text>{t('copyDoneText')}</Text> : <CopyProgress scan={group?.scan ?? null} />}
        </div>
        <Group>
          <Button
            component={Link}
            href={`/groups/${groupId}`}
            rightSection={<IconArrowRight size={16} aria-hidden />}
          >
            {t('toGroup')}
          </Button>
        </Group>
      </Stack>
    </section>
  );
}

function CopyProgress({
  scan,
}: {
  readonly scan: NonNullable<ReturnType<typeof useGroup>>['scan'];
}) {
  const { t } = useTranslation('wizard');
  const language = currentLanguage();
  if (scan === null) {
    return (
      <Stack gap="xs">
        <Text>{t('copyBegins')}</Text>
        <Progress value={0} aria-label={t('copy')} />
      </Stack>
    );
  }
  const share = shareOf(scan);
  const left =
    scan.secondsLeft === null
      ? t('timeUnknown')
      : t('timeLeft', { time: formatDuration(scan.secondsLeft * 1000, language) });
  return (
    <Stack gap="xs">
      <Progress value={share * 100} aria-label={t('copy')} size="lg" data-copy-progress />
      <Text className="numbers">
        {[
          formatPercent(share),
          t('copied', { bytes: formatBytes(scan.bytes), total: formatBytes(scan.bytesTotal) }),
          formatRate(scan.rateBytesPerSecond),
          left,
        ].join(' · ')}
      </Text>
    </Stack>
  );
}
