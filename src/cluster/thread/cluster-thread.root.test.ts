// The thread by itself: one machine of a group in the place of another.
import { afterEach, beforeEach, expect, test } from 'vitest';
import { A, B, GROUP, testKey } from '../heartbeat/fixtures/beats.ts';
import { HEARTBEAT_PORT } from '../heartbeat/path-socket.ts';
import { firstMemo } from '../machine/state.ts';
import { defaultTimings } from '../machine/timings.ts';
import { ClusterThread, type GroupSetup } from './cluster-thread.ts';

const local = `127.${64 + (process.pid % 128)}.200.1`;

let thread: ClusterThread;
/** What the machine of the group wanted and was, as it was heard. */
let heard: string[] = [];

beforeEach(async () => {
  heard = [];
  const keys = { send: testKey('a'), receive: testKey('b') };
  const paths = [{ name: 'lan', local, remote: '127.0.0.9', port: HEARTBEAT_PORT }];
  thread = await ClusterThread.start(
    { ownId: A, peerId: B, keys, paths, pathDeadAfterMs: 500 },
    {
      onEffect: (_, effect) => heard.push(effect.kind),
      onView: (_, { paused }) => heard.push(paused ? 'paused' : 'not paused'),
      onNetwork: () => undefined,
      onFailure: (error) => heard.push(error.message),
    },
  );
});
afterEach(async () => thread.close());

function setup(life: number): GroupSetup {
  return {
    groupId: GROUP,
    slot: 0,
    config: {
      group: 'shop',
      self: { id: A, name: 'a' },
      peer: { id: B, name: 'b' },
      mode: 'sync',
      arbiter: 'none',
      fencing: 'off',
      hasAddress: false,
      hasApplication: false,
      automatic: true,
      availabilityFirst: false,
      preferred: A,
      failback: false,
      timings: defaultTimings,
    },
    boot: {
      life,
      memo: firstMemo(false),
      copy: 'up-to-date',
      position: { epoch: 1, sequence: 0 },
      running: null,
    },
    leaseFile: null,
    arbiter: { kind: 'none' },
    addresses: null,
    watchdogPath: null,
  };
}

test('what a machine wanted last is not taken for what the one in its place wants', async () => {
  await thread.addGroup(setup(1));
  heard = [];
  const paused = thread.command(GROUP, { kind: 'pause' });
  // While the thread is at it:
  thread.removeGroup(GROUP);
  await thread.addGroup(setup(2));
  expect(await paused).toBeNull();
  expect(heard).not.toContain('persist');
  expect(heard).not.toContain('paused');
  expect(await thread.command(GROUP, { kind: 'pause' })).toBeNull();
  expect(heard).toEqual(expect.arrayContaining(['persist', 'paused']));
});
