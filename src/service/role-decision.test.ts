import { expect, test } from 'vitest';
import { type GroupState, initialState } from './group-state.ts';
import type { GroupView } from './node-protocol.ts';
import { concludeFromPeer, decideStart, type PeerAnswer } from './role-decision.ts';

const GROUP = 'ab'.repeat(16);
const POSITION = { streamId: 'cd'.repeat(16), sequence: 41 };

function peer(role: GroupView['role'], epoch: number, groupId = GROUP): GroupView {
  return {
    name: 'shop',
    groupId,
    role,
    epoch,
    process: 'running',
    changing: false,
    position: null,
    status: null,
    trouble: null,
    failover: null,
    agents: [],
    bandwidth: null,
    salvages: [],
  };
}

function primary(epoch: number, change: Partial<GroupState> = {}): GroupState {
  return { ...initialState('primary', epoch), ...change };
}

const handedOver = { handedOverTo: 4, position: POSITION };

test.each<[string, GroupState, PeerAnswer, object]>([
  ['a standby', initialState('standby', 3), peer('primary', 9), { kind: 'standby' }],
  ['alone', primary(3), 'unreachable', { kind: 'primary', epoch: 3 }],
  ['peer forgot it', primary(3), undefined, { kind: 'primary', epoch: 3 }],
  ['peer is standby', primary(3), peer('standby', 3), { kind: 'primary', epoch: 3 }],
  [
    'taken over meanwhile: nothing is known of the data here',
    primary(3, { position: POSITION }),
    peer('primary', 4),
    { kind: 'follow', epoch: 4, position: null },
  ],
  [
    'an older primary does not count',
    primary(3),
    peer('primary', 2),
    { kind: 'primary', epoch: 3 },
  ],
  ['handed over, silence', primary(3, handedOver), 'unreachable', { kind: 'wait' }],
  [
    'handed over, and the promotion there is under way',
    primary(3, handedOver),
    { ...peer('standby', 3), changing: true },
    { kind: 'wait' },
  ],
  [
    'handed over and taken: the data stands where it was handed over',
    primary(3, handedOver),
    peer('primary', 4),
    { kind: 'follow', epoch: 4, position: POSITION },
  ],
  [
    'handed over, then taken over by force: not the same promotion',
    primary(3, handedOver),
    peer('primary', 5),
    { kind: 'follow', epoch: 5, position: null },
  ],
  [
    'handed over, not taken: above the epoch that was promised',
    primary(3, handedOver),
    peer('standby', 3),
    { kind: 'primary', epoch: 5 },
  ],
])('start: %s', (_name, state, answer, decision) => {
  expect(decideStart(state, answer)).toEqual(decision);
});

test.each<[string, GroupState, GroupView['process'], GroupView | undefined, object]>([
  ['unknown there', primary(3), 'running', undefined, { kind: 'unknown-group' }],
  [
    'another group of that name',
    primary(3),
    'running',
    peer('standby', 3, 'ef'.repeat(16)),
    { kind: 'unknown-group' },
  ],
  ['as it should be', primary(3), 'running', peer('standby', 2), { kind: 'fine' }],
  ['waiting ends', primary(3), 'waiting', peer('standby', 3), { kind: 'decide' }],
  ['waiting ends otherwise', primary(3), 'waiting', peer('primary', 4), { kind: 'decide' }],
  [
    'promoted after us',
    primary(3),
    'running',
    peer('primary', 4),
    { kind: 'split-brain', newer: 'other' },
  ],
  [
    'promoted before us',
    primary(3),
    'running',
    peer('primary', 2),
    { kind: 'split-brain', newer: 'this' },
  ],
  [
    'handed over to us, and waits for the end of that',
    primary(3),
    'running',
    { ...peer('primary', 2), process: 'stopped', changing: true },
    { kind: 'fine' },
  ],
  [
    'handed over to us, and has not heard the end of that',
    primary(3),
    'running',
    { ...peer('primary', 2), process: 'waiting' },
    { kind: 'fine' },
  ],
  ['down and replaced', primary(3), 'failed', peer('primary', 4), { kind: 'decide' }],
  ['down, the other is older', primary(3), 'failed', peer('primary', 2), { kind: 'fine' }],
  [
    'learns the epoch',
    initialState('standby', 1),
    'running',
    peer('primary', 4),
    { kind: 'epoch', epoch: 4 },
  ],
  ['knows the epoch', initialState('standby', 4), 'running', peer('primary', 4), { kind: 'fine' }],
])('conclusion: %s', (_name, state, phase, other, conclusion) => {
  expect(concludeFromPeer({ groupId: GROUP, state, phase }, other)).toEqual(conclusion);
});
