// Blocking system calls that a test makes without being blocked itself: each SyscallThread is a thread
// of this process, so descriptors are common to all of them.
import { Worker } from 'node:worker_threads';
import type { sys } from '../../src/linux/libc.ts';

export type SyscallArgument = number | string | Uint8Array;

export interface SyscallRequest {
  readonly name: keyof typeof sys;
  /** A string is a path or name. */
  readonly args: readonly SyscallArgument[];
}

/** A call under way. */
export interface PendingCall {
  /** What the system call returns. */
  readonly result: Promise<number>;
  readonly isPending: boolean;
}

export class SyscallThread {
  readonly #worker = new Worker(new URL('syscall-thread-main.ts', import.meta.url));
  readonly #waiting: ((result: number) => void)[] = [];

  private constructor() {
    this.#worker.on('message', (result: number) => this.#waiting.shift()?.(result));
  }

  /** A thread that is ready to make calls. */
  static async start(): Promise<SyscallThread> {
    const thread = new SyscallThread();
    await thread.begin('kill', process.pid, 0).result;
    return thread;
  }

  /** Begins a call; calls of one thread are made one after another. */
  begin(name: SyscallRequest['name'], ...args: readonly SyscallArgument[]): PendingCall {
    let isPending = true;
    const result = new Promise<number>((resolve) => {
      this.#waiting.push((value) => {
        isPending = false;
        resolve(value);
      });
    });
    this.#worker.postMessage({ name, args } satisfies SyscallRequest);
    return {
      result,
      get isPending() {
        return isPending;
      },
    };
  }

  /** Only when no call is under way that could block for ever. */
  async stop(): Promise<void> {
    await this.#worker.terminate();
  }
}
