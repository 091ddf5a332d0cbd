// All nodes of this console, worst first; administrators add and remove them here.
import { Anchor, Button, Skeleton, Table, Text } from '@mantine/core';
import { IconPlus } from '@tabler/icons-react';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import type { NodeOverview } from '../../fleet/overview.ts';
import type { KnownNode } from '../../nodes/node-store.ts';
import { call } from '../app/api.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { formatDuration } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { FLEET_KEY } from '../app/live.ts';
import { useMay } from '../app/session.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { LevelBadge } from '../app/ui/level.tsx';
import { notifyDone } from '../app/ui/notify.ts';
import { Page } from '../app/ui/page.tsx';
import { ConfirmByName } from '../common/confirm-by-name.tsx';
import { RemoveButton } from '../common/row-buttons.tsx';
import { Section, WideTable } from '../common/section.tsx';

const NODES_KEY = ['nodes'] as const;

export function NodesPage() {
  const { t } = useTranslation('node');
  const may = useMay('administrator');
  const fleet = useFleet();
  return (
    <Page
      title={t('nodes')}
      trail={[{ label: t('fleet'), to: '/' }]}
      subtitle={t('nodesText')}
      actions={
        may && (
          <Button
            component={Link}
            href="/nodes/add"
            leftSection={<IconPlus size={16} aria-hidden />}
          >
            {t('add')}
          </Button>
        )
      }
    >
      {fleet.error !== null && <Fault error={fleet.error} />}
      {fleet.data === undefined ? (
        <Skeleton height={200} />
      ) : (
        <NodeTable nodes={fleet.data.nodes} may={may} />
      )}
    </Page>
  );
}

function NodeTable({
  nodes,
  may,
}: {
  readonly nodes: readonly NodeOverview[];
  readonly may: boolean;
}) {
  const { t } = useTranslation('node');
  const [removed, setRemoved] = useState<NodeOverview | null>(null);
  const client = useQueryClient();
  const added = useQuery({
    queryKey: NODES_KEY,
    queryFn: async () => call<Omit<KnownNode, 'token'>[]>('/nodes'),
    enabled: may,
  });
  const mayRemove = (id: string): boolean => added.data?.some((one) => one.id === id) === true;
  return (
    <Section title={t('nodeCount', { count: nodes.length })}>
      {nodes.length === 0 ? (
        <Text className="soft">{t('noNodes')}</Text>
      ) : (
        <WideTable
          label={t('nodes')}
          minWidth={680}
          head={[
            t('state'),
            t('node'),
            t('address'),
            t('peer'),
            'Understudy',
            t('seen'),
            t('actions'),
          ]}
        >
          {nodes.map((node) => (
            <NodeRow
              key={node.id}
              node={node}
              onRemove={mayRemove(node.id) ? () => setRemoved(node) : undefined}
            />
          ))}
        </WideTable>
      )}
      <ConfirmByName
        isOpen={removed !== null}
        onClose={() => setRemoved(null)}
        title={t('removeTitle', { node: removed?.name })}
        consequence={t('removeConsequence', { node: removed?.name })}
        action={t('remove')}
        work={async () => {
          await call(`/nodes/${removed?.id ?? ''}`, { method: 'DELETE' });
          notifyDone(t('removed', { node: removed?.name }));
          void client.invalidateQueries({ queryKey: FLEET_KEY });
          void client.invalidateQueries({ queryKey: NODES_KEY });
        }}
      />
    </Section>
  );
}

function NodeRow({
  node,
  onRemove,
}: {
  readonly node: NodeOverview;
  readonly onRemove: (() => void) | undefined;
}) {
  const { t } = useTranslation('node');
  const { id, name, where, level, isReachable, ageMs, peerName, version, fault } = node;
  const age = ageMs === null ? t('never') : formatDuration(ageMs, currentLanguage());
  return (
    <Table.Tr>
      <Table.Td>
        <LevelBadge level={level} />
      </Table.Td>
      <Table.Th scope="row" fw={500}>
        <Anchor component={Link} href={`/nodes/${id}`} underline="always">
          {name}
        </Anchor>
        {fault !== null && (
          <Text size="xs" className="soft">
            {fault.message}
          </Text>
        )}
      </Table.Th>
      <Table.Td>{where}</Table.Td>
      <Table.Td>{peerName ?? t('notPaired')}</Table.Td>
      <Table.Td>{version ?? '–'}</Table.Td>
      <Table.Td>{isReachable ? t('answers') : t('ago', { age })}</Table.Td>
      <Table.Td>
        {onRemove !== undefined && (
          <RemoveButton
            text={t('remove')}
            label={t('removeTitle', { node: name })}
            onClick={onRemove}
          />
        )}
      </Table.Td>
    </Table.Tr>
  );
}
