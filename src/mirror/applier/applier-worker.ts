// The applier thread of the standby process. Ends when its `ApplyControl` says so, and only then;
// anything thrown here is a bug and ends the process that started it.
import { flushCompileCache } from 'node:module';
import { parentPort, workerData } from 'node:worker_threads';
import { present } from '../../core/assert.ts';
import { tellRunning } from '../../linux/threads.ts';
import { ApplierLoop } from './applier-loop.ts';
import type { ApplierMessage, ApplierWorkerData } from './applier-messages.ts';

tellRunning();
const port = present(parentPort, 'the port to the thread that started the applier');
const post = (message: ApplierMessage): void => port.postMessage(message);
// A thread keeps compiled code for itself; without it, stripping types costs 15 MiB in each.
flushCompileCache();
new ApplierLoop(workerData as ApplierWorkerData, post).run();
post({ type: 'stopped' });
