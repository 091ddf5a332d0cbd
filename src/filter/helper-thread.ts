// Entry of a helper thread: serves slots of the commit gate until the filter stops.
import { flushCompileCache } from 'node:module';
import { workerData } from 'node:worker_threads';
import { serveSlots } from './commit-gate.ts';
import { MAX_WRITE_BYTES } from './fuse-protocol.ts';

// Kept for the next start: compiled code needs less memory than compiling.
flushCompileCache();
const { gate } = workerData as { gate: SharedArrayBuffer };
serveSlots(gate, MAX_WRITE_BYTES + 4096);
