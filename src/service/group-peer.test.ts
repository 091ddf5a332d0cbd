// A group that the other node does not know: an orphan, or one that is just being made there?
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { GroupPeer } from './group-peer.ts';
import { initialState } from './group-state.ts';
import { GroupTroubles } from './group-troubles.ts';
import type { NodeView } from './node-protocol.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const view = { node: { name: 'a' }, groups: [] } as unknown as NodeView;

function standbyOfNobody(): { peer: GroupPeer; troubles: GroupTroubles } {
  const troubles = new GroupTroubles();
  const peer = new GroupPeer({
    group: 'shop',
    groupId: 'one',
    node: 'b',
    state: () => initialState('standby', 1),
    noteState: () => undefined,
    troubles,
    phase: () => 'running',
    ask: async () => 'unreachable',
    isClosed: () => false,
    onDecidable: () => undefined,
    emit: () => undefined,
  });
  return { peer, troubles };
}

test('nothing is said while the other node may still be making it', () => {
  const { peer, troubles } = standbyOfNobody();
  peer.conclude(view, undefined);
  vi.advanceTimersByTime(4900);
  peer.conclude(view, undefined);
  expect(troubles.all).toEqual([]);
});

test('five seconds later it is an orphan, and how to be rid of it is said', () => {
  const { peer, troubles } = standbyOfNobody();
  peer.conclude(view, undefined);
  vi.advanceTimersByTime(5000);
  peer.conclude(view, undefined);
  expect(troubles.get('peer')).toContain('understudy group delete shop --force');
});
