// A group as the wizard has it, what of it goes to the API, and on which step a fault is shown. Pure.
import type { Proposals } from '../../../service/admin-api/discovery.ts';
import type { AgentDescription } from '../../../agents/host/host-protocol.ts';
import {
  type BandwidthDraft,
  bandwidthDraft,
  bandwidthInput,
} from '../bandwidth/bandwidth-draft.ts';
import {
  fieldsOf,
  linesOf,
  parametersOf,
  type ParameterValues,
  valuesOf,
} from './schema-fields.ts';

export const STEPS = [
  'source',
  'directories',
  'application',
  'address',
  'protection',
  'summary',
] as const;
export type Step = (typeof STEPS)[number];

export interface PathDraft {
  /** For lists on the page. */
  readonly key: number;
  readonly dir: string;
  /** Empty: the same as here. */
  readonly standbyDir: string;
  /** One pattern a line; empty: everything. */
  readonly include: string;
  readonly exclude: string;
}

export interface AgentDraft {
  readonly key: number;
  readonly use: string;
  readonly values: ParameterValues;
}

export interface AddressDraft {
  readonly key: number;
  /** With its prefix. */
  readonly ip: string;
  readonly interface: string;
  /** On the other node; empty: the same. */
  readonly peerInterface: string;
}

export interface WizardDraft {
  /** The console's id of the node that is to be primary. */
  readonly node: string;
  readonly name: string;
  readonly paths: readonly PathDraft[];
  readonly isSeed: boolean;
  readonly allowEmptyMatch: boolean;
  readonly agents: readonly AgentDraft[];
  readonly addresses: readonly AddressDraft[];
  readonly mode: 'sync' | 'memory' | 'async';
  readonly onStandbyLoss: 'continue' | 'block';
  readonly bandwidth: BandwidthDraft;
  readonly isAutomatic: boolean;
  readonly arbiter: 'gateway' | 'etcd' | 'none';
  /** Empty: the default gateway of the node. */
  readonly gateway: string;
  /** One a line. */
  readonly etcd: string;
  readonly profile: 'default' | 'fast';
  /** `7d`, or `off`. */
  readonly verify: string;
  /** What discovery said of the application that was chosen. */
  readonly notes: readonly string[];
}

export function emptyPath(key: number): PathDraft {
  return { key, dir: '', standbyDir: '', include: '', exclude: '' };
}

export function emptyDraft(node: string): WizardDraft {
  return {
    node,
    name: '',
    paths: [emptyPath(0)],
    isSeed: false,
    allowEmptyMatch: false,
    agents: [],
    addresses: [],
    mode: 'sync',
    onStandbyLoss: 'continue',
    bandwidth: bandwidthDraft({ rate: null, schedule: [] }),
    isAutomatic: false,
    arbiter: 'gateway',
    gateway: '',
    etcd: '',
    profile: 'default',
    verify: '7d',
    notes: [],
  };
}

/** The draft with what discovery proposes for one application. */
export function fromProposal(
  draft: WizardDraft,
  { group, notes }: Proposals[number],
  agents: readonly AgentDescription[],
): WizardDraft {
  return {
    ...draft,
    name: group.name,
    notes,
    paths: group.paths.map(({ dir, exclude = [] }, key) => ({
      ...emptyPath(key),
      dir,
      exclude: exclude.join('\n'),
    })),
    agents: group.agents.map(({ use, ...parameters }, key) => ({
      key,
      use,
      values: valuesOf(fieldsOf(schemaOf(agents, use)), parameters),
    })),
  };
}

export function schemaOf(
  agents: readonly AgentDescription[],
  use: string,
): Readonly<Record<string, unknown>> {
  return agents.find(({ name }) => name === use)?.parameters ?? {};
}

export function nextKey(list: readonly { readonly key: number }[]): number {
  return 1 + Math.max(-1, ...list.map(({ key }) => key));
}

/** Whether nodes decide about the role themselves: without, there is neither an address nor an application to move. */
export function isManaged({ isAutomatic, addresses, agents }: WizardDraft): boolean {
  return isAutomatic || addresses.length > 0 || agents.length > 0;
}

