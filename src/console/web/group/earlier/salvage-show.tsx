import { useQuery } from '@tanstack/react-query';
import { Code, Modal, Skeleton, Stack, Table, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { SalvageReport } from '../../../../mirror/salvage/salvage-report.ts';
import { call, nodeRoute } from '../../app/api.ts';
import { formatBytes } from '../../app/format.ts';
import { Fault } from '../../app/ui/fault.tsx';
import { WideTable } from '../../common/section.tsx';
import type { Salvaged } from './salvage-section.tsx';

export function SalvageShow({
  salvaged: { node, told, group },
  onClose,
}: {
  readonly salvaged: Salvaged;
  readonly onClose: () => void;
}) {
  const { t } = useTranslation('group');
  const { data, error } = useQuery({
    queryKey: ['salvage', node.id, group, told.name],
    queryFn: async ({ signal }) =>
      call<SalvageReport & { readonly path: string }>(
        nodeRoute(node.id, `/groups/${group}/salvages/${told.name}`),
        { signal },
      ),
  });
  return (
    <Modal opened onClose={onClose} size="xl" title={t('salvage.showTitle', { node: node.name })}>
      {error !== null && <Fault error={error} />}
      {data === undefined && error === null && <Skeleton height={160} />}
      {data !== undefined && (
        <Stack>
          <Text size="sm">
            {t('salvage.where')} <Code className="path">{data.path}</Code>
          </Text>
          <WideTable
            label={t('salvage.title')}
            minWidth={520}
            head={(['path', 'kind', 'kept', 'changed'] as const).map((key) => t(`salvage.${key}`))}
          >
            {data.entries.map(({ directory, path, kind, kept, changedBytes }) => (
              <Table.Tr key={`${directory} ${path}`}>
                <Table.Td className="path">{path}</Table.Td>
                <Table.Td>{t(`salvage.kinds.${kind}`)}</Table.Td>
                <Table.Td>{t(`salvage.forms.${kept}`)}</Table.Td>
                <Table.Td>{formatBytes(changedBytes)}</Table.Td>
              </Table.Tr>
            ))}
          </WideTable>
          {data.notListed > 0 && (
            <Text size="sm" c="dimmed">
              {t('salvage.notListed', { count: data.notListed })}
            </Text>
          )}
        </Stack>
      )}
    </Modal>
  );
}
