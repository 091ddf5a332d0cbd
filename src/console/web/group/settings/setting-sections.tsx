// What of a group may change, grouped as people think of it.
import { SimpleGrid, Stack, Text } from '@mantine/core';
import type { ReactNode } from 'react';
import { useTranslation } from 'react-i18next';
import { formatDuration } from '../../app/format.ts';
import { currentLanguage } from '../../app/i18n.ts';
import { Section } from '../../common/section.tsx';
import { ChoiceSetting, type FieldsProps, SwitchSetting, TextSetting } from './setting-fields.tsx';

const DAY_MS = 86_400_000;
const INTERVALS = ['off', '1d', '3d', '7d', '14d', '30d'] as const;

export function SettingSections({
  isManaged,
  ...props
}: FieldsProps & { readonly isManaged: boolean }) {
  const { t } = useTranslation('group');
  const { texts } = props;
  return (
    <>
      <Part name="mirroring">
        <Mirroring {...props} isManaged={isManaged} />
      </Part>
      <Part name="room">
        <TextSetting {...props} name="replication.backlog" />
        <TextSetting {...props} name="replication.journal" />
      </Part>
      <Part name="earlier" head={<SwitchSetting {...props} name="replication.undo" />}>
        {texts['replication.undo'] === 'on' && (
          <>
            <TextSetting {...props} name="replication.undo.hours" isNumber />
            <TextSetting {...props} name="replication.undo.diskPercent" isNumber />
          </>
        )}
      </Part>
      <Part name="safety" head={<SwitchSetting {...props} name="safety.deletions" />}>
        {texts['safety.deletions'] === 'on' && (
          <>
            <TextSetting {...props} name="safety.deletions.files" isNumber />
            <TextSetting {...props} name="safety.deletions.percent" isNumber />
            <TextSetting {...props} name="safety.deletions.within" />
          </>
        )}
        <ChoiceSetting
          {...props}
          name="safety.guard"
          help={t('settings.help.guard')}
          choices={(['off', 'alarm', 'halt'] as const).map((value) => ({
            value,
            label: t(`settings.guards.${value}`),
          }))}
        />
      </Part>
      <Part name="comparison">
        <Interval {...props} />
      </Part>
    </>
  );
}

function Part({
  name,
  head,
  children,
}: {
  readonly name: string;
  readonly head?: ReactNode;
  readonly children: ReactNode;
}) {
  const { t } = useTranslation('group');
  return (
    <Section title={t(`settings.section.${name}`)}>
      <Stack gap="md">
        <Text size="sm" className="soft">
          {t(`settings.sectionText.${name}`)}
        </Text>
        {head}
        <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }} className="setting-grid">
          {children}
        </SimpleGrid>
      </Stack>
    </Section>
  );
}

function Mirroring({ isManaged, ...props }: FieldsProps & { readonly isManaged: boolean }) {
  const { t } = useTranslation('group');
  const mode = props.texts['replication.mode'];
  return (
    <>
      <ChoiceSetting
        {...props}
        name="replication.mode"
        help={t(isManaged ? 'settings.modeFixed' : `modeText.${mode}`, {
          ns: isManaged ? 'group' : 'wizard',
        })}
        isDisabled={isManaged}
        choices={(['sync', 'memory', 'async'] as const).map((value) => ({
          value,
          label: t(`modes.${value}`, { ns: 'wizard' }),
        }))}
      />
      {mode !== 'async' && (
        <>
          <ChoiceSetting
            {...props}
            name="replication.onStandbyLoss"
            help={t('settings.help.onStandbyLoss')}
            choices={(['continue', 'block'] as const).map((value) => ({
              value,
              label: t(`settings.${value}`),
            }))}
          />
          <TextSetting {...props} name="replication.syncTimeout" />
        </>
      )}
      <ChoiceSetting
        {...props}
        name="replication.compression"
        help={t('settings.help.compression')}
        choices={(['auto', 'on', 'off'] as const).map((value) => ({
          value,
          label: t(`settings.compression_${value}`),
        }))}
      />
      <TextSetting {...props} name="replication.linkTimeout" />
      <TextSetting {...props} name="replication.port" isNumber />
    </>
  );
}

function Interval(props: FieldsProps) {
  const { t } = useTranslation('group');
  const intervals = [...new Set<string>([...INTERVALS, props.texts.verify])];
  return (
    <ChoiceSetting
      {...props}
      name="verify"
      help={t('settings.help.verify')}
      choices={intervals.map((value) => ({
        value,
        label: value === 'off' ? t('settings.onlyAsked') : durationWords(value),
      }))}
    />
  );
}

/** `7d` and whatever else the node has: in words where that is easy. */
function durationWords(text: string): string {
  const [, days] = /^(\d+)d$/.exec(text) ?? [];
  return days === undefined ? text : formatDuration(Number(days) * DAY_MS, currentLanguage());
}
