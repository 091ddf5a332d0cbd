// The cluster process of a node: `node cluster-main.ts --spec FILE`. It holds what must not end with the
// service: heartbeats, the machines of all managed groups, leases, addresses, watchdog, and what the
// machines must remember. Started by the service, outlives it, and is found again through its control socket.
//
//   cluster thread   machines, heartbeats, leases, arbiters, addresses: never waits for anything in here
//   this thread      memo files, fence agents, the end of this machine; passes everything else to the service
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { flushCompileCache } from 'node:module';
import { present } from '../../core/assert.ts';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { within } from '../../core/within.ts';
import { nodeId } from '../../core/ids.ts';
import { Fencer } from '../../cluster/fencing/fencer.ts';
import { deriveKeys } from '../../cluster/heartbeat/keys.ts';
import type { Command, MachineEvent } from '../../cluster/machine/event-types.ts';
import { ClusterThread } from '../../cluster/thread/cluster-thread.ts';
import type { OuterEffect } from '../../cluster/thread/group-effects.ts';
import { LEASE_CELL } from '../../linux/lease-cell.ts';
import type { MachineView } from '../../cluster/thread/machine-view.ts';
import { resolveNetworks } from '../../cluster/settings.ts';
import { mapSharedCells } from '../../linux/shared-cells.ts';
import { keepMemorySmall } from '../../linux/idle-memory.ts';
import { ControlServer, makeEvent } from '../control-channel.ts';
import {
  type ClusterNotice,
  type ClusterSpec,
  clusterSpecSchema,
  type GroupHandover,
  groupRefSchema,
  type GroupStanding,
} from './cluster-protocol.ts';
import { PROGRAM } from '../installation.ts';
import { processLogger } from '../process-logger.ts';
import { endThisMachine } from './end-machine.ts';
import { MemoFile } from './memo-file.ts';

/** Silence on one network after which it counts as down, for people. */
const NETWORK_DEAD_AFTER_MS = 1000;
const EVENTS_WITHOUT_SERVICE_MAX = 200;
const PERSIST_AGAIN_MS = 1000;
/** An arbiter that does not answer keeps nobody from shutting the machine down. */
const CLOSE_TIMEOUT_MS = 2000;

const APPLICATION_ORDERS: readonly OuterEffect['kind'][] = [
  'startApplication',
  'stopApplication',
  'escalateStop',
];

/**
 * What is not to be begun any more when an effect comes: of what can be answered only once the newest counts, and what one
 * primary was allowed says nothing of the next one, whose wishes have the same numbers; of an application the last order counts.
 */
const ENDS: Readonly<Partial<Record<OuterEffect['kind'], readonly OuterEffect['kind'][]>>> = {
  allowAlone: ['allowAlone'],
  promote: ['allowAlone'],
  demote: ['demote', 'promote', 'allowAlone'],
  startApplication: APPLICATION_ORDERS,
  stopApplication: APPLICATION_ORDERS,
  escalateStop: APPLICATION_ORDERS,
};

interface Group {
  readonly handover: GroupHandover;
  readonly memo: MemoFile;
  /** Place on the board. */
  readonly slot: number;
  readonly fencer: Fencer | undefined;
  view: MachineView | null;
  /** Newest memo that was to be kept. */
  memoVersion: number;
  /** What the service has to carry out and has not answered. */
  outstanding: OuterEffect[];
}

const spec = readSpec();
const logger = processLogger({ part: 'cluster' });
const groups = new Map<string, Group>();
let thread: ClusterThread | undefined;

function readSpec(): ClusterSpec {
  const { values } = parseArgs({ options: { spec: { type: 'string' } } });
  const path = present(values.spec, 'the option --spec');
  return clusterSpecSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
}

function notify(notice: ClusterNotice): boolean {
  return control.notify(notice);
}

function onEffect(groupId: string, effect: OuterEffect): void {
  const group = groups.get(groupId);
  if (group === undefined) return;
  switch (effect.kind) {
    case 'persist':
      persist(group, effect);
      return;
    case 'fence':
      void fence(group, effect);
      return;
    case 'fenceSelf':
      void endThisMachine(spec.selfFencing, effect.why, logger);
      return;
    default:
      pass(group, effect);
  }
}

