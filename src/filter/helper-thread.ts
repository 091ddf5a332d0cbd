// Entry of a helper thread: serves slots of the commit gate until the filter stops.
import { workerData } from 'node:worker_threads';
import { serveSlots } from './commit-gate.ts';
import { MAX_WRITE_BYTES } from './fuse-protocol.ts';

const { gate } = workerData as { gate: SharedArrayBuffer };
serveSlots(gate, MAX_WRITE_BYTES + 4096);
