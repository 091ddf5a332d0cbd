// Changes what may change in the life of a group, on both nodes, while it runs. Only what somebody touched is sent, so that two people
// who change different things do not undo each other's work.
import { Alert, Button, Group, Skeleton, Stack, Text } from '@mantine/core';
import { useQuery, useQueryClient } from '@tanstack/react-query';
import { useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { AgentDescription } from '../../../../agents/host/host-protocol.ts';
import type { GroupDefinition } from '../../../../service/group-definition.ts';
import { ApiError, call, nodeRoute } from '../../app/api.ts';
import { Fault } from '../../app/ui/fault.tsx';
import { notifyDone } from '../../app/ui/notify.ts';
import { ApiForm } from '../../common/form.tsx';
import { useWork } from '../../common/use-work.ts';
import { useFreshness, useGroupDetail } from '../group-detail.tsx';
import { epochOf } from '../operations/operations.ts';
import { AgentsSection } from './agents-section.tsx';
import { SettingSections } from './setting-sections.tsx';
import {
  hasPlace,
  settingsDraft,
  settingsEdit,
  type Touched,
  UNTOUCHED,
  withTouched,
} from './settings-draft.ts';

const NO_AGENTS: readonly AgentDescription[] = [];

export function SettingsForm({ definition }: { readonly definition: GroupDefinition }) {
  const { overview } = useGroupDetail();
  const node = overview.primaryId ?? overview.seenFrom;
  const { data, isPending } = useQuery({
    queryKey: ['agents', node],
    queryFn: async ({ signal }) =>
      call<{ agents: AgentDescription[] }>(nodeRoute(node, '/agents'), { signal }),
    enabled: definition.agents.length > 0,
    staleTime: 60_000,
  });
  // Fields of agents must not come in between while somebody writes.
  if (isPending && definition.agents.length > 0) return <Skeleton height={320} />;
  return <Form definition={definition} node={node} catalog={data?.agents ?? NO_AGENTS} />;
}

function Form({
  definition,
  node,
  catalog,
}: {
  readonly definition: GroupDefinition;
  readonly node: string;
  readonly catalog: readonly AgentDescription[];
}) {
  const { t } = useTranslation('group');
  const { overview, status } = useGroupDetail();
  const client = useQueryClient();
  const [touched, setTouched] = useState<Touched>(UNTOUCHED);
  const { isBusy, error, run, clear } = useWork();
  const form = useRef<HTMLDivElement>(null);
  const draft = withTouched(settingsDraft(definition, catalog), touched);
  const edit = settingsEdit(definition, draft, catalog);
  const faults = error instanceof ApiError ? error.faults : {};
  const isManaged = definition.failover !== null;
  const save = async (): Promise<void> => {
    const expectEpoch = epochOf({ id: node, name: '' }, overview, status);
    const path = nodeRoute(node, `/groups/${overview.name}`);
    try {
      await call(path, { method: 'PATCH', body: { ...edit, expectEpoch } });
    } finally {
      // Also after a failure: some of it may be in force.
      await client.invalidateQueries({ queryKey: ['definition'] });
    }
    setTouched(UNTOUCHED);
    notifyDone(t('settings.saved'));
  };
  const submit = async (): Promise<void> => {
    if (Object.keys(edit).length === 0 || (await run(save))) return;
    requestAnimationFrame(() => {
      form.current?.querySelector<HTMLElement>('[aria-invalid=true]')?.focus();
    });
  };
  const reset = (): void => {
    setTouched(UNTOUCHED);
    clear();
  };
  return (
    <ApiForm onSubmit={() => void submit()}>
      <Stack gap="md" ref={form}>
        <SettingSections
          texts={draft.texts}
          faults={faults}
          isManaged={isManaged}
          onChange={(name, text) =>
            setTouched({ ...touched, texts: { ...touched.texts, [name]: text } })
          }
        />
        <AgentsSection
          agents={definition.agents}
          drafts={draft.agents}
          catalog={catalog}
          faults={faults}
          isManaged={isManaged}
          onChange={(index, agent) =>
            setTouched({ ...touched, agents: { ...touched.agents, [index]: agent } })
          }
        />
        {error !== null && <NotSaved error={error} faults={faults} />}
        <SaveBar isChanged={Object.keys(edit).length > 0} isBusy={isBusy} onReset={reset} />
      </Stack>
    </ApiForm>
  );
}

function NotSaved({
  error,
  faults,
}: {
  readonly error: unknown;
  readonly faults: Readonly<Record<string, string>>;
}) {
  const { t } = useTranslation('group');
  const fields = Object.keys(faults);
  if (fields.length === 0 || !fields.every(hasPlace)) return <Fault error={error} />;
  return (
    <Alert color="red" role="alert">
      {t('settings.found')}
    </Alert>
  );
}

function SaveBar({
  isChanged,
  isBusy,
  onReset,
}: {
  readonly isChanged: boolean;
  readonly isBusy: boolean;
  readonly onReset: () => void;
}) {
  const { t } = useTranslation('group');
  const { overview } = useGroupDetail();
  const { isFresh } = useFreshness(overview);
  return (
    <div className="save-bar" data-changed={isChanged}>
      <Text size="sm" role="status">
        {!isFresh && t('settings.notWhileOld')}
        {isFresh && t(isChanged ? 'settings.unsaved' : 'settings.unchanged')}
      </Text>
      <Group gap="sm">
        <Button variant="default" onClick={onReset} disabled={!isChanged || isBusy}>
          {t('settings.discard')}
        </Button>
        <Button type="submit" loading={isBusy} disabled={!isChanged || !isFresh}>
          {t('save', { ns: 'common' })}
        </Button>
      </Group>
    </div>
  );
}
