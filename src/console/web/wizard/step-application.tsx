// Which applications move with the group: their agents, in the order in which they start.
import { Alert, Button, Fieldset, Group, NativeSelect, Stack, Text } from '@mantine/core';
import { IconArrowDown, IconArrowUp } from '@tabler/icons-react';
import { useTranslation } from 'react-i18next';
import type { AgentDescription } from '../../../agents/host/host-protocol.ts';
import { AddButton, RemoveButton } from '../common/row-buttons.tsx';
import { type AgentDraft, type Faults, faultAt, nextKey, schemaOf } from './draft.ts';
import { ParameterForm } from './parameter-form.tsx';
import { fieldsOf } from './schema-fields.ts';
import type { StepProps } from './wizard-page.tsx';

export function StepApplication({ draft, faults, agents, change }: StepProps) {
  const { t } = useTranslation('wizard');
  const list = draft.agents;
  const move = (from: number, to: number): void => {
    const moved = list[from];
    if (moved !== undefined) change({ agents: list.toSpliced(from, 1).toSpliced(to, 0, moved) });
  };
  return (
    <Stack>
      <Text size="sm" className="soft">
        {t('applicationText')}
      </Text>
      {faults['agents'] !== undefined && <Alert color="red">{faults['agents']}</Alert>}
      {list.length === 0 && <Alert>{t('noAgents')}</Alert>}
      {list.map((agent, index) => (
        <AgentFields
          key={agent.key}
          agent={agent}
          index={index}
          faults={faults}
          agents={agents}
          onChange={(changed) => change({ agents: list.with(index, changed) })}
          onRemove={() => change({ agents: list.toSpliced(index, 1) })}
          onUp={index > 0 ? () => move(index, index - 1) : undefined}
          onDown={index < list.length - 1 ? () => move(index, index + 1) : undefined}
        />
      ))}
      <Group>
        <AddButton
          text={t('addAgent')}
          onClick={() => change({ agents: [...list, { key: nextKey(list), use: '', values: {} }] })}
        />
      </Group>
    </Stack>
  );
}

function AgentFields({
  agent,
  index,
  faults,
  agents,
  onChange,
  onRemove,
  onUp,
  onDown,
}: {
  readonly agent: AgentDraft;
  readonly index: number;
  readonly faults: Faults;
  readonly agents: readonly AgentDescription[];
  readonly onChange: (agent: AgentDraft) => void;
  readonly onRemove: () => void;
  readonly onUp: (() => void) | undefined;
  readonly onDown: (() => void) | undefined;
}) {
  const { t } = useTranslation('wizard');
  const field = `agents[${index}]`;
  const known = agents.find(({ name }) => name === agent.use);
  return (
    <Fieldset legend={t('agentNumber', { number: index + 1 })} data-agent={index}>
      <Stack gap="sm">
        <NativeSelect
          label={t('agent')}
          description={known?.description ?? t('agentText')}
          value={agent.use}
          onChange={(event) => onChange({ ...agent, use: event.currentTarget.value, values: {} })}
          data={[
            { value: '', label: t('chooseAgent') },
            ...agents.map(({ name, title }) => ({ value: name, label: `${title} (${name})` })),
          ]}
          error={faultAt(faults, `${field}.use`)}
          maw={520}
          required
        />
        {known !== undefined && (
          <ParameterForm
            key={agent.use}
            fields={fieldsOf(schemaOf(agents, agent.use))}
            values={agent.values}
            faultOf={(name) => faultAt(faults, `${field}.${name}`, true)}
            onChange={(values) => onChange({ ...agent, values })}
          />
        )}
        <Group gap="xs">
          {onUp !== undefined && (
            <Button
              variant="subtle"
              size="compact-sm"
              leftSection={<IconArrowUp size={14} aria-hidden />}
              onClick={onUp}
            >
              {t('startEarlier')}
            </Button>
          )}
          {onDown !== undefined && (
            <Button
              variant="subtle"
              size="compact-sm"
              leftSection={<IconArrowDown size={14} aria-hidden />}
              onClick={onDown}
            >
              {t('startLater')}
            </Button>
          )}
          <RemoveButton text={t('removeAgent', { number: index + 1 })} onClick={onRemove} />
        </Group>
      </Stack>
    </Fieldset>
  );
}
