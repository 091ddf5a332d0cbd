// Going back: the standby becomes the primary with the data as of then, and everything later is given up on both nodes.
import { Modal } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { RewindList } from '../../../../mirror/rewind.ts';
import { useGroupDetail } from '../group-detail.tsx';
import { DangerForm } from '../operations/danger-form.tsx';
import { OperationProgressBar } from '../operations/operation-progress.tsx';
import { epochOf } from '../operations/operations.ts';
import { useNodeOperation } from '../operations/use-node-operation.ts';
import { MomentField } from './moment-field.tsx';
import { type Moment, wishOf } from './moment.ts';

export interface MomentDialogProps {
  readonly moment: Moment;
  readonly list: RewindList;
  /** The console's id of the node that keeps the states. */
  readonly standbyId: string;
  readonly onClose: () => void;
}

export function RestoreDialog({ moment, list, standbyId, onClose }: MomentDialogProps) {
  const { t } = useTranslation('group');
  const { overview, status } = useGroupDetail();
  const [opened, setOpened] = useState(overview);
  const [chosen, setChosen] = useState(moment);
  const { run, view, isBusy, error } = useNodeOperation();
  const wish = wishOf(chosen);
  const names = { primary: opened.primary ?? '?', standby: opened.standby ?? '?' };
  const submit = async (): Promise<void> => {
    const expectEpoch = epochOf({ id: standbyId, name: '' }, opened, status);
    const isDone = await run(
      {
        node: standbyId,
        path: `/groups/${opened.name}/rewind/restore`,
        body: { wish, force: true, expectEpoch },
      },
      t('rewind.restored', { group: opened.name }),
    );
    if (isDone) onClose();
  };
  return (
    <Modal
      opened
      onClose={onClose}
      size="lg"
      title={t('rewind.restoreTitle', { group: opened.name })}
    >
      <DangerForm
        consequences={(['lost', 'moves', 'lookFirst'] as const).map((key) =>
          t(`rewind.consequence.${key}`, names),
        )}
        name={opened.name}
        submitLabel={t('rewind.restoreSubmit')}
        isDangerous
        isReady={wish !== null}
        isBusy={isBusy}
        error={error}
        opened={opened}
        onLookAgain={() => setOpened(overview)}
        onSubmit={() => void submit()}
        onClose={onClose}
      >
        <MomentField moment={chosen} list={list} onChange={setChosen} />
        {view !== null && <OperationProgressBar view={view} />}
      </DangerForm>
    </Modal>
  );
}
