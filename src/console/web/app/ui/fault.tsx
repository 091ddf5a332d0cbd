// A failure in words: the sentence of the language if the code is known to it, otherwise what the server said.
import { Alert, Button, Group, Text } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../api.ts';

/** The sentence for a failure. */
export function useFaultText(): (error: unknown) => string {
  const { t } = useTranslation('errors');
  return (error) => {
    if (!(error instanceof ApiError)) return error instanceof Error ? error.message : String(error);
    const told = t(error.code, { ...error.details, defaultValue: '' });
    return told === '' ? error.message : told;
  };
}

export function Fault({
  error,
  onRetry,
}: {
  readonly error: unknown;
  readonly onRetry?: () => void;
}) {
  const { t } = useTranslation();
  const text = useFaultText();
  const code = error instanceof ApiError ? error.code : undefined;
  return (
    <Alert color="red" icon={<IconAlertTriangle aria-hidden />} title={t('failed')} role="alert">
      <Text size="sm">{text(error)}</Text>
      <Group mt="xs" gap="sm">
        {code !== undefined && (
          <Text size="xs" c="dimmed" ff="monospace">
            {code}
          </Text>
        )}
        {onRetry !== undefined && (
          <Button size="compact-sm" variant="light" color="red" onClick={onRetry}>
            {t('retry')}
          </Button>
        )}
      </Group>
    </Alert>
  );
}
