// What will happen, after both nodes have checked everything. Only now something is changed.
import { Alert, Button, Group, Loader, Stack, Text, Title } from '@mantine/core';
import { IconCheck, IconRefresh, IconShieldCheck } from '@tabler/icons-react';
import { type UseQueryResult, useQuery } from '@tanstack/react-query';
import { useTranslation } from 'react-i18next';
import type { GroupPlan } from '../../../service/group-creation.ts';
import { ApiError, call, nodeRoute, runOperation } from '../app/api.ts';
import { Fault } from '../app/ui/fault.tsx';
import { rateDraft } from '../bandwidth/bandwidth-draft.ts';
import { rateWords } from '../bandwidth/week-view.tsx';
import { useWork } from '../common/use-work.ts';
import { type Faults, groupInput, stepOf } from './draft.ts';
import type { WizardNodes } from './wizard-nodes.ts';
import type { StepProps } from './wizard-page.tsx';

type Definition = GroupPlan['definition'];

export interface StepSummaryProps extends Pick<StepProps, 'draft' | 'agents'> {
  readonly nodes: WizardNodes;
  /** Whether a step shows one of them. */
  readonly show: (faults: Faults) => boolean;
  readonly onCreated: (created: {
    name: string;
    groupId: string;
    warnings: readonly string[];
  }) => void;
}

export function StepSummary({ draft, agents, nodes, show, onCreated }: StepSummaryProps) {
  const { t } = useTranslation('wizard');
  const input = groupInput(draft, agents, { own: nodes.name, peer: nodes.peerName });
  const body = { input, origin: t('origin'), allowEmptyMatch: draft.allowEmptyMatch };
  const plan = useQuery({
    queryKey: ['plan', nodes.id, body],
    queryFn: async ({ signal }) =>
      toFields(async () => {
        const route = nodeRoute(nodes.id, '/groups/check');
        return call<GroupPlan>(route, { method: 'POST', body, signal });
      }, show),
    retry: false,
    staleTime: 0,
    gcTime: 0,
  });
  const work = useWork();
  const create = async (): Promise<void> => {
    const { definition, warnings } = await toFields(
      async () => runOperation<GroupPlan>({ node: nodes.id, path: '/groups', body }),
      show,
    );
    onCreated({ name: definition.name, groupId: definition.groupId, warnings });
  };
  const failed = plan.error ?? work.error;
  return (
    <Stack>
      <Checked plan={plan} nodes={nodes} />
      {failed !== null && <Fault error={failed} />}
      <Group>
        {plan.isError && (
          <Button
            variant="default"
            leftSection={<IconRefresh size={16} aria-hidden />}
            onClick={() => void plan.refetch()}
            loading={plan.isFetching}
          >
            {t('checkAgain')}
          </Button>
        )}
        <Button
          size="md"
          leftSection={<IconShieldCheck size={18} aria-hidden />}
          disabled={plan.data === undefined || plan.isError}
          loading={work.isBusy}
          onClick={() => void work.run(create)}
        >
          {t('create', { name: draft.name.trim() })}
        </Button>
      </Group>
      {work.isBusy && (
        <Text size="sm" role="status">
          {t('creating')}
        </Text>
      )}
    </Stack>
  );
}

/** A failure whose faults have fields is shown there: the wizard goes to their step, and this one is left. */
async function toFields<T>(work: () => Promise<T>, show: (faults: Faults) => boolean): Promise<T> {
  try {
    return await work();
  } catch (thrown) {
    if (thrown instanceof ApiError) {
      const known = Object.entries(thrown.faults).filter(([field]) => stepOf(field) !== undefined);
      show(Object.fromEntries(known));
    }
    throw thrown;
  }
}

function Checked({
  plan,
  nodes,
}: {
  readonly plan: UseQueryResult<GroupPlan>;
  readonly nodes: WizardNodes;
}) {
  const { t } = useTranslation('wizard');
  if (plan.isFetching) {
    return (
      <Text role="status">
        <Loader size={16} mr={8} aria-hidden />
        {t('checking', { node: nodes.name, peer: nodes.peerName })}
      </Text>
    );
  }
  if (plan.data === undefined || plan.isError) return null;
  const { definition, warnings } = plan.data;
  return (
    <>
      <Alert color="teal" icon={<IconCheck aria-hidden />} title={t('checked')}>
        {t('checkedText', { node: nodes.name, peer: nodes.peerName })}
      </Alert>
      {warnings.map((warning) => (
        <Alert color="yellow" key={warning}>
          {warning}
        </Alert>
      ))}
      <div>
        <Title order={2} size="h4" mb="xs">
          {t('willHappen')}
        </Title>
        <What definition={definition} nodes={nodes} />
      </div>
    </>
  );
}

function What({
  definition,
  nodes,
}: {
  readonly definition: Definition;
  readonly nodes: WizardNodes;
}) {
  const { t } = useTranslation('wizard');
  const { t: bandwidthText } = useTranslation('bandwidth');
  const { directories, replication, agents, addresses, failover, replicationPort } = definition;
  const names = { node: nodes.name, peer: nodes.peerName };
  const rate = rateWords(rateDraft(replication.bandwidth.rate), bandwidthText('unlimited'));
  const facts = [
    ...directories.map(({ dir, peerDir }) => t('will.directory', { ...names, dir, peerDir })),
    t('will.copy', { ...names, port: replicationPort }),
    t(`will.mode.${replication.mode}`, names),
    t(replication.bandwidth.schedule.length === 0 ? 'will.rate' : 'will.schedule', {
      rate,
      count: replication.bandwidth.schedule.length,
    }),
    ...agents.map(({ name, use }) => t('will.agent', { ...names, name, use })),
    ...addresses.map(({ ip }) => t('will.address', { ...names, ip })),
    t(failover?.automatic === true ? 'will.automatic' : 'will.manual', names),
    t('will.readOnly', names),
  ];
  return (
    <ul className="plan">
      {facts.map((fact) => (
        <li key={fact}>{fact}</li>
      ))}
    </ul>
  );
}
