import { expect, test } from 'vitest';
import type { AgentView } from '../../../service/node-protocol.ts';
import type { GroupStatus } from '../../../service/status.ts';
import { overviewOf } from '../fixtures/overviews.ts';
import { agentLevel, agentState } from './agent-state.ts';
import { localText, wishOf } from './earlier/moment.ts';
import { newestFirst } from './newest-first.ts';
import { noteProbes } from './probe-history.ts';
import { linkState, placesOf, stepSeconds } from './topology-state.ts';

const agent = (change: Partial<AgentView>): AgentView => ({
  name: 'db',
  use: 'postgresql',
  phase: 'running',
  seen: { at: '2026-01-01T00:00:00Z', state: 'ok', sentence: '', ms: 3, measures: {} },
  fault: null,
  restarts: 0,
  restartsMax: 3,
  log: '',
  ...change,
});
const status = (agents: readonly AgentView[]): GroupStatus =>
  ({ local: { role: 'standby', agents: [] }, remote: { role: 'primary', agents } }) as never;

test('the nodes keep their places when the roles change', () => {
  const [a, b] = [
    { id: 'a', name: 'a' },
    { id: 'b', name: 'b' },
  ];
  const names = (
    change: Parameters<typeof overviewOf>[0],
    nodes = [a, b],
    told?: Parameters<typeof placesOf>[1],
  ): unknown[] =>
    placesOf(overviewOf(change), told, nodes).map(({ name, role }) => `${name} ${role}`);
  expect(names({})).toEqual(['a primary', 'b standby']);
  expect(names({ primary: 'b', standby: 'a' }, [b, a])).toEqual(['a standby', 'b primary']);
  expect(names({ standby: null })).toEqual(['a primary', 'b null']);
  expect(names({}, [a])).toEqual(['a primary', 'null null']);
  const split = { local: { role: 'primary' }, remote: { role: 'primary' } } as never;
  expect(names({ standby: null }, [b, a], split)).toEqual(['a primary', 'b primary']);
});

test('the link moves only where something flows, and faster with more', () => {
  const of = (link: string, rate: number | null, isStale = false): string =>
    linkState({ link, wireBytesPerSecond: rate, isStale });
  expect([of('connected', 5), of('connected', 0), of('connected', 5, true)]).toEqual([
    'flowing',
    'idle',
    'broken',
  ]);
  expect([of('connecting', 5), of('waiting', 0), of('unknown', null)]).toEqual([
    'broken',
    'waiting',
    'broken',
  ]);
  expect(stepSeconds(1e9)).toBeLessThan(stepSeconds(1e5));
  expect([stepSeconds(0), stepSeconds(1e12)]).toEqual([2.4, 0.35]);
});

test('an agent is as its probe saw it, unless it is on its way', () => {
  expect(agentState(agent({}))).toBe('ok');
  expect(agentState(agent({ phase: 'stopping' }))).toBe('stopping');
  expect(agentLevel(agent({ fault: 'start failed' }))).toBe('error');
  expect(agentLevel(agent({ phase: 'running', seen: null }))).toBe('ok');
});

test('each probe is noted once, and only so many are kept', () => {
  const seen = (index: number): AgentView =>
    agent({
      seen: {
        at: new Date(index * 1000).toISOString(),
        state: 'ok',
        sentence: '',
        ms: 1,
        measures: {},
      },
    });
  let history = noteProbes({}, status([seen(0)]));
  expect(noteProbes(history, status([seen(0)]))).toBe(history);
  for (let index = 1; index < 100; index += 1) history = noteProbes(history, status([seen(index)]));
  expect(history['db']?.length).toBe(40);
  expect(history['db']?.at(-1)?.at).toBe('1970-01-01T00:01:39.000Z');
});

test('events of both nodes are one list, the newest first', () => {
  const event = (id: number, at: string) =>
    ({ id, at, level: 'info', code: '', message: '', details: {}, acknowledged: null }) as const;
  const told = [
    {
      node: 'a',
      events: [event(2, '2026-01-01T00:00:03Z'), event(1, '2026-01-01T00:00:01+00:00')],
    },
    { node: 'b', events: [event(9, '2026-01-01T00:00:02Z')] },
  ];
  expect(newestFirst(told, 2).map(({ node, id }) => `${node}${id}`)).toEqual(['a2', 'b9']);
});

test('a moment in a form is that moment for the API', () => {
  const atMs = Date.UTC(2026, 0, 31, 23, 59, 58);
  expect(wishOf({ kind: 'time', text: localText(atMs) })).toEqual({ kind: 'time', atMs });
  expect(wishOf({ kind: 'time', text: '' })).toBeNull();
  expect(wishOf({ kind: 'name', name: 'update' })).toEqual({ kind: 'name', name: 'update' });
});
