import { expect, test } from 'vitest';
import type { AgentDescription } from '../../../../agents/host/host-protocol.ts';
import { parseDurationMs, parseBytes } from '../../../../core/units.ts';
import { defineGroup, parseGroupInput } from '../../../../service/group-definition.ts';
import {
  changedKeys,
  editedSettings,
  parseGroupEdit,
} from '../../../../service/group-edit-input.ts';
import {
  settingsDraft,
  type SettingsDraft,
  settingsEdit,
  type SettingName,
} from './settings-draft.ts';
import { durationText, sizeText } from './written.ts';

const AGENT = {
  use: 'web',
  name: 'shop',
  after: [],
  startTimeoutMs: 60_000,
  stopTimeoutMs: 90_000,
  watchesOnly: false,
  probeIntervalMs: 5000,
  probeTimeoutMs: 1500,
  restarts: { limit: 3, withinMs: 600_000 },
  parameters: { start: ['run', 'a b'], port: 80, unknown: { deep: 1 } },
};
const CATALOG = [
  {
    name: 'web',
    title: 'Web',
    description: '',
    parameters: {
      properties: {
        start: { anyOf: [{ type: 'string' }, { type: 'array' }] },
        port: { type: 'integer' },
        host: { type: 'string' },
      },
      required: ['start'],
    },
  },
] as unknown as readonly AgentDescription[];

const before = defineGroup(
  parseGroupInput({ name: 'shop', paths: [{ dir: '/srv/shop' }] }, 'test'),
  { peerId: '0'.repeat(16), port: 7441, origin: 'test', agents: [AGENT] },
);
const draft = settingsDraft(before, CATALOG);

function edited(texts: Partial<Record<SettingName, string>>, agents = draft.agents): SettingsDraft {
  return { texts: { ...draft.texts, ...texts }, agents };
}
const edit = (...given: Parameters<typeof edited>) =>
  settingsEdit(before, edited(...given), CATALOG);

test('nothing was changed: nothing is sent', () => {
  expect(settingsEdit(before, draft, CATALOG)).toEqual({});
});

test('only what differs is sent, in the form that the API takes', () => {
  expect(
    edit({
      'replication.syncTimeout': ' 5s',
      'replication.port': '7555',
      'replication.undo.hours': '48',
      'safety.deletions': 'off',
      'safety.deletions.files': '7',
      verify: 'off',
    }),
  ).toEqual({
    replication: { syncTimeout: '5s', port: 7555, undo: { hours: 48, diskPercent: 10 } },
    safety: { deletions: 'off' },
    verify: 'off',
  });
});

test('what is no number goes as it was written, for the API to say so', () => {
  expect(edit({ 'replication.port': 'many' })).toEqual({ replication: { port: 'many' } });
});

test('of an agent, what nobody touched goes back as it was written, whatever its form', () => {
  const [agent] = draft.agents;
  if (agent === undefined) throw new Error('there is one');
  const times = { ...agent.times, probeInterval: '10s' };
  const values = { ...agent.values, host: 'db', port: '' };
  expect(edit({}, [{ times, values }])).toEqual({
    agents: [
      {
        use: 'web',
        name: 'shop',
        after: [],
        startTimeout: '1min',
        stopTimeout: '90s',
        probeInterval: '10s',
        probeTimeout: '1500ms',
        restarts: { limit: 3, within: '10min' },
        start: ['run', 'a b'],
        unknown: { deep: 1 },
        host: 'db',
      },
    ],
  });
});

test('each field changes what it is called after, and the node takes it', () => {
  const other: Record<SettingName, string> = {
    'replication.mode': 'async',
    'replication.onStandbyLoss': 'block',
    'replication.syncTimeout': '7s',
    'replication.linkTimeout': '8s',
    'replication.compression': 'on',
    'replication.port': '7600',
    'replication.backlog': '1 GiB',
    'replication.journal': '512 MiB',
    'replication.undo': 'off',
    'replication.undo.hours': '1.5',
    'replication.undo.diskPercent': '20',
    'safety.deletions': 'off',
    'safety.deletions.files': '5',
    'safety.deletions.percent': '12.5',
    'safety.deletions.within': '2min',
    'safety.guard': 'halt',
    verify: '3d',
  };
  for (const [name, text] of Object.entries(other)) {
    const body = edit({ [name]: text });
    const given = { origin: 'test', agents: undefined, nodes: ['a', 'b'] };
    const after = editedSettings(before, parseGroupEdit(body, 'test'), given);
    const [key] = /^(replication\.undo|safety\.deletions)/.exec(name) ?? [name];
    expect([name, changedKeys(before, after)]).toEqual([name, [key]]);
    const shown = settingsDraft({ ...before, ...after }, CATALOG).texts[name as SettingName];
    expect([name, shown]).toEqual([name, text]);
  }
});

test('times and sizes are written so that they are read as the same', () => {
  for (const ms of [1, 999, 1500, 2000, 90_000, 60_000, 5_400_000, 86_400_000]) {
    expect(parseDurationMs(durationText(ms))).toBe(ms);
  }
  for (const bytes of [0, 5, 1024, 1_000_000, 64 * 1024 ** 2, 8 * 1024 ** 3]) {
    expect(parseBytes(sizeText(bytes))).toBe(bytes);
  }
});
