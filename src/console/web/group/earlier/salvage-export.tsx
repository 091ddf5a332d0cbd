import { Modal, Stack } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { ApiForm, FormActions } from '../../common/form.tsx';
import { OperationProgressBar } from '../operations/operation-progress.tsx';
import { useNodeOperation } from '../operations/use-node-operation.ts';
import { DirectoryField } from './browse-dialog.tsx';
import type { Salvaged } from './salvage-section.tsx';

export function SalvageExport({
  salvaged: { node, told, group },
  onClose,
}: {
  readonly salvaged: Salvaged;
  readonly onClose: () => void;
}) {
  const { t } = useTranslation('group');
  const [to, setTo] = useState('');
  const { run, view, isBusy, error } = useNodeOperation();
  const submit = async (): Promise<void> => {
    const path = `/groups/${group}/salvages/${told.name}/export`;
    const wanted = { node: node.id, path, body: { to } };
    if (await run(wanted, t('salvage.exported', { to, node: node.name }))) onClose();
  };
  return (
    <Modal opened onClose={onClose} title={t('salvage.exportTitle')}>
      <ApiForm onSubmit={() => void submit()}>
        <Stack>
          <DirectoryField
            label={t('salvage.to', { node: node.name })}
            description={t('salvage.toHelp')}
            value={to}
            error={error}
            onChange={setTo}
          />
          {view !== null && <OperationProgressBar view={view} />}
          <FormActions
            submit={t('salvage.export')}
            isBusy={isBusy}
            isDisabled={!to.startsWith('/')}
            onClose={onClose}
          />
        </Stack>
      </ApiForm>
    </Modal>
  );
}
