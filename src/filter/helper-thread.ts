// Entry of a helper thread: serves slots of the commit gate until the filter stops.
import { flushCompileCache } from 'node:module';
import { workerData } from 'node:worker_threads';
import { tellRunning } from '../linux/threads.ts';
import { MAX_WRITE_BYTES } from './fuse-protocol.ts';
import { Lease, type LeaseSource } from './lease.ts';
import { serveSlots } from './serve-slots.ts';

/** `workerData` of a helper thread. */
export interface HelperThreadData {
  readonly gate: SharedArrayBuffer;
  /** null: this node may always write. */
  readonly lease: LeaseSource | null;
}

tellRunning();
// Kept for the next start: compiled code needs less memory than compiling.
flushCompileCache();
const { gate, lease } = workerData as HelperThreadData;
serveSlots(gate, MAX_WRITE_BYTES + 4096, Lease.open(lease));
