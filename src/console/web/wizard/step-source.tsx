// Which node is to be the primary, what it has that could be protected, and how the group is called.
import {
  Alert,
  Badge,
  Button,
  Group,
  Loader,
  Radio,
  Skeleton,
  Stack,
  Text,
  TextInput,
} from '@mantine/core';
import { IconSearch } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Proposals } from '../../../service/admin-api/discovery.ts';
import { call, nodeRoute } from '../app/api.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { Fault } from '../app/ui/fault.tsx';
import { emptyDraft, fromProposal } from './draft.ts';
import type { StepProps } from './wizard-page.tsx';

export function StepSource({ draft, faults, nodes, agents, change }: StepProps) {
  const { t } = useTranslation('wizard');
  return (
    <Stack>
      <NodeChoice draft={draft} fault={faults['node']} change={change} />
      {nodes !== null && (
        <>
          <Discovery key={nodes.id} draft={draft} agents={agents} change={change} />
          <TextInput
            label={t('name')}
            description={t('nameText')}
            value={draft.name}
            onChange={(event) => change({ name: event.currentTarget.value })}
            error={faults['name']}
            maw={420}
            required
          />
        </>
      )}
    </Stack>
  );
}

function NodeChoice({
  draft,
  fault,
  change,
}: Pick<StepProps, 'draft' | 'change'> & { readonly fault: string | undefined }) {
  const { t } = useTranslation('wizard');
  const fleet = useFleet();
  const nodes = fleet.data?.nodes.toSorted((one, other) => one.name.localeCompare(other.name));
  if (nodes === undefined) {
    return fleet.error === null ? <Skeleton height={120} /> : <Fault error={fleet.error} />;
  }
  const paired = nodes.filter(({ peerName }) => peerName !== null);
  if (paired.length === 0) return <Alert color="yellow">{t('noPair')}</Alert>;
  return (
    <Radio.Group
      label={t('node')}
      description={t('nodeText')}
      value={draft.node}
      onChange={(node) => change({ ...emptyDraft(node), name: draft.name })}
      error={fault}
      required
    >
      <Stack gap="xs" mt="xs">
        {paired.map(({ id, name, where, peerName, isReachable }) => (
          <Radio
            key={id}
            value={id}
            disabled={!isReachable}
            label={t('nodeChoice', { node: name, peer: peerName })}
            description={isReachable ? where : t('nodeSilent')}
          />
        ))}
      </Stack>
    </Radio.Group>
  );
}

function Discovery({ draft, agents, change }: Pick<StepProps, 'draft' | 'agents' | 'change'>) {
  const { t } = useTranslation('wizard');
  const [isAsked, setAsked] = useState(false);
  const found = useQuery({
    queryKey: ['discover', draft.node],
    queryFn: async ({ signal }) => call<Proposals>(nodeRoute(draft.node, '/discover'), { signal }),
    enabled: isAsked,
    staleTime: 30_000,
  });
  return (
    <Stack gap="xs">
      <Group gap="sm">
        <Button
          variant="default"
          leftSection={<IconSearch size={16} aria-hidden />}
          onClick={() => {
            setAsked(true);
            if (isAsked) void found.refetch();
          }}
          loading={found.isFetching}
        >
          {t('discover')}
        </Button>
        <Text size="sm" className="soft">
          {t('discoverText')}
        </Text>
      </Group>
      {found.isLoading && <Loader size="sm" />}
      {found.error !== null && <Fault error={found.error} />}
      {found.data?.length === 0 && <Alert>{t('discoverNothing')}</Alert>}
      {found.data?.map((proposal) => (
        <button
          type="button"
          className="choice"
          key={proposal.group.name}
          aria-pressed={draft.name === proposal.group.name}
          // Before the forms of its agents are known, what it proposes for them would be lost.
          disabled={agents.length === 0}
          onClick={() => change(fromProposal(draft, proposal, agents))}
        >
          <Group gap="xs">
            <Text fw={600} span>
              {proposal.title}
            </Text>
            {proposal.isRunning && (
              <Badge variant="light" color="blue" tt="none" className="level-badge">
                {t('isRunning')}
              </Badge>
            )}
          </Group>
          <Text size="sm">{proposal.found}</Text>
          <Text size="sm" className="path">
            {proposal.group.paths.map(({ dir }) => dir).join(', ')}
          </Text>
        </button>
      ))}
      {draft.notes.map((note) => (
        <Alert key={note} color="yellow">
          {note}
        </Alert>
      ))}
    </Stack>
  );
}
