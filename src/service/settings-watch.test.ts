// Settings that differ between the nodes, and those that only look so.
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { defineGroup, mirroredDefinition, parseGroupInput } from './group-definition.ts';
import { GroupTroubles } from './group-troubles.ts';
import { PROGRAM } from './installation.ts';
import type { GroupView, NodeView } from './node-protocol.ts';
import { settingsDigest, SettingsWatch } from './settings-watch.ts';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

const written = parseGroupInput({ name: 'shop', paths: [{ dir: '/srv/shop' }] }, 'test');
const own = defineGroup(written, {
  peerId: '0'.repeat(16),
  port: 7441,
  origin: 'test',
  agents: [],
});
const others = { ...own, verifyEveryMs: null };

function watch(isEdited = false): { settings: SettingsWatch; troubles: GroupTroubles } {
  const troubles = new GroupTroubles();
  const settings = new SettingsWatch({
    groupId: own.groupId,
    settings: () => own,
    isEdited: () => isEdited,
    troubles,
  });
  return { settings, troubles };
}

const node = (version: string = PROGRAM.version): NodeView =>
  ({ node: { name: 'b', version }, groups: [] }) as unknown as NodeView;
const group = (settings: string | undefined, groupId = own.groupId): GroupView =>
  ({ groupId, settings }) as unknown as GroupView;

test('the digest is the same for the same settings, however they were read and whoever looks', () => {
  const reversed = Object.fromEntries(Object.entries(own.replication).toReversed());
  const bandwidth = { rate: 1e6, schedule: [], revision: 7 };
  const read = { ...own, replication: { ...own.replication, ...reversed, bandwidth } };
  expect(settingsDigest(read)).toBe(settingsDigest(own));
  expect(settingsDigest(mirroredDefinition(own, '1'.repeat(16)))).toBe(settingsDigest(own));
  const replication = { ...own.replication, mode: 'async' as const };
  expect(settingsDigest({ ...own, replication })).not.toBe(settingsDigest(own));
});

test('a difference that stays is told, until it is gone', () => {
  const { settings, troubles } = watch();
  const other = group(settingsDigest(others));
  settings.look(node(), other);
  vi.advanceTimersByTime(9900);
  settings.look(node(), other);
  expect(settings.isDifferent).toBe(false);
  vi.advanceTimersByTime(100);
  settings.look(node(), other);
  expect(troubles.get('settings')).toContain('node "b"');
  settings.look(node(), group(settingsDigest(own)));
  expect(troubles.all).toEqual([]);
});

test.each([
  ['while they are being changed here', node(), group(settingsDigest(others)), true],
  ['of another version', node('0.0.1'), group(settingsDigest(others)), false],
  ['of a node that does not tell', node(), group(undefined), false],
  ['of another group', node(), group(settingsDigest(others), 'ff'.repeat(16)), false],
])('a difference %s is none', (_, view, other, isEdited) => {
  const { settings, troubles } = watch(isEdited);
  for (let looks = 0; looks < 5; looks += 1) {
    settings.look(view, other);
    vi.advanceTimersByTime(5000);
  }
  expect(troubles.all).toEqual([]);
});
