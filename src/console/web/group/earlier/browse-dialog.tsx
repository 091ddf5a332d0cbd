// A directory on the standby with the data as of a moment: to look at it, or to take single files out of it.
import { Alert, Modal, Stack, Text, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiError } from '../../app/api.ts';
import { Fault, useFaultText } from '../../app/ui/fault.tsx';
import { ApiForm, FormActions } from '../../common/form.tsx';
import { useGroupDetail } from '../group-detail.tsx';
import { OperationProgressBar } from '../operations/operation-progress.tsx';
import { useNodeOperation } from '../operations/use-node-operation.ts';
import { MomentField } from './moment-field.tsx';
import { wishOf } from './moment.ts';
import type { MomentDialogProps } from './restore-dialog.tsx';

export function BrowseDialog({ moment, list, standbyId, onClose }: MomentDialogProps) {
  const { t } = useTranslation('group');
  const { overview } = useGroupDetail();
  const [chosen, setChosen] = useState(moment);
  const [to, setTo] = useState('');
  const { run, view, isBusy, error } = useNodeOperation();
  const wish = wishOf(chosen);
  const submit = async (): Promise<void> => {
    const path = `/groups/${overview.name}/rewind/browse`;
    const wanted = { node: standbyId, path, body: { wish, to } };
    if (await run(wanted, t('rewind.browsed', { to, node: overview.standby ?? '?' }))) onClose();
  };
  return (
    <Modal opened onClose={onClose} size="lg" title={t('rewind.browseTitle')}>
      <ApiForm onSubmit={() => void submit()}>
        <Stack>
          <Alert color="blue">
            <Text size="sm">{t('rewind.browseText', { node: overview.standby ?? '?' })}</Text>
          </Alert>
          <MomentField moment={chosen} list={list} onChange={setChosen} />
          <DirectoryField
            label={t('rewind.to_directory')}
            description={t('rewind.to_directoryHelp')}
            value={to}
            error={error}
            onChange={setTo}
          />
          {view !== null && <OperationProgressBar view={view} />}
          <FormActions
            submit={t('rewind.browseSubmit')}
            isBusy={isBusy}
            isDisabled={wish === null || !to.startsWith('/')}
            onClose={onClose}
          />
        </Stack>
      </ApiForm>
    </Modal>
  );
}

/** A path on a node; a fault of what was typed stands at it, others below. */
export function DirectoryField({
  label,
  description,
  value,
  error,
  onChange,
}: {
  readonly label: string;
  readonly description: string;
  readonly value: string;
  readonly error: unknown;
  readonly onChange: (value: string) => void;
}) {
  const faultText = useFaultText();
  const isAboutIt =
    error instanceof ApiError &&
    (error.faults['to'] !== undefined || error.code.startsWith('DIRECTORY'));
  return (
    <>
      <TextInput
        label={label}
        description={description}
        value={value}
        onChange={({ currentTarget }) => onChange(currentTarget.value)}
        placeholder="/srv/…"
        autoComplete="off"
        spellCheck={false}
        error={isAboutIt ? (error.faults['to'] ?? faultText(error)) : null}
      />
      {error !== null && !isAboutIt && <Fault error={error} />}
    </>
  );
}
