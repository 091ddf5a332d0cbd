// Asks for one operation, sends it, and shows how far it is. Closing the dialog does not end it.
import { Checkbox, Modal, Radio, Stack, TextInput } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useLocation } from 'wouter';
import { call, nodeRoute } from '../../app/api.ts';
import { useGroupDetail } from '../group-detail.tsx';
import {
  consequencesOf,
  type DialogOptions,
  NO_OPTIONS,
  optionsOf,
  requestOf,
} from './requests.ts';
import { DangerForm } from './danger-form.tsx';
import {
  epochOf,
  OPERATION_RULES,
  type OperationKind,
  type Target,
  targetsOf,
} from './operations.ts';
import { OperationProgressBar } from './operation-progress.tsx';
import { useNodeOperation } from './use-node-operation.ts';

export function OperationDialog({
  kind,
  onClose,
}: {
  readonly kind: OperationKind;
  readonly onClose: () => void;
}) {
  const { t } = useTranslation('group');
  const { overview } = useGroupDetail();
  return (
    <Modal
      opened
      onClose={onClose}
      title={t(`operation.${kind}.title`, { group: overview.name })}
      size="lg"
    >
      <Content kind={kind} onClose={onClose} />
    </Modal>
  );
}

function Content({
  kind,
  onClose,
}: {
  readonly kind: OperationKind;
  readonly onClose: () => void;
}) {
  const { t } = useTranslation('group');
  const { overview, status, nodes } = useGroupDetail();
  const [opened, setOpened] = useState(overview);
  const [options, setOptions] = useState<DialogOptions>(NO_OPTIONS);
  const [chosen, setChosen] = useState<string | null>(null);
  const { run, quick, view, isBusy, error } = useNodeOperation();
  const [, go] = useLocation();
  const rule = OPERATION_RULES[kind];
  const targets = targetsOf(kind, opened, nodes);
  // Of two that have data of their own, none is meant by itself.
  const isSplit = rule.on === 'split';
  const preset = isSplit ? undefined : targets[0];
  const target = targets.find(({ id }) => id === chosen) ?? preset;
  const other = nodes.find(({ name }) => name !== target?.name)?.name ?? '?';
  // How the copy is changes while one reads, and with it what has to be accepted.
  const needed = optionsOf(kind, overview);
  const isReady =
    target !== undefined &&
    (!needed.includes('force') || options.force) &&
    (kind !== 'mark' || options.name !== '');
  const epoch = (one: Target): number => epochOf(one, opened, status);
  const submit = async (): Promise<void> => {
    if (target === undefined) return;
    const expectEpoch = epoch(target);
    const request = requestOf(kind, { group: opened.name, options, expectEpoch });
    const done = t(`operation.${kind}.done`, { group: opened.name });
    const { path, method, body } = request;
    const isDone = rule.isQuick
      ? await quick(async () => call(nodeRoute(target.id, path), { method, body }), done)
      : await run({ node: target.id, ...request }, done);
    if (!isDone) return;
    onClose();
    // Its page is of nothing any more.
    if (kind === 'delete' && location.pathname.startsWith(`/groups/${opened.groupId}`)) go('/');
  };
  const consequences = consequencesOf(kind, overview).map((key) =>
    t(`operation.${key}`, {
      group: opened.name,
      primary: opened.primary ?? '?',
      standby: opened.standby ?? '?',
      node: target?.name ?? '?',
      other,
    }),
  );
  return (
    <DangerForm
      consequences={target === undefined ? [t('dialog.chooseNode')] : consequences}
      name={rule.isDangerous ? opened.name : null}
      submitLabel={t(`operation.${kind}.submit`)}
      isDangerous={rule.isDangerous}
      isReady={isReady}
      isBusy={isBusy}
      error={error}
      opened={opened}
      onLookAgain={() => setOpened(overview)}
      onClose={onClose}
      onSubmit={() => void submit()}
    >
      {(isSplit || (kind === 'accept' && targets.length > 1)) && (
        <Targets
          targets={targets}
          chosen={target?.id ?? ''}
          describe={isSplit ? (one) => t('dialog.epoch', { epoch: epoch(one) }) : undefined}
          onChoose={setChosen}
        />
      )}
      <Options kind={kind} needed={needed} options={options} other={other} onChange={setOptions} />
      {view !== null && <OperationProgressBar view={view} />}
    </DangerForm>
  );
}

function Targets({
  targets,
  chosen,
  describe,
  onChoose,
}: {
  readonly targets: readonly Target[];
  readonly chosen: string;
  readonly describe: ((target: Target) => string) | undefined;
  readonly onChoose: (id: string) => void;
}) {
  const { t } = useTranslation('group');
  return (
    <Radio.Group label={t('dialog.node')} value={chosen} onChange={onChoose}>
      <Stack gap="xs" mt="xs">
        {targets.map(({ id, name }) => (
          <Radio key={id} value={id} label={name} description={describe?.({ id, name })} />
        ))}
      </Stack>
    </Radio.Group>
  );
}

function Options({
  kind,
  needed,
  options,
  other,
  onChange,
}: {
  readonly kind: OperationKind;
  readonly needed: readonly (keyof DialogOptions)[];
  readonly options: DialogOptions;
  /** The name of the node that is not asked. */
  readonly other: string;
  readonly onChange: (options: DialogOptions) => void;
}) {
  const { t } = useTranslation('group');
  return (
    <>
      {needed.map((name) =>
        name === 'name' ? (
          <TextInput
            key={name}
            label={t('option.name')}
            description={t('option.nameHelp')}
            value={options.name}
            onChange={({ currentTarget }) => onChange({ ...options, name: currentTarget.value })}
            data-autofocus
          />
        ) : (
          <Checkbox
            key={name}
            checked={options[name]}
            onChange={({ currentTarget }) =>
              onChange({ ...options, [name]: currentTarget.checked })
            }
            label={t(`option.${kind}.${name}`, { other })}
          />
        ),
      )}
    </>
  );
}
