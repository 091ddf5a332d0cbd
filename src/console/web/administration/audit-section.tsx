// What was changed, by whom, from where, with which result: on this console, or on one of its nodes.
import { Code, NativeSelect, Skeleton, Stack, Table, Text } from '@mantine/core';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { AuditEntry } from '../../../service/admin-api/audit.ts';
import { call, nodeRoute } from '../app/api.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { Fault } from '../app/ui/fault.tsx';
import { LevelBadge } from '../app/ui/level.tsx';
import { Section, WideTable } from '../common/section.tsx';

const COUNTS = [100, 300, 1000];

export function AuditSection() {
  const { t } = useTranslation('administration');
  const nodes = useFleet().data?.nodes ?? [];
  const [node, setNode] = useState('');
  const [count, setCount] = useState(COUNTS[0] ?? 100);
  const audit = useQuery({
    queryKey: ['audit', node, count],
    queryFn: async ({ signal }) =>
      call<AuditEntry[]>(node === '' ? '/audit' : nodeRoute(node, '/audit'), {
        query: { count },
        signal,
      }),
  });
  return (
    <Section title={t('audit')}>
      <Stack>
        <div className="audit-filters">
          <NativeSelect
            label={t('auditOf')}
            value={node}
            onChange={(event) => setNode(event.currentTarget.value)}
            data={[
              { value: '', label: t('thisConsole') },
              ...nodes.map(({ id, name }) => ({ value: id, label: t('nodeNamed', { name }) })),
            ]}
          />
          <NativeSelect
            label={t('entries')}
            value={String(count)}
            onChange={(event) => setCount(Number(event.currentTarget.value))}
            data={COUNTS.map(String)}
          />
        </div>
        {audit.error !== null && <Fault error={audit.error} />}
        {audit.data === undefined ? (
          audit.error === null && <Skeleton height={240} />
        ) : audit.data.length === 0 ? (
          <Text className="soft">{t('noEntries')}</Text>
        ) : (
          <AuditTable entries={audit.data} />
        )}
      </Stack>
    </Section>
  );
}

function AuditTable({ entries }: { readonly entries: readonly AuditEntry[] }) {
  const { t } = useTranslation('administration');
  const language = currentLanguage();
  return (
    <WideTable
      label={t('audit')}
      minWidth={820}
      head={[t('time'), t('who'), t('from'), t('what'), t('result')]}
    >
      {entries.map(({ at, who, role, from, what, input, result }, index) => (
        <Table.Tr key={`${at} ${index}`}>
          <Table.Td>{formatTime(at, language)}</Table.Td>
          <Table.Td>
            {who}
            <Text size="xs" className="soft">
              {role}
            </Text>
          </Table.Td>
          <Table.Td>{from}</Table.Td>
          <Table.Td>
            <span className="path">{what}</span>
            {input !== '' && (
              <Code block className="audit-input">
                {input}
              </Code>
            )}
          </Table.Td>
          <Table.Td>
            {result === 'done' || result === 'started' ? (
              t(`results.${result}`)
            ) : (
              <LevelBadge level="warning" label={result} />
            )}
          </Table.Td>
        </Table.Tr>
      ))}
    </WideTable>
  );
}