/** The group as `POST /groups` takes it. `nodes`: names of this node and of the other one. */
export function groupInput(
  draft: WizardDraft,
  agents: readonly AgentDescription[],
  nodes: { readonly own: string; readonly peer: string },
): Record<string, unknown> {
  const { name, paths, isSeed, mode, onStandbyLoss, bandwidth, verify } = draft;
  return {
    name: name.trim(),
    paths: paths.map(pathInput),
    ...(isSeed ? { seed: true } : {}),
    replication: {
      mode,
      ...(mode === 'async' ? {} : { onStandbyLoss }),
      bandwidth: bandwidthInput(bandwidth),
    },
    ...(draft.agents.length === 0
      ? {}
      : {
          agents: draft.agents.map(({ use, values }) => ({
            use,
            ...parametersOf(fieldsOf(schemaOf(agents, use)), values),
          })),
        }),
    ...(draft.addresses.length === 0
      ? {}
      : { addresses: draft.addresses.map((address) => addressInput(address, nodes)) }),
    ...(isManaged(draft) ? { failover: failoverInput(draft) } : {}),
    verify: verify.trim(),
  };
}

function pathInput({ dir, standbyDir, include, exclude }: PathDraft): Record<string, unknown> {
  const [included, excluded] = [linesOf(include), linesOf(exclude)];
  return {
    dir: dir.trim(),
    ...(standbyDir.trim() === '' ? {} : { standbyDir: standbyDir.trim() }),
    ...(included.length === 0 ? {} : { include: included }),
    ...(excluded.length === 0 ? {} : { exclude: excluded }),
  };
}

function addressInput(
  address: AddressDraft,
  { own, peer }: { readonly own: string; readonly peer: string },
): Record<string, unknown> {
  const { ip, interface: here, peerInterface } = address;
  const there = peerInterface.trim() === '' ? here : peerInterface;
  return {
    ip: ip.trim(),
    interface: here === there ? here : { [own]: here, [peer]: there },
  };
}

function failoverInput(draft: WizardDraft): Record<string, unknown> {
  const { isAutomatic, arbiter, gateway, etcd, profile } = draft;
  return {
    automatic: isAutomatic,
    arbiter,
    ...(arbiter === 'gateway' && gateway.trim() !== '' ? { gateway: gateway.trim() } : {}),
    ...(arbiter === 'etcd' ? { etcd: { endpoints: linesOf(etcd) } } : {}),
    ...(profile === 'default' ? {} : { profile }),
  };
}

const STEP_OF: readonly (readonly [RegExp, Step])[] = [
  [/^name$/, 'source'],
  [/^paths\b/, 'directories'],
  [/^agents\b/, 'application'],
  [/^addresses\b/, 'address'],
  [/^(replication|failover|verify|fencing|default$|schedule\b|safety)/, 'protection'],
];

/** The step that shows a field of the API; undefined: none does. */
export function stepOf(field: string): Step | undefined {
  return STEP_OF.find(([pattern]) => pattern.test(field))?.[1];
}

export type Faults = Readonly<Record<string, string>>;

/** The fault that is shown at `field`: its own, or one below it when `isWhole`. */
export function faultAt(faults: Faults, field: string, isWhole = false): string | undefined {
  if (faults[field] !== undefined || !isWhole) return faults[field];
  const below = Object.keys(faults).find(
    (one) => one.startsWith(`${field}.`) || one.startsWith(`${field}[`),
  );
  return below === undefined ? undefined : faults[below];
}

/** What is obviously missing on a step, by field: so that nobody finds it out five steps later. */
export function missingOn(step: Step, draft: WizardDraft): readonly string[] {
  switch (step) {
    case 'source':
      return draft.name.trim() === '' ? ['name'] : [];
    case 'directories':
      return draft.paths.flatMap(({ dir }, index) =>
        dir.trim() === '' ? [`paths[${index}].dir`] : [],
      );
    case 'application':
      return draft.agents.flatMap(({ use }, index) => (use === '' ? [`agents[${index}].use`] : []));
    case 'address':
      return draft.addresses.flatMap(({ ip, interface: card }, index) => [
        ...(ip.trim() === '' ? [`addresses[${index}].ip`] : []),
        ...(card === '' ? [`addresses[${index}].interface`] : []),
      ]);
    default:
      return [];
  }
}
