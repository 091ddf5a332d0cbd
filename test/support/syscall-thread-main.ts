// Entry of a SyscallThread.
import { parentPort } from 'node:worker_threads';
import { cstring, sys } from '../../src/linux/libc.ts';
import type { SyscallRequest } from './syscall-thread.ts';

type Call = (...args: (number | Uint8Array)[]) => number;

parentPort?.on('message', ({ name, args }: SyscallRequest) => {
  const call = sys[name] as Call;
  const result = call(...args.map((arg) => (typeof arg === 'string' ? cstring(arg) : arg)));
  parentPort?.postMessage(result);
});
