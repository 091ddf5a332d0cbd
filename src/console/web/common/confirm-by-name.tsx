// Before something that cannot be taken back: what follows from it, and the name, typed by hand.
import { Alert, Modal, Stack, Text, TextInput } from '@mantine/core';
import { IconAlertTriangle } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import { useState } from 'react';
import { Fault } from '../app/ui/fault.tsx';
import { ApiForm, FormActions } from './form.tsx';
import { useWork } from './use-work.ts';

export interface ConfirmByNameProps {
  readonly isOpen: boolean;
  readonly onClose: () => void;
  readonly title: string;
  readonly consequence: string;
  /** Has to be typed; undefined: a click suffices. */
  readonly name?: string;
  readonly action: string;
  readonly work: () => Promise<void>;
}

export function ConfirmByName(props: ConfirmByNameProps) {
  const { isOpen, onClose, title } = props;
  return (
    <Modal opened={isOpen} onClose={onClose} title={title} centered>
      {/* Made anew each time, so that nothing typed before is left. */}
      {isOpen && <Question {...props} />}
    </Modal>
  );
}

function Question({ onClose, consequence, name, action, work }: ConfirmByNameProps) {
  const { t } = useTranslation('parts');
  const [typed, setTyped] = useState('');
  const { isBusy, error, run } = useWork();
  const send = async (): Promise<void> => {
    if (await run(work)) onClose();
  };
  return (
    <ApiForm onSubmit={() => void send()}>
      <Stack>
        <Alert color="yellow" icon={<IconAlertTriangle aria-hidden />}>
          <Text size="sm">{consequence}</Text>
        </Alert>
        {name !== undefined && (
          <TextInput
            label={t('typeName', { name })}
            value={typed}
            onChange={(event) => setTyped(event.currentTarget.value)}
            autoComplete="off"
            data-autofocus
          />
        )}
        {error !== null && <Fault error={error} />}
        <FormActions
          submit={action}
          isBusy={isBusy}
          isDisabled={name !== undefined && typed.trim() !== name}
          isDangerous
          onClose={onClose}
        />
      </Stack>
    </ApiForm>
  );
}
