// Entry of the heartbeat thread: the sockets, nothing else. See heartbeat-thread.ts for its messages.
import { parentPort, workerData } from 'node:worker_threads';
import { present, unreachable } from '../../core/assert.ts';
import { bootClock } from '../../linux/boottime.ts';
import { HeartbeatBoard } from './board.ts';
import type { FromWorker, ToWorker, WorkerData } from './heartbeat-thread.ts';
import { ServingResponder } from './serving-probe.ts';
import { HeartbeatTransport } from './transport.ts';
import { startUrgentLoop } from './urgent-loop.ts';

const port = present(parentPort, 'the port to the starting thread');
const { buffer, ...options } = workerData as WorkerData;
const board = new HeartbeatBoard(buffer);
const loop = startUrgentLoop(board, bootClock);
const post = (message: FromWorker): void => port.postMessage(message);
const transport = new HeartbeatTransport(
  { ...options, board },
  { clock: bootClock, onEvent: (event) => post(event) },
);

const responder = new ServingResponder(options, { clock: bootClock });

port.on('message', (message: ToWorker) => {
  switch (message.kind) {
    case 'add':
      transport.addGroup(message);
      return;
    case 'remove':
      transport.removeGroup(message.groupId);
      return;
    case 'send':
      transport.send(message.groupId, message.beat, message.sentAtMs);
      return;
    case 'serve': {
      const { groupId, slot, addresses } = message;
      responder.serve(groupId, addresses, () => board.group(slot, 'leaseUntilMs'));
      return;
    }
    case 'cease':
      responder.cease(message.groupId);
      return;
    case 'close':
      loop.stop();
      responder.close();
      void transport.close().then(() => port.close());
      return;
    default:
      unreachable(message);
  }
});

const { urgency, lockedMappings } = loop;
post({ kind: 'ready', urgency, lockedMappings });
