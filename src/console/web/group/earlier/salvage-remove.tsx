import { Modal } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { call, nodeRoute } from '../../app/api.ts';
import { useGroupDetail } from '../group-detail.tsx';
import { DangerForm } from '../operations/danger-form.tsx';
import { useNodeOperation } from '../operations/use-node-operation.ts';
import type { Salvaged } from './salvage-section.tsx';

export function SalvageRemove({
  salvaged: { node, told, group },
  onClose,
}: {
  readonly salvaged: Salvaged;
  readonly onClose: () => void;
}) {
  const { t } = useTranslation('group');
  const { overview } = useGroupDetail();
  const [opened, setOpened] = useState(overview);
  const { quick, isBusy, error } = useNodeOperation();
  const submit = async (): Promise<void> => {
    const path = nodeRoute(node.id, `/groups/${group}/salvages/${told.name}`);
    if (await quick(async () => call(path, { method: 'DELETE' }), t('salvage.removed'))) onClose();
  };
  return (
    <Modal opened onClose={onClose} title={t('salvage.removeTitle')}>
      <DangerForm
        consequences={[t('salvage.removeText', { node: node.name })]}
        name={group}
        submitLabel={t('salvage.remove')}
        isDangerous
        isBusy={isBusy}
        error={error}
        opened={opened}
        onLookAgain={() => setOpened(overview)}
        onSubmit={() => void submit()}
        onClose={onClose}
      />
    </Modal>
  );
}
