// Creating a group, step by step. Nothing is changed on any node before the last step; there, both nodes check everything first, and
// what they find is shown at its field.
import './wizard.css';
import { Alert, Button, Group, Stack } from '@mantine/core';
import { IconArrowLeft, IconArrowRight } from '@tabler/icons-react';
import { useQuery } from '@tanstack/react-query';
import { useEffect, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import { useSearchParams } from 'wouter';
import type { AgentDescription } from '../../../agents/host/host-protocol.ts';
import { call, nodeRoute } from '../app/api.ts';
import { useFleet } from '../app/fleet-data.tsx';
import { useMay } from '../app/session.tsx';
import { Page } from '../app/ui/page.tsx';
import { CreationProgress } from './creation-progress.tsx';
import {
  emptyDraft,
  type Faults,
  missingOn,
  type Step,
  stepOf,
  STEPS,
  type WizardDraft,
} from './draft.ts';
import { StepAddress } from './step-address.tsx';
import { StepApplication } from './step-application.tsx';
import { StepDirectories } from './step-directories.tsx';
import { StepProtection } from './step-protection.tsx';
import { StepSource } from './step-source.tsx';
import { StepSummary } from './step-summary.tsx';
import { Steps } from './steps.tsx';
import type { WizardNodes } from './wizard-nodes.ts';

export function WizardPage() {
  const { t } = useTranslation('wizard');
  const may = useMay('administrator');
  return (
    <Page title={t('title')} trail={[{ label: t('fleet'), to: '/' }]} subtitle={t('text')}>
      {may ? <Wizard /> : <Alert color="yellow">{t('needsAdministrator')}</Alert>}
    </Page>
  );
}

interface Created {
  readonly name: string;
  readonly groupId: string;
  readonly warnings: readonly string[];
}

function Wizard() {
  const { t } = useTranslation('wizard');
  const [search] = useSearchParams();
  const [draft, setDraft] = useState<WizardDraft>(() => emptyDraft(search.get('node') ?? ''));
  const [step, setStep] = useState<Step>('source');
  const [faults, setFaults] = useState<Faults>({});
  const [created, setCreated] = useState<Created | null>(null);
  const body = useRef<HTMLElement>(null);
  const nodes = useNodes(draft);
  const agents = useAgents(draft.node);
  const isFirst = useRef(true);
  useEffect(() => {
    if (!isFirst.current) {
      window.scrollTo(0, 0);
      // Who does not see the page hears which step it is now.
      body.current?.focus({ preventScroll: true });
    }
    isFirst.current = false;
  }, [step]);
  if (created !== null) return <CreationProgress {...created} />;
  const change = (part: Partial<WizardDraft>): void => {
    setDraft((before) => ({ ...before, ...part }));
    // What was found counts for what was checked: it goes with the next change of its step.
    setFaults((before) =>
      Object.fromEntries(Object.entries(before).filter(([field]) => stepOf(field) !== step)),
    );
  };
  /** Shows faults of a check at their fields, beginning with the first step that has one. */
  const show = (found: Faults): boolean => {
    setFaults(found);
    const first = STEPS.find((one) => Object.keys(found).some((field) => stepOf(field) === one));
    if (first !== undefined) setStep(first);
    return first !== undefined;
  };
  const next = (): void => {
    const missing = nodes === null ? ['node'] : missingOn(step, draft);
    if (missing.length > 0) {
      setFaults(Object.fromEntries(missing.map((field) => [field, t(`missing.${lastOf(field)}`)])));
      return;
    }
    setStep(STEPS[STEPS.indexOf(step) + 1] ?? step);
  };
  const index = STEPS.indexOf(step);
  const found = Object.keys(faults).some((field) => stepOf(field) === step);
  return (
    <Stack>
      <Steps
        step={step}
        faults={faults}
        canGo={(one) => STEPS.indexOf(one) < index}
        onGo={setStep}
      />
      <section
        className="card step-body"
        aria-label={t(`step.${step}`)}
        data-step={step}
        tabIndex={-1}
        ref={body}
      >
        {found && (
          <Alert color="red" mb="md" role="alert">
            {t('found')}
          </Alert>
        )}
        <Body
          step={step}
          draft={draft}
          faults={faults}
          nodes={nodes}
          agents={agents}
          change={change}
          show={show}
          onCreated={setCreated}
        />
      </section>
      <Group justify="space-between">
        <Button
          variant="default"
          leftSection={<IconArrowLeft size={16} aria-hidden />}
          onClick={() => setStep(STEPS[index - 1] ?? step)}
          disabled={index === 0}
        >
          {t('back')}
        </Button>
        {step !== 'summary' && (
          <Button rightSection={<IconArrowRight size={16} aria-hidden />} onClick={next}>
            {t('next')}
          </Button>
        )}
      </Group>
    </Stack>
  );
}

/** `dir` of `paths[0].dir`. */
function lastOf(field: string): string {
  return field.slice(field.lastIndexOf('.') + 1);
}

export interface StepProps {
  readonly draft: WizardDraft;
  readonly faults: Faults;
  /** Null: no node is chosen yet. */
  readonly nodes: WizardNodes | null;
  readonly agents: readonly AgentDescription[];
  readonly change: (part: Partial<WizardDraft>) => void;
}

interface BodyProps extends StepProps {
  readonly step: Step;
  readonly show: (faults: Faults) => boolean;
  readonly onCreated: (created: Created) => void;
}

function Body({ step, nodes, show, onCreated, ...rest }: BodyProps) {
  const props = { ...rest, nodes };
  if (step === 'source' || nodes === null) return <StepSource {...props} />;
  switch (step) {
    case 'directories':
      return <StepDirectories {...props} />;
    case 'application':
      return <StepApplication {...props} />;
    case 'address':
      return <StepAddress {...props} />;
    case 'protection':
      return <StepProtection {...props} />;
    case 'summary':
      return <StepSummary {...rest} nodes={nodes} show={show} onCreated={onCreated} />;
  }
}

function useNodes({ node }: WizardDraft): WizardNodes | null {
  const own = useFleet().data?.nodes.find(({ id }) => id === node);
  if (own === undefined || own.peerName === null) return null;
  return {
    id: own.id,
    name: own.name,
    isReachable: own.isReachable,
    peerId: own.peerId,
    peerName: own.peerName,
  };
}

function useAgents(node: string): readonly AgentDescription[] {
  const agents = useQuery({
    queryKey: ['agents', node],
    queryFn: async ({ signal }) =>
      call<{ agents: AgentDescription[] }>(nodeRoute(node, '/agents'), { signal }),
    enabled: node !== '',
    staleTime: 60_000,
  });
  return agents.data?.agents ?? [];
}
