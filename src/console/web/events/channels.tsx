import { Badge, Button, Group, Table, Text } from '@mantine/core';
import { IconPencil, IconPlus, IconSend } from '@tabler/icons-react';
import { useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { NodeOverview } from '../../fleet/overview.ts';
import { call, nodeRoute } from '../app/api.ts';
import { useMay } from '../app/session.tsx';
import { useFaultText } from '../app/ui/fault.tsx';
import { LevelBadge } from '../app/ui/level.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { ConfirmByName } from '../common/confirm-by-name.tsx';
import { RemoveButton } from '../common/row-buttons.tsx';
import { Section, WideTable } from '../common/section.tsx';
import { useWork } from '../common/use-work.ts';
import type { ShownChannel } from './channel-draft.ts';
import { ChannelForm } from './channel-form.tsx';

export function Channels({
  node,
  channels,
}: {
  readonly node: NodeOverview;
  readonly channels: readonly ShownChannel[];
}) {
  const { t } = useTranslation('alerts');
  const may = useMay('administrator');
  const client = useQueryClient();
  const [edited, setEdited] = useState<ShownChannel | 'new' | null>(null);
  const [removed, setRemoved] = useState<ShownChannel | null>(null);
  const refresh = (): void => void client.invalidateQueries({ queryKey: ['alerts'] });
  return (
    <Section
      title={t('channels')}
      actions={
        may && (
          <Button leftSection={<IconPlus size={16} aria-hidden />} onClick={() => setEdited('new')}>
            {t('add')}
          </Button>
        )
      }
    >
      {channels.length === 0 ? (
        <Text className="soft">{t('none', { node: node.name })}</Text>
      ) : (
        <WideTable
          label={t('channels')}
          minWidth={680}
          head={[t('name'), t('kind'), t('to'), t('level'), t('state'), t('actions')]}
        >
          {channels.map((channel) => (
            <ChannelRow
              key={channel.id}
              node={node}
              channel={channel}
              onEdit={may ? () => setEdited(channel) : undefined}
              onRemove={may ? () => setRemoved(channel) : undefined}
            />
          ))}
        </WideTable>
      )}
      <ChannelForm node={node} channel={edited} onClose={() => setEdited(null)} onSaved={refresh} />
      <ConfirmByName
        isOpen={removed !== null}
        onClose={() => setRemoved(null)}
        title={t('removeTitle', { name: removed?.name })}
        consequence={t('removeText', { name: removed?.name, node: node.name })}
        action={t('remove')}
        work={async () => {
          await call(nodeRoute(node.id, `/alerts/channels/${removed?.id ?? ''}`), {
            method: 'DELETE',
          });
          notifyDone(t('removed', { name: removed?.name }));
          refresh();
        }}
      />
    </Section>
  );
}

function ChannelRow({
  node,
  channel,
  onEdit,
  onRemove,
}: {
  readonly node: NodeOverview;
  readonly channel: ShownChannel;
  readonly onEdit: (() => void) | undefined;
  readonly onRemove: (() => void) | undefined;
}) {
  const { t } = useTranslation('alerts');
  const mayTest = useMay('operator');
  const work = useWork();
  const faultText = useFaultText();
  const { id, name, kind, enabled, level, url, to = [] } = channel;
  const test = async (): Promise<void> => {
    await call(nodeRoute(node.id, `/alerts/channels/${id}/test`), { method: 'POST', body: {} });
    notifyDone(t('tested', { name }));
  };
  return (
    <Table.Tr>
      <Table.Th scope="row" fw={500}>
        {name}
        {work.error !== null && (
          <Text size="xs" c="var(--mantine-color-error)" role="alert" maw={320}>
            {faultText(work.error)}
          </Text>
        )}
      </Table.Th>
      <Table.Td>{t(`kinds.${kind}`)}</Table.Td>
      <Table.Td>
        <span className="path">{url ?? to.join(', ')}</span>
      </Table.Td>
      <Table.Td>
        <LevelBadge level={level} label={t(`levels.${level}`)} />
      </Table.Td>
      <Table.Td>
        <Badge variant="light" color={enabled ? 'teal' : 'gray'} tt="none" className="level-badge">
          {t(enabled ? 'on' : 'off')}
        </Badge>
      </Table.Td>
      <Table.Td>
        <Group gap={4} wrap="nowrap">
          {mayTest && (
            <Button
              variant="default"
              size="compact-sm"
              leftSection={<IconSend size={14} aria-hidden />}
              loading={work.isBusy}
              onClick={() => void work.run(test)}
              aria-label={t('testOne', { name })}
            >
              {t('test')}
            </Button>
          )}
          {onEdit !== undefined && (
            <Button
              variant="default"
              size="compact-sm"
              leftSection={<IconPencil size={14} aria-hidden />}
              onClick={onEdit}
              aria-label={t('editOne', { name })}
            >
              {t('edit')}
            </Button>
          )}
          {onRemove !== undefined && (
            <RemoveButton
              text={t('remove')}
              label={t('removeTitle', { name })}
              onClick={onRemove}
            />
          )}
        </Group>
      </Table.Td>
    </Table.Tr>
  );
}
