// The fields of a limit with its weekly schedule; the wizard has them, too.
import { Button, Chip, Fieldset, Group, Input, Stack, Text, TextInput } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { RemoveButton } from '../common/row-buttons.tsx';
import { type BandwidthDraft, newWindow, type WindowDraft } from './bandwidth-draft.ts';
import { RateField } from './rate-field.tsx';
import { dayNames, WeekView } from './week-view.tsx';

/** Faults by field: `default`, `schedule[0].from`. */
export type BandwidthFaults = Readonly<Record<string, string>>;

export function BandwidthFields({
  draft,
  onChange,
  faults,
  disabled = false,
}: {
  readonly draft: BandwidthDraft;
  readonly onChange: (draft: BandwidthDraft) => void;
  readonly faults: BandwidthFaults;
  readonly disabled?: boolean;
}) {
  const { t } = useTranslation('bandwidth');
  const { rate, schedule } = draft;
  const setWindow = (index: number, window: WindowDraft): void => {
    onChange({ rate, schedule: schedule.with(index, window) });
  };
  return (
    <Stack>
      <div>
        <Input.Label component="div" mb={4}>
          {t(schedule.length === 0 ? 'limit' : 'limitOtherwise')}
        </Input.Label>
        <RateField
          label={t('limit')}
          value={rate}
          onChange={(value) => onChange({ rate: value, schedule })}
          error={faults['default']}
          disabled={disabled}
        />
      </div>
      {schedule.map((window, index) => (
        <WindowFields
          key={window.key}
          window={window}
          number={index + 1}
          faults={faultsOf(faults, index)}
          disabled={disabled}
          onChange={(changed) => setWindow(index, changed)}
          onRemove={() => onChange({ rate, schedule: schedule.toSpliced(index, 1) })}
        />
      ))}
      {!disabled && (
        <Group>
          <Button
            variant="default"
            leftSection={<IconPlus size={16} aria-hidden />}
            onClick={() => onChange({ rate, schedule: [...schedule, newWindow(schedule)] })}
          >
            {t('addWindow')}
          </Button>
        </Group>
      )}
      {schedule.length > 0 && <WeekView schedule={schedule} otherwise={rate} />}
    </Stack>
  );
}

function faultsOf(faults: BandwidthFaults, index: number): BandwidthFaults {
  const prefix = `schedule[${index}].`;
  return Object.fromEntries(
    Object.entries(faults).flatMap(([field, fault]) =>
      field.startsWith(prefix) ? [[field.slice(prefix.length), fault]] : [],
    ),
  );
}

function WindowFields({
  window,
  number,
  faults,
  disabled,
  onChange,
  onRemove,
}: {
  readonly window: WindowDraft;
  readonly number: number;
  readonly faults: BandwidthFaults;
  readonly disabled: boolean;
  readonly onChange: (window: WindowDraft) => void;
  readonly onRemove: () => void;
}) {
  const { t } = useTranslation('bandwidth');
  return (
    <Fieldset legend={t('window', { number })} disabled={disabled} data-window={number}>
      <Stack gap="sm">
        <div>
          <Chip.Group
            multiple
            value={window.days.map(String)}
            onChange={(days) =>
              onChange({ ...window, days: days.map(Number).toSorted((a, b) => a - b) })
            }
          >
            <Group gap={6} role="group" aria-label={t('days')}>
              {dayNames('short').map((name, day) => (
                <Chip key={name} value={String(day)} size="sm" disabled={disabled}>
                  {name}
                </Chip>
              ))}
            </Group>
          </Chip.Group>
          {faults['days'] !== undefined && (
            <Text size="xs" c="var(--mantine-color-error)" mt={4} role="alert">
              {faults['days']}
            </Text>
          )}
        </div>
        <Group gap="xs" align="flex-start">
          <TextInput
            label={t('begins')}
            value={window.from}
            onChange={(event) => onChange({ ...window, from: event.currentTarget.value })}
            error={faults['from']}
            placeholder="08:00"
            w={150}
          />
          <TextInput
            label={t('ends')}
            value={window.to}
            onChange={(event) => onChange({ ...window, to: event.currentTarget.value })}
            error={faults['to']}
            placeholder="18:00"
            w={150}
          />
        </Group>
        <RateField
          label={t('windowRate', { number })}
          value={window.rate}
          onChange={(rate) => onChange({ ...window, rate })}
          error={faults['bandwidth']}
          disabled={disabled}
        />
        {!disabled && (
          <Group>
            <RemoveButton text={t('removeWindow', { number })} onClick={onRemove} />
          </Group>
        )}
      </Stack>
    </Fieldset>
  );
}
