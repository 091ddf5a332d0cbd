// Commands that take nothing but a name, and what they change beside the machine.
import { expect, test } from 'vitest';
import { UnderstudyError } from '../../core/errors.ts';
import type { GroupRuntime } from '../group-runtime.ts';
import { GroupTroubles } from '../group-troubles.ts';
import type { NodeService } from '../node-service.ts';
import { leaveManaged, simpleCommand, yieldManaged } from './managed-commands.ts';

test('forgotten failures are shown no more, also on a node that starts nothing any more', async () => {
  const troubles = new GroupTroubles();
  troubles.set('agents', 'agent "web" of group "shop" did not start');
  troubles.set('mounts', 'somebody meddles');
  let forgiven = 0;
  const runtime = {
    agents: { forgive: () => (forgiven += 1) },
    setTrouble: troubles.set.bind(troubles),
    state: { epoch: 3 },
  } as unknown as GroupRuntime;
  const sent: string[] = [];
  const command = async ({ kind }: { kind: string }): Promise<unknown> =>
    Promise.resolve(sent.push(kind));
  const service = { failover: { of: () => ({ command }) } } as unknown as NodeService;

  await simpleCommand(service, runtime, 'pause');
  expect(troubles.all).toHaveLength(2);
  await simpleCommand(service, runtime, 'clear-failures');
  expect(troubles.all).toEqual(['somebody meddles']);
  expect([sent, forgiven]).toEqual([['pause', 'clear-failures'], 1]);
});

test('a split brain is not ended without consent; where there is none, the machine has the word', async () => {
  const runtime = { state: { epoch: 3 } } as unknown as GroupRuntime;
  const asked: string[] = [];
  const serviceWith = (peerRole: string): NodeService => {
    const command = async ({ kind }: { kind: string }): Promise<unknown> =>
      Promise.resolve(asked.push(`${kind} ${peerRole}`));
    const failover = { command, view: { role: 'primary', peerRole } };
    const peers = { requirePeer: () => ({ name: 'b' }) };
    return { failover: { of: () => failover }, peers } as unknown as NodeService;
  };
  await expect(yieldManaged(serviceWith('primary'), runtime, false)).rejects.toMatchObject({
    code: 'YIELD_NEEDS_FORCE',
  });
  expect(asked).toEqual([]);
  await yieldManaged(serviceWith('primary'), runtime, true);
  await yieldManaged(serviceWith('standby'), runtime, false);
  expect(asked).toEqual(['yield primary', 'yield standby']);
});

test.each([
  ['the application cannot be stopped: it serves on', 'primary', false],
  ['the stream was not ended in order: it has ended', 'standby', true],
])('a handover before a shutdown that failed: %s', async (_, role, leaving) => {
  const view = { role, leaving, offers: false, peerRole: 'standby' };
  let isKept = false;
  const refusal = new UnderstudyError('HANDOVER_FAILED', 'as the machine says');
  const failover = {
    view: { ...view, role: 'primary', leaving: false },
    command: async () => Promise.reject(refusal),
    waitFor: async (isWanted: (seen: unknown) => boolean) =>
      Promise.resolve(isWanted(view) ? view : undefined),
    data: { keepAsOwn: async () => Promise.resolve((isKept = true)) },
  };
  const service = { failover: { of: () => failover } } as unknown as NodeService;
  const left = leaveManaged(service, {} as GroupRuntime);
  if (role === 'primary') await expect(left).rejects.toBe(refusal);
  else expect(await left).toBe('stopped');
  expect(isKept, 'the data is that of the last primary').toBe(role === 'standby');
});

test('a group that was offered, and was not taken in time, is not told to be served by nobody', async () => {
  let isKept = false;
  const failover = {
    view: { role: 'primary', leaving: false, offers: false, peerRole: 'standby' },
    command: async () => Promise.resolve(),
    waitFor: async () => Promise.resolve(undefined),
    data: { keepAsOwn: async () => Promise.resolve((isKept = true)) },
  };
  const service = { failover: { of: () => failover } } as unknown as NodeService;
  expect(await leaveManaged(service, {} as GroupRuntime)).toBe('offered');
  expect(isKept, 'the data is that of the last primary').toBe(true);
});
