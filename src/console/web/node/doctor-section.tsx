// What `understudy doctor` finds on the node, the worst first.
import { Button, Skeleton, Table, Text } from '@mantine/core';
import { IconStethoscope } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { Finding } from '../../../service/doctor.ts';
import { call, nodeRoute } from '../app/api.ts';
import { Fault } from '../app/ui/fault.tsx';
import { LevelBadge } from '../app/ui/level.tsx';
import { Section, WideTable } from '../common/section.tsx';

const ORDER: readonly Finding['level'][] = ['error', 'warning', 'ok'];

export function DoctorSection({ node }: { readonly node: string }) {
  const { t } = useTranslation('node');
  const doctor = useQuery({
    queryKey: ['doctor', node],
    queryFn: async ({ signal }) =>
      call<{ ok: boolean; findings: Finding[] }>(nodeRoute(node, '/doctor'), { signal }),
    staleTime: 60_000,
  });
  const findings = doctor.data?.findings.toSorted(
    (one, other) => ORDER.indexOf(one.level) - ORDER.indexOf(other.level),
  );
  return (
    <Section
      title={t('doctor')}
      actions={
        <Button
          variant="default"
          leftSection={<IconStethoscope size={16} aria-hidden />}
          loading={doctor.isFetching}
          onClick={() => void doctor.refetch()}
        >
          {t('doctorAgain')}
        </Button>
      }
    >
      {doctor.error !== null && <Fault error={doctor.error} />}
      {findings === undefined ? (
        doctor.error === null && <Skeleton height={200} />
      ) : (
        <WideTable
          label={t('doctor')}
          minWidth={600}
          head={[t('result'), t('check'), t('found'), t('remedy')]}
        >
          {findings.map(({ check, level, found, remedy }) => (
            <Table.Tr key={check}>
              <Table.Td>
                <LevelBadge level={level} />
              </Table.Td>
              <Table.Th scope="row" fw={500}>
                {check}
              </Table.Th>
              <Table.Td>{found}</Table.Td>
              <Table.Td>
                <Text size="sm">{remedy ?? '–'}</Text>
              </Table.Td>
            </Table.Tr>
          ))}
        </WideTable>
      )}
    </Section>
  );
}
