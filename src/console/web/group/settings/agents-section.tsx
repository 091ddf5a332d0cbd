// How the applications of a group are started, probed and stopped. Which there are is of its creation.
import { Alert, Fieldset, SimpleGrid, Stack, Text, TextInput } from '@mantine/core';
import { useTranslation } from 'react-i18next';
import type { AgentDescription } from '../../../../agents/host/host-protocol.ts';
import type { AgentDefinition } from '../../../../service/agent-definition.ts';
import { Section } from '../../common/section.tsx';
import { faultAt, type Faults } from '../../wizard/draft.ts';
import { ParameterForm } from '../../wizard/parameter-form.tsx';
import { AGENT_TIMES, type AgentSettings, type AgentTime, parameterFields } from './agent-draft.ts';

export interface AgentsSectionProps {
  readonly agents: readonly AgentDefinition[];
  readonly drafts: readonly AgentSettings[];
  readonly catalog: readonly AgentDescription[];
  readonly faults: Faults;
  readonly isManaged: boolean;
  readonly onChange: (index: number, agent: AgentSettings) => void;
}

/** What the machines of both nodes wait for. */
const FIXED_IF_MANAGED: readonly AgentTime[] = ['startTimeout', 'stopTimeout'];

export function AgentsSection({ agents, drafts, ...rest }: AgentsSectionProps) {
  const { t } = useTranslation('group');
  if (agents.length === 0) return null;
  return (
    <Section title={t('settings.section.agents')}>
      <Stack>
        <Text size="sm" className="soft">
          {t('settings.sectionText.agents')}
          {rest.isManaged && ` ${t('settings.timesFixed')}`}
        </Text>
        {agents.map((agent, index) => {
          const draft = drafts[index];
          return draft === undefined ? null : (
            <Agent key={agent.name} agent={agent} index={index} draft={draft} {...rest} />
          );
        })}
      </Stack>
    </Section>
  );
}

function Agent({
  agent,
  index,
  draft,
  catalog,
  faults,
  isManaged,
  onChange,
}: Omit<AgentsSectionProps, 'agents' | 'drafts'> & {
  readonly agent: AgentDefinition;
  readonly index: number;
  readonly draft: AgentSettings;
}) {
  const { t } = useTranslation('group');
  const field = `agents[${index}]`;
  const { name, use, fault, probeIntervalMs } = agent;
  const parameters = parameterFields(agent, catalog);
  const shown = AGENT_TIMES.filter((time) => time !== 'probeInterval' || probeIntervalMs !== null);
  return (
    <Fieldset legend={name === use ? name : `${name} (${use})`} data-agent={name}>
      <Stack>
        {fault !== undefined && <Alert color="red">{fault}</Alert>}
        <SimpleGrid cols={{ base: 1, sm: 2, lg: 3 }}>
          {shown.map((time) => (
            <TextInput
              key={time}
              label={t(`settings.time.${time}`)}
              value={draft.times[time]}
              onChange={({ currentTarget }) =>
                onChange(index, {
                  ...draft,
                  times: { ...draft.times, [time]: currentTarget.value },
                })
              }
              error={faultAt(faults, `${field}.${time}`)}
              disabled={isManaged && FIXED_IF_MANAGED.includes(time)}
              autoComplete="off"
              data-setting={`${field}.${time}`}
            />
          ))}
        </SimpleGrid>
        {faultAt(faults, `${field}.use`) !== undefined && (
          <Alert color="red">{faultAt(faults, `${field}.use`)}</Alert>
        )}
        {parameters.length > 0 && (
          <ParameterForm
            fields={parameters}
            values={draft.values}
            faultOf={(one) => faultAt(faults, `${field}.${one}`, true)}
            onChange={(values) => onChange(index, { ...draft, values })}
          />
        )}
      </Stack>
    </Fieldset>
  );
}
