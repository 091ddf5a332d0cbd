// Entry of the cluster thread: heartbeats and machines of all groups. See cluster-thread.ts for its
// messages.
import { parentPort, workerData } from 'node:worker_threads';
import { present, unreachable } from '../../core/assert.ts';
import { messageOf } from '../../core/errors.ts';
import { Turns } from '../../core/turns.ts';
import { bootClock } from '../../linux/boottime.ts';
import { tellRunning } from '../../linux/threads.ts';
import { NodeWatchdog } from '../fencing/node-watchdog.ts';
import { Watchdog } from '../fencing/watchdog.ts';
import { HeartbeatBoard } from '../heartbeat/board.ts';
import { ServingResponder } from '../heartbeat/serving-probe.ts';
import { HeartbeatTransport, type TransportEvent } from '../heartbeat/transport.ts';
import type { FromWorker, GroupSetup, ToWorker, WorkerData } from './cluster-thread.ts';
import { GroupEffects } from './group-effects.ts';
import { MachineHost } from './machine-host.ts';
import { machineView } from './machine-view.ts';
import { startUrgentLoop } from './urgent-loop.ts';

interface Group {
  readonly host: MachineHost;
  readonly effects: GroupEffects;
}

tellRunning();
const port = present(parentPort, 'the port to the starting thread');
const { buffer, ...options } = workerData as WorkerData;
const board = new HeartbeatBoard(buffer);
const loop = startUrgentLoop(board, bootClock);
const clock = bootClock;
const transport = new HeartbeatTransport({ ...options, board }, { clock, onEvent: onTransport });
const responder = new ServingResponder(options, { clock });
const groups = new Map<string, Group>();
/** By the path of the device. */
const watchdogs = new Map<string, NodeWatchdog>();
/** For the hooks of addresses, by group; they outlive its machines. */
const hooks = new Map<string, Turns>();

function hooksOf(groupId: string): Turns {
  const known = hooks.get(groupId) ?? new Turns();
  hooks.set(groupId, known);
  return known;
}

/** By group, for as long as they may be held here: also without a machine. */
const virtualIps = new Map<string, readonly string[]>();

function watchdogAt(path: string): NodeWatchdog {
  const known = watchdogs.get(path) ?? new NodeWatchdog(new Watchdog({ path }));
  watchdogs.set(path, known);
  return known;
}

function post(message: FromWorker): void {
  port.postMessage(message);
}

function onTransport(event: TransportEvent): void {
  if (event.kind === 'beat') {
    groups.get(event.groupId)?.host.deliver(event.heard);
    return;
  }
  const { name, up } = event;
  for (const { host } of groups.values()) host.deliver({ kind: 'network', name, up });
  post(event);
}

function addGroup(setup: GroupSetup): void {
  const { groupId, slot, config, boot } = setup;
  const { life } = boot;
  virtualIps.set(groupId, setup.addresses?.addresses.map(({ ip }) => ip) ?? []);
  let host: MachineHost | undefined;
  let shown = '';
  const effects = new GroupEffects(setup, {
    clock,
    transport,
    responder,
    identity: options,
    watchdogAt,
    hooks: hooksOf(groupId),
    isVirtual: (ip) => Array.from(virtualIps.values()).flat().includes(ip),
    deliver: (event) => host?.deliver(event),
    toOuter: (effect) => post({ kind: 'effect', groupId, life, effect }),
  });
  transport.addGroup({ groupId, life, slot });
  host = new MachineHost(config, boot, {
    clock,
    perform: (effect, nowMs) => effects.perform(effect, nowMs),
    onStep(state, nowMs) {
      effects.feedWatchdog(nowMs, state.lease.untilMs);
      const view = machineView(state);
      const text = JSON.stringify(view);
      if (text === shown) return;
      shown = text;
      post({ kind: 'view', groupId, life, view });
    },
  });
  groups.set(groupId, { host, effects });
}

async function removeGroup(groupId: string, giveUp = false): Promise<void> {
  const group = groups.get(groupId);
  groups.delete(groupId);
  group?.host.stop();
  transport.removeGroup(groupId);
  if (giveUp) virtualIps.delete(groupId);
  await group?.effects.close({ giveUp });
}

async function close(): Promise<void> {
  loop.stop();
  await Promise.all([...groups.keys()].map(async (groupId) => removeGroup(groupId)));
  responder.close();
  await transport.close();
  port.close();
}

function onMessage(message: ToWorker): void {
  switch (message.kind) {
    case 'add':
      try {
        addGroup(message.setup);
        post({ kind: 'added', groupId: message.setup.groupId, fault: null });
      } catch (thrown) {
        post({ kind: 'added', groupId: message.setup.groupId, fault: messageOf(thrown) });
      }
      return;
    case 'remove':
      void removeGroup(message.groupId, message.giveUp);
      return;
    case 'event':
      groups.get(message.groupId)?.host.deliver(message.event);
      return;
    case 'command': {
      const { id, groupId, command } = message;
      const host = groups.get(groupId)?.host;
      const unknown = { code: 'UNKNOWN_GROUP', reason: 'this group is not run here' };
      const refusal = host === undefined ? unknown : host.deliver({ kind: 'command', command });
      post({ kind: 'commanded', id, refusal });
      return;
    }
    case 'close':
      void close();
      return;
    default:
      unreachable(message);
  }
}

port.on('message', onMessage);
const { urgency, lockedMappings } = loop;
post({ kind: 'ready', urgency, lockedMappings });
