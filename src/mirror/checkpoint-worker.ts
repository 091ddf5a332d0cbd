// Thread that flushes file systems: syncfs(2) may take seconds and must hold up nothing else.
import { parentPort } from 'node:worker_threads';
import { present } from '../core/assert.ts';
import { sys } from '../linux/libc.ts';

/** Descriptors in; per descriptor 0 or a negative errno out. */
const port = present(parentPort, 'the port of a worker thread');
port.on('message', (fds: readonly number[]) => {
  port.postMessage(fds.map((fd) => sys.syncfs(fd)));
});
