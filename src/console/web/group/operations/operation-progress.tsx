import { Group, Progress, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { OperationView } from '../../../../service/admin-api/operations.ts';
import { formatBytes, formatCount, formatDuration, formatPercent } from '../../app/format.ts';
import { currentLanguage } from '../../app/i18n.ts';

/** How far an operation is. */
export function OperationProgressBar({ view }: { readonly view: OperationView }) {
  const { t } = useTranslation('group');
  const { phase, done, total, unit, secondsLeft } = view.progress;
  const language = currentLanguage();
  const share = done === null || total === null || total === 0 ? null : done / total;
  const amount = (value: number): string =>
    unit === 'bytes' ? formatBytes(value) : formatCount(value, language);
  const parts = [
    ...(phase === '' ? [] : [t(`phase.${phase}`, { defaultValue: phase })]),
    ...(done === null
      ? []
      : [total === null ? amount(done) : `${amount(done)} / ${amount(total)}`]),
    ...(share === null ? [] : [formatPercent(share)]),
    ...(secondsLeft === null
      ? []
      : [t('timeLeft', { time: formatDuration(secondsLeft * 1000, language) })]),
  ];
  return (
    <div role="status">
      <Group justify="space-between" gap="xs" mb={4}>
        <Text size="sm" fw={500}>
          {t(`operationKind.${view.kind}`, { defaultValue: view.kind })}
        </Text>
        <Text size="xs" c="dimmed" className="numbers">
          {parts.join(' · ')}
        </Text>
      </Group>
      <Progress
        value={share === null ? 100 : share * 100}
        animated={share === null}
        aria-label={t(`operationKind.${view.kind}`, { defaultValue: view.kind })}
      />
    </div>
  );
}
