// How alerts are grouped, repeated and bounded, so that a bad night is not a thousand messages.
import { Button, Group, NumberInput, SimpleGrid, Stack, Text } from '@mantine/core';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { AlertTiming } from '../../../service/alerts/alert-settings.ts';
import { ApiError, call, nodeRoute } from '../app/api.ts';
import { useMay } from '../app/session.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { ApiForm } from '../common/form.tsx';
import { Section } from '../common/section.tsx';
import { useWork } from '../common/use-work.ts';
import { alertsKey, type AlertsView } from './alerts-view.ts';

const FIELDS = ['groupSeconds', 'repeatMinutes', 'messagesPerHour'] as const;
type Draft = Readonly<Record<(typeof FIELDS)[number], string | number>>;

export function TimingForm({
  node,
  timing,
}: {
  readonly node: string;
  readonly timing: AlertTiming;
}) {
  const { t } = useTranslation('alerts');
  const may = useMay('administrator');
  const client = useQueryClient();
  const [edited, setEdited] = useState<Draft | null>(null);
  const work = useWork();
  const faults = work.error instanceof ApiError ? work.error.faults : {};
  const draft = edited ?? timing;
  const save = async (): Promise<void> => {
    const body = Object.fromEntries(FIELDS.map((field) => [field, Number(draft[field])]));
    const route = nodeRoute(node, '/alerts/timing');
    client.setQueryData(alertsKey(node), await call<AlertsView>(route, { method: 'PUT', body }));
    setEdited(null);
    notifyDone(t('timingSaved'));
  };
  return (
    <Section title={t('timing')}>
      <ApiForm onSubmit={() => void work.run(save)}>
        <Stack>
          <Text size="sm" className="soft">
            {t('timingText')}
          </Text>
          <SimpleGrid cols={{ base: 1, sm: 3 }}>
            {FIELDS.map((field) => (
              <NumberInput
                key={field}
                label={t(`timings.${field}`)}
                description={t(`timingTexts.${field}`)}
                value={draft[field]}
                onChange={(value) => setEdited({ ...draft, [field]: value })}
                error={faults[field]}
                disabled={!may}
                hideControls
              />
            ))}
          </SimpleGrid>
          {work.error !== null && Object.keys(faults).length === 0 && <Fault error={work.error} />}
          {may && (
            <Group>
              <Button type="submit" disabled={edited === null} loading={work.isBusy}>
                {t('save')}
              </Button>
            </Group>
          )}
        </Stack>
      </ApiForm>
    </Section>
  );
}
