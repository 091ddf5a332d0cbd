// The settings of a group that may change, as text in a form, and what of them goes to the API. Pure. Fields have the names that the API has
// for them, so that its faults find their places; only what differs from before is sent.
import type { AgentDescription } from '../../../../agents/host/host-protocol.ts';
import type { GroupDefinition } from '../../../../service/group-definition.ts';
import { type AgentSettings, agentInput, agentSettings, isSameAgent } from './agent-draft.ts';
import { durationText, numberOr, sizeText } from './written.ts';

export const SETTING_NAMES = [
  'replication.mode',
  'replication.onStandbyLoss',
  'replication.syncTimeout',
  'replication.linkTimeout',
  'replication.compression',
  'replication.port',
  'replication.backlog',
  'replication.journal',
  'replication.undo',
  'replication.undo.hours',
  'replication.undo.diskPercent',
  'safety.deletions',
  'safety.deletions.files',
  'safety.deletions.percent',
  'safety.deletions.within',
  'safety.guard',
  'verify',
] as const;
export type SettingName = (typeof SETTING_NAMES)[number];
export type SettingTexts = Readonly<Record<SettingName, string>>;

export interface SettingsDraft {
  readonly texts: SettingTexts;
  readonly agents: readonly AgentSettings[];
}

/** What stands in the fields of something that is switched off, for when it is switched on. */
const UNDO_HOURS = 24;
const DELETIONS = { filesMin: 100, share: 0.5, windowMs: 60_000 } as const;

/** `catalog`: what is known of agents, for their parameters. */
export function settingsDraft(
  definition: GroupDefinition,
  catalog: readonly AgentDescription[],
): SettingsDraft {
  const { replication, replicationPort, safety, verifyEveryMs, agents } = definition;
  const { undo } = replication;
  const deletions = safety.deletions ?? DELETIONS;
  return {
    texts: {
      'replication.mode': replication.mode,
      'replication.onStandbyLoss': replication.onStandbyLoss,
      'replication.syncTimeout': durationText(replication.syncTimeoutMs),
      'replication.linkTimeout': durationText(replication.linkTimeoutMs),
      'replication.compression': replication.compression,
      'replication.port': String(replicationPort),
      'replication.backlog': sizeText(replication.backlogBytesMax),
      'replication.journal': sizeText(replication.journalBytesMax),
      'replication.undo': undo.hours === 0 ? 'off' : 'on',
      'replication.undo.hours': String(undo.hours === 0 ? UNDO_HOURS : undo.hours),
      'replication.undo.diskPercent': String(undo.diskPercent),
      'safety.deletions': safety.deletions === null ? 'off' : 'on',
      'safety.deletions.files': String(deletions.filesMin),
      'safety.deletions.percent': String(Number((deletions.share * 100).toFixed(3))),
      'safety.deletions.within': durationText(deletions.windowMs),
      'safety.guard': safety.guard,
      verify: verifyEveryMs === null ? 'off' : durationText(verifyEveryMs),
    },
    agents: agents.map((agent) => agentSettings(agent, catalog)),
  };
}

/** What `PATCH /groups/G` takes; without a key: nothing has changed. */
export function settingsEdit(
  definition: GroupDefinition,
  draft: SettingsDraft,
  catalog: readonly AgentDescription[],
): Record<string, unknown> {
  const before = settingsDraft(definition, catalog);
  const { texts } = draft;
  const has = (name: SettingName): boolean =>
    SETTING_NAMES.some(
      (one) => (one === name || one.startsWith(`${name}.`)) && texts[one] !== before.texts[one],
    );
  const given = (name: SettingName, value: unknown): [string, unknown][] =>
    has(name) ? [[lastOf(name), value]] : [];
  const text = (name: SettingName): [string, unknown][] => given(name, texts[name].trim());
  const number = (name: SettingName): unknown => numberOr(texts[name]);
  const replication = [
    ...text('replication.mode'),
    ...text('replication.onStandbyLoss'),
    ...text('replication.syncTimeout'),
    ...text('replication.linkTimeout'),
    ...text('replication.compression'),
    ...given('replication.port', number('replication.port')),
    ...text('replication.backlog'),
    ...text('replication.journal'),
    ...switched('replication.undo', {
      hours: number('replication.undo.hours'),
      diskPercent: number('replication.undo.diskPercent'),
    }),
  ];
  const safety = [
    ...switched('safety.deletions', {
      files: number('safety.deletions.files'),
      percent: number('safety.deletions.percent'),
      within: texts['safety.deletions.within'].trim(),
    }),
    ...text('safety.guard'),
  ];
  const agents = agentsEdit(definition, draft, catalog);
  return {
    ...(replication.length === 0 ? {} : { replication: Object.fromEntries(replication) }),
    ...(safety.length === 0 ? {} : { safety: Object.fromEntries(safety) }),
    ...(agents === null ? {} : { agents }),
    ...Object.fromEntries(text('verify')),
  };

  /** What is off has no more to say, also when somebody wrote into its fields before. */
  function switched(
    name: 'replication.undo' | 'safety.deletions',
    inner: Readonly<Record<string, unknown>>,
  ): [string, unknown][] {
    if (texts[name] === 'off' && before.texts[name] === 'off') return [];
    return given(name, texts[name] === 'off' ? 'off' : inner);
  }
}

/** All of them, each whole, as the API takes them; null: none has changed. */
function agentsEdit(
  { agents }: GroupDefinition,
  draft: SettingsDraft,
  catalog: readonly AgentDescription[],
): Record<string, unknown>[] | null {
  const isSame = agents.every((agent, index) => {
    const now = draft.agents[index];
    return now === undefined || isSameAgent(agentSettings(agent, catalog), now);
  });
  if (isSame) return null;
  return agents.map((agent, index) =>
    agentInput(agent, draft.agents[index] ?? agentSettings(agent, catalog), catalog),
  );
}

const lastOf = (name: string): string => name.slice(name.lastIndexOf('.') + 1);

/** What somebody has written into the form; the rest is as the node has it, also when that changes meanwhile. */
export interface Touched {
  readonly texts: Partial<SettingTexts>;
  readonly agents: Readonly<Record<number, Partial<AgentSettings>>>;
}
export const UNTOUCHED: Touched = { texts: {}, agents: {} };

export function withTouched(draft: SettingsDraft, { texts, agents }: Touched): SettingsDraft {
  return {
    texts: { ...draft.texts, ...texts },
    agents: draft.agents.map(({ times, values }, index) => ({
      times: { ...times, ...agents[index]?.times },
      values: { ...values, ...agents[index]?.values },
    })),
  };
}

/** Whether a field of the API has a place in the form. */
export function hasPlace(field: string): boolean {
  return SETTING_NAMES.some((name) => name === field) || field.startsWith('agents[');
}