/** A disk that cannot keep it must not end the lease: it is tried again. */
function persist(group: Group, effect: Extract<OuterEffect, { kind: 'persist' }>): void {
  const { groupId } = group.handover;
  // (Another machine of the group may have taken its place.)
  if (effect.version < group.memoVersion || groups.get(groupId) !== group) return;
  group.memoVersion = effect.version;
  try {
    group.memo.keep(effect.memo);
    thread?.deliver(groupId, { kind: 'persisted', version: effect.version });
  } catch (thrown) {
    logger.error(
      { group: group.handover.config.group, message: messageOf(thrown) },
      'memo not kept',
    );
    setTimeout(() => persist(group, effect), PERSIST_AGAIN_MS);
  }
}

/** Hands an effect to the service; it is kept until it is answered. */
function pass(group: Group, effect: OuterEffect): void {
  const { groupId } = group.handover;
  if (effect.kind === 'emit')
    logger.info({ group: group.handover.config.group, ...effect }, 'event');
  const isKept = !notify({ kind: 'effect', groupId, effect }) || effect.kind !== 'emit';
  if (!isKept) return;
  const ended = ENDS[effect.kind] ?? [];
  group.outstanding = group.outstanding.filter(({ kind }) => !ended.includes(kind));
  group.outstanding.push(effect);
  if (group.outstanding.length > EVENTS_WITHOUT_SERVICE_MAX) {
    const oldest = group.outstanding.findIndex(({ kind }) => kind === 'emit');
    if (oldest >= 0) group.outstanding.splice(oldest, 1);
  }
}

async function fence(group: Group, effect: Extract<OuterEffect, { kind: 'fence' }>): Promise<void> {
  const { groupId } = group.handover;
  const answer = await (group.fencer?.fence(effect.timeoutMs) ??
    Promise.resolve({ off: false, message: 'no fence device is configured' }));
  thread?.deliver(groupId, { kind: 'fence', op: effect.op, ...answer });
}

async function add(handover: GroupHandover): Promise<GroupStanding> {
  const { groupId } = handover;
  const known = groups.get(groupId);
  if (known !== undefined) return standing(known);
  const memo = new MemoFile(handover.memoFile, handover.isCreator);
  const lease = mapSharedCells(handover.leaseFile, { create: true });
  const leaseUntilMs = lease[LEASE_CELL] ?? 0;
  const group: Group = {
    handover,
    memo,
    slot: freeSlot(),
    fencer: handover.fence === null ? undefined : new Fencer(handover.fence),
    view: null,
    memoVersion: 0,
    outstanding: [],
  };
  groups.set(groupId, group);
  const { config, leaseFile, arbiter, addresses, watchdogPath, copy, position } = handover;
  const running =
    handover.running === null
      ? null
      : { ...handover.running, leaseUntilMs, hasAddress: addresses !== null };
  try {
    await present(thread, 'the cluster thread').addGroup({
      groupId,
      slot: group.slot,
      config,
      boot: { life: memo.life, memo: memo.memo, copy, position, running },
      leaseFile,
      arbiter,
      addresses,
      watchdogPath,
    });
  } catch (thrown) {
    groups.delete(groupId);
    throw thrown;
  }
  return standing(group);
}

function freeSlot(): number {
  const used = new Set([...groups.values()].map(({ slot }) => slot));
  let slot = 0;
  while (used.has(slot)) slot += 1;
  return slot;
}

function standing({ handover, view, outstanding }: Group): GroupStanding {
  return { groupId: handover.groupId, view, effects: outstanding };
}

/** An event of the service; a result ends what is outstanding. */
function deliver(groupId: string, event: MachineEvent): void {
  const group = groups.get(groupId);
  if (group === undefined) return;
  if ('op' in event) {
    group.outstanding = group.outstanding.filter((one) => !('op' in one) || one.op !== event.op);
  }
  thread?.deliver(groupId, event);
}

function allStandings(): GroupStanding[] {
  return [...groups.values()].map((group) => {
    const all = standing(group);
    // Told now, and nobody answers them.
    group.outstanding = group.outstanding.filter(({ kind }) => kind !== 'emit');
    return all;
  });
}

