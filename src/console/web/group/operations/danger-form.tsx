// What every operation asks before it is sent: what follows from it, whether the view is old, and for dangerous ones the name.
import { Alert, Button, Checkbox, List, Stack, Text, TextInput } from '@mantine/core';
import { IconAlertTriangle, IconHistoryToggle } from '@tabler/icons-react';
import { type ReactNode, useState } from 'react';
import { Trans, useTranslation } from 'react-i18next';
import type { GroupOverview } from '../../../fleet/overview.ts';
import { formatDuration } from '../../app/format.ts';
import { currentLanguage } from '../../app/i18n.ts';
import { Fault } from '../../app/ui/fault.tsx';
import { ApiForm, FormActions } from '../../common/form.tsx';
import { useFreshness, useGroupDetail } from '../group-detail.tsx';

export interface DangerFormProps {
  /** Sentences. */
  readonly consequences: readonly string[];
  /** To be typed; null: a click suffices. */
  readonly name: string | null;
  readonly submitLabel: string;
  readonly isDangerous: boolean;
  readonly isReady?: boolean;
  readonly isBusy: boolean;
  readonly error: unknown;
  /** The group as the form speaks of it. With another epoch or other roles by now, what it says may be wrong. */
  readonly opened: Pick<GroupOverview, 'epoch' | 'primary' | 'standby'>;
  readonly onLookAgain: () => void;
  readonly onSubmit: () => void;
  readonly onClose: () => void;
  readonly children?: ReactNode;
}

export function DangerForm(props: DangerFormProps) {
  const { consequences, name, submitLabel, isDangerous, isBusy, error, onSubmit, onClose } = props;
  const { opened } = props;
  const { t } = useTranslation('group');
  const { overview } = useGroupDetail();
  const { isFresh, ageMs } = useFreshness(overview);
  const [typed, setTyped] = useState('');
  const [acceptsOld, setAcceptsOld] = useState(false);
  const hasChanged =
    overview.epoch !== opened.epoch ||
    overview.primary !== opened.primary ||
    overview.standby !== opened.standby;
  const isReady =
    props.isReady !== false &&
    !hasChanged &&
    (isFresh || acceptsOld) &&
    (name === null || typed === name);
  return (
    <ApiForm
      onSubmit={() => {
        if (isReady && !isBusy) onSubmit();
      }}
    >
      <Stack>
        <Alert
          color={isDangerous ? 'red' : 'blue'}
          {...(isDangerous ? { icon: <IconAlertTriangle aria-hidden /> } : {})}
        >
          <List size="sm" spacing={4}>
            {consequences.map((sentence) => (
              <List.Item key={sentence}>{sentence}</List.Item>
            ))}
          </List>
        </Alert>
        {props.children}
        {hasChanged && <Changed onLookAgain={props.onLookAgain} />}
        {!isFresh && !hasChanged && (
          <Alert
            color="orange"
            icon={<IconHistoryToggle aria-hidden />}
            title={t('dialog.old', { age: formatDuration(ageMs, currentLanguage()) })}
          >
            <Checkbox
              checked={acceptsOld}
              onChange={({ currentTarget }) => setAcceptsOld(currentTarget.checked)}
              label={t('dialog.acceptOld')}
            />
          </Alert>
        )}
        {name !== null && (
          <TextInput
            label={
              <Trans
                t={t}
                i18nKey="dialog.typeName"
                values={{ name }}
                components={{ strong: <strong /> }}
              />
            }
            value={typed}
            onChange={({ currentTarget }) => setTyped(currentTarget.value)}
            autoComplete="off"
            autoCapitalize="none"
            spellCheck={false}
            data-autofocus
          />
        )}
        {error !== null && <Fault error={error} />}
        <FormActions
          submit={submitLabel}
          isBusy={isBusy}
          isDisabled={!isReady}
          isDangerous={isDangerous}
          onClose={onClose}
        />
      </Stack>
    </ApiForm>
  );
}

function Changed({ onLookAgain }: { readonly onLookAgain: () => void }) {
  const { t } = useTranslation('group');
  const { overview } = useGroupDetail();
  return (
    <Alert color="orange" icon={<IconHistoryToggle aria-hidden />} title={t('dialog.changed')}>
      <Stack gap="xs" align="flex-start">
        <Text size="sm">
          {t('dialog.changedText', {
            primary: overview.primary ?? '?',
            standby: overview.standby ?? '?',
          })}
        </Text>
        <Button size="compact-sm" variant="default" onClick={onLookAgain}>
          {t('dialog.lookAgain')}
        </Button>
      </Stack>
    </Alert>
  );
}
