// A rate: unlimited, or a number with its unit.
import { Group, NativeSelect, NumberInput, SegmentedControl, Stack } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { RATE_UNITS, type RateDraft, type RateUnit } from './bandwidth-draft.ts';

export function RateField({
  label,
  value,
  onChange,
  error,
  disabled = false,
}: {
  readonly label: string;
  readonly value: RateDraft;
  readonly onChange: (value: RateDraft) => void;
  readonly error: string | undefined;
  readonly disabled?: boolean;
}) {
  const { t } = useTranslation('bandwidth');
  return (
    <Stack gap={6} align="flex-start">
      <Group gap="xs" align="flex-start" wrap="wrap">
        <SegmentedControl
          value={value.isLimited ? 'limited' : 'unlimited'}
          onChange={(chosen) => onChange({ ...value, isLimited: chosen === 'limited' })}
          data={[
            { value: 'unlimited', label: t('unlimited') },
            { value: 'limited', label: t('limited') },
          ]}
          aria-label={label}
          disabled={disabled}
        />
        {value.isLimited && (
          <Group gap={4} wrap="nowrap" align="flex-start">
            <NumberInput
              aria-label={t('rateNumber', { label })}
              value={value.value}
              onChange={(number) => onChange({ ...value, value: number })}
              hideControls
              w={110}
              error={error}
              disabled={disabled}
            />
            <NativeSelect
              aria-label={t('rateUnit', { label })}
              value={value.unit}
              onChange={(event) =>
                onChange({ ...value, unit: event.currentTarget.value as RateUnit })
              }
              data={[...RATE_UNITS]}
              w={100}
              disabled={disabled}
            />
          </Group>
        )}
      </Group>
    </Stack>
  );
}