function requireGroup(groupId: string): Group {
  const group = groups.get(groupId);
  if (group !== undefined) return group;
  throw new UnderstudyError('GROUP_UNKNOWN', `the cluster process does not run group ${groupId}`);
}

/** A promotion of a machine that is gone, or has given it up, is not to come to serve. Errors: STALE_EPOCH. */
function requirePromoting(group: Group, epoch: number): Group {
  const isAskedFor = group.outstanding.some((one) => one.kind === 'promote' && one.epoch === epoch);
  if (isAskedFor && group.view?.role === 'promoting') return group;
  const outstanding = group.outstanding.map(({ kind }) => kind);
  logger.warn({ epoch, role: group.view?.role, outstanding }, 'not promoted');
  throw new UnderstudyError(
    'STALE_EPOCH',
    `group "${group.handover.config.group}" is not to be promoted to epoch ${epoch} any more`,
  );
}

const control = new ControlServer(spec.controlSocket, {
  status: () => ({
    pid: process.pid,
    ...PROGRAM,
    urgency: thread?.urgency ?? null,
    groups: [...groups.keys()],
    networks: networks.map(({ name }, index) => ({ name, ...thread?.board.measurements(index) })),
    loopDelayMaxMs: thread?.board.thread('loopDelayMaxMs') ?? 0,
  }),
  add: async (params) => add(params['handover'] as GroupHandover),
  remove: (params) => {
    const { groupId } = groupRefSchema.parse(params);
    thread?.removeGroup(groupId, { giveUp: true });
    groups.delete(groupId);
  },
  deliver: (params) => {
    deliver(groupRefSchema.parse(params).groupId, params['event'] as MachineEvent);
  },
  command: async (params) => {
    const { groupId } = groupRefSchema.parse(params);
    requireGroup(groupId);
    return present(thread, 'the cluster thread').command(groupId, params['command'] as Command);
  },
  /** Durable before the answer: from now on this node may write with `epoch`. */
  serving: (params) => {
    const { groupId } = groupRefSchema.parse(params);
    const epoch = Number(params['epoch']);
    requirePromoting(requireGroup(groupId), epoch).memo.noteServing(epoch);
  },
  outstanding: () => allStandings(),
  shutdown: async () => {
    await thread?.close();
    setTimeout(() => process.exit(0), 50);
  },
});

const networks = resolveNetworks(spec.networks);

// The machine is being shut down: a watchdog that counted on would reset it amid that.
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    logger.warn({ signal }, 'ended by a signal');
    const closed = thread?.close() ?? Promise.resolve();
    void within(closed, CLOSE_TIMEOUT_MS).finally(() => process.exit(0));
  });
}

try {
  const { node, peer } = spec;
  const ownId = nodeId(node.id);
  const peerId = nodeId(peer.id);
  const ownKey = readFileSync(spec.keyPath, 'utf8');
  const keys = deriveKeys({ ownId, ownKey, peerId, peerCertificate: peer.certificate });
  const options = { ownId, peerId, keys, paths: networks, pathDeadAfterMs: NETWORK_DEAD_AFTER_MS };
  thread = await ClusterThread.start(options, {
    onEffect,
    onView: (groupId, view) => {
      const group = groups.get(groupId);
      if (group !== undefined) group.view = view;
      notify({ kind: 'view', groupId, view });
    },
    onNetwork: (event) => void notify(event),
    onFailure: (error) => {
      logger.fatal({ message: error.message }, 'the cluster thread ended');
      process.exit(1);
    },
  });
  await control.listen();
  keepMemorySmall();
  if (thread.urgency.kind !== 'real-time') {
    const { why } = thread.urgency;
    control.broadcast(
      makeEvent(
        'warning',
        'HEARTBEATS_NOT_URGENT',
        `heartbeats have no priority over other work: ${why}`,
      ),
    );
  }
  flushCompileCache();
} catch (thrown) {
  logger.fatal({ message: messageOf(thrown) }, 'the cluster process cannot start');
  process.exit(1);
}
