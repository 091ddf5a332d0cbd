import { Table } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { NodeHealth } from '../../../service/node-health/node-health.ts';
import { formatBytes, formatCount, formatDuration } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { Section, WideTable } from '../common/section.tsx';

export function ProcessesSection({ health }: { readonly health: NodeHealth }) {
  const { t } = useTranslation('node');
  const language = currentLanguage();
  return (
    <Section title={t('processes')}>
      <WideTable
        label={t('processes')}
        minWidth={560}
        head={[t('process'), t('group'), 'PID', t('memory'), t('threads'), t('cpuTime')]}
      >
        {health.processes.map(({ pid, kind, group, residentBytes, threads, cpuSeconds }) => (
          <Table.Tr key={pid}>
            <Table.Th scope="row" fw={500}>
              {t(`processKind.${kind}`)}
            </Table.Th>
            <Table.Td>{group ?? '–'}</Table.Td>
            <Table.Td>{pid}</Table.Td>
            <Table.Td>{formatBytes(residentBytes)}</Table.Td>
            <Table.Td>{formatCount(threads, language)}</Table.Td>
            <Table.Td>{formatDuration(cpuSeconds * 1000, language)}</Table.Td>
          </Table.Tr>
        ))}
      </WideTable>
    </Section>
  );
}
