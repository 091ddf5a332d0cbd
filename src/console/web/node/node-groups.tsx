// The groups of a node, and which role it has in each.
import { Anchor, Table, Text } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import { Link } from 'wouter';
import type { NodeOverview } from '../../fleet/overview.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { LevelBadge } from '../app/ui/level.tsx';
import { Section, WideTable } from '../common/section.tsx';

export function NodeGroups({ node }: { readonly node: NodeOverview }) {
  const { t } = useTranslation('node');
  const groups = (useFleet().data?.groups ?? []).filter(
    ({ primaryId, standbyId, seenFrom }) =>
      primaryId === node.id || standbyId === node.id || seenFrom === node.id,
  );
  return (
    <Section title={t('groups')}>
      {groups.length === 0 ? (
        <Text size="sm" className="soft">
          {t('noGroups')}
        </Text>
      ) : (
        <WideTable
          label={t('groups')}
          minWidth={480}
          head={[t('group'), t('role'), t('state'), t('directories')]}
        >
          {groups.map(({ groupId, name, primaryId, level, directories }) => (
            <Table.Tr key={groupId}>
              <Table.Th scope="row" fw={500}>
                <Anchor component={Link} href={`/groups/${groupId}`} underline="always">
                  {name}
                </Anchor>
              </Table.Th>
              <Table.Td>{t(primaryId === node.id ? 'primary' : 'standby')}</Table.Td>
              <Table.Td>
                <LevelBadge level={level} />
              </Table.Td>
              <Table.Td>
                <span className="path">{directories.join(', ')}</span>
              </Table.Td>
            </Table.Tr>
          ))}
        </WideTable>
      )}
    </Section>
  );
}
