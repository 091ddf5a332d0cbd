// Which directories are mirrored, what of them, and where they are on the other node.
import {
  Button,
  Checkbox,
  Fieldset,
  Group,
  SimpleGrid,
  Stack,
  Text,
  Textarea,
  TextInput,
} from '@mantine/core';
import { IconFolderOpen } from '@tabler/icons-react';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { AddButton, RemoveButton } from '../common/row-buttons.tsx';
import { DirectoryBrowser } from './directory-browser.tsx';
import { emptyPath, type Faults, nextKey, type PathDraft } from './draft.ts';
import { PreviewPanel } from './preview-panel.tsx';
import { linesOf } from './schema-fields.ts';
import type { WizardNodes } from './wizard-nodes.ts';
import type { StepProps } from './wizard-page.tsx';

export function StepDirectories({ draft, faults, nodes, change }: StepProps) {
  const { t } = useTranslation('wizard');
  const { paths } = draft;
  if (nodes === null) return null;
  return (
    <Stack>
      <Text size="sm" className="soft">
        {t('directoriesText')}
      </Text>
      {paths.map((path, index) => (
        <PathFields
          key={path.key}
          path={path}
          index={index}
          faults={faults}
          nodes={nodes}
          onChange={(changed) => change({ paths: paths.with(index, changed) })}
          onRemove={
            paths.length > 1 ? () => change({ paths: paths.toSpliced(index, 1) }) : undefined
          }
        />
      ))}
      <Group>
        <AddButton
          text={t('addDirectory')}
          onClick={() => change({ paths: [...paths, emptyPath(nextKey(paths))] })}
        />
      </Group>
      <Checkbox
        label={t('seed')}
        description={t('seedText', { peer: nodes.peerName })}
        checked={draft.isSeed}
        onChange={(event) => change({ isSeed: event.currentTarget.checked })}
      />
      <Checkbox
        label={t('allowEmpty')}
        description={t('allowEmptyText')}
        checked={draft.allowEmptyMatch}
        onChange={(event) => change({ allowEmptyMatch: event.currentTarget.checked })}
      />
    </Stack>
  );
}

function PathFields({
  path,
  index,
  faults,
  nodes,
  onChange,
  onRemove,
}: {
  readonly path: PathDraft;
  readonly index: number;
  readonly faults: Faults;
  readonly nodes: WizardNodes;
  readonly onChange: (path: PathDraft) => void;
  readonly onRemove: (() => void) | undefined;
}) {
  const { t } = useTranslation('wizard');
  const field = `paths[${index}]`;
  const fault = (name: string): string | undefined =>
    faults[`${field}.${name}`] ??
    Object.entries(faults).find(([one]) => one.startsWith(`${field}.${name}[`))?.[1];
  return (
    <Fieldset legend={t('directoryNumber', { number: index + 1 })} data-path={index}>
      <Stack gap="sm">
        <SimpleGrid cols={{ base: 1, md: 2 }}>
          <DirectoryField
            label={t('dir', { node: nodes.name })}
            value={path.dir}
            error={fault('dir')}
            node={nodes.id}
            nodeName={nodes.name}
            onChange={(dir) => onChange({ ...path, dir })}
            isRequired
          />
          <DirectoryField
            label={t('standbyDir', { peer: nodes.peerName })}
            value={path.standbyDir}
            placeholder={path.dir === '' ? t('sameAsHere') : path.dir}
            error={fault('standbyDir')}
            node={nodes.peerId}
            nodeName={nodes.peerName}
            onChange={(standbyDir) => onChange({ ...path, standbyDir })}
          />
          <Textarea
            label={t('include')}
            description={t('includeText')}
            placeholder="**"
            value={path.include}
            onChange={(event) => onChange({ ...path, include: event.currentTarget.value })}
            error={fault('include')}
            autosize
            minRows={2}
            maxRows={8}
            classNames={{ input: 'path' }}
          />
          <Textarea
            label={t('exclude')}
            description={t('excludeText')}
            placeholder={'*.tmp\ncache/**'}
            value={path.exclude}
            onChange={(event) => onChange({ ...path, exclude: event.currentTarget.value })}
            error={fault('exclude')}
            autosize
            minRows={2}
            maxRows={8}
            classNames={{ input: 'path' }}
          />
        </SimpleGrid>
        <PreviewPanel
          node={nodes.id}
          dir={path.dir.trim()}
          include={linesOf(path.include)}
          exclude={linesOf(path.exclude)}
        />
        {onRemove !== undefined && (
          <Group>
            <RemoveButton text={t('removeDirectory', { number: index + 1 })} onClick={onRemove} />
          </Group>
        )}
      </Stack>
    </Fieldset>
  );
}

function DirectoryField({
  label,
  value,
  placeholder = '/srv/…',
  error,
  node,
  nodeName,
  onChange,
  isRequired = false,
}: {
  readonly label: string;
  readonly value: string;
  readonly placeholder?: string;
  readonly error: string | undefined;
  /** Null: this console cannot look there. */
  readonly node: string | null;
  readonly nodeName: string;
  readonly onChange: (dir: string) => void;
  readonly isRequired?: boolean;
}) {
  const { t } = useTranslation('wizard');
  const [isOpen, setOpen] = useState(false);
  return (
    <>
      <TextInput
        label={label}
        value={value}
        placeholder={placeholder}
        onChange={(event) => onChange(event.currentTarget.value)}
        error={error}
        required={isRequired}
        classNames={{ input: 'path' }}
        rightSectionWidth={110}
        rightSection={
          node !== null && (
            <Button
              variant="subtle"
              size="compact-sm"
              leftSection={<IconFolderOpen size={14} aria-hidden />}
              onClick={() => setOpen(true)}
              aria-label={t('browseFor', { label })}
            >
              {t('browse')}
            </Button>
          )
        }
      />
      {node !== null && (
        <DirectoryBrowser
          isOpen={isOpen}
          onClose={() => setOpen(false)}
          node={node}
          nodeName={nodeName}
          start={value === '' ? '/' : value}
          onChoose={onChange}
        />
      )}
    </>
  );
}
