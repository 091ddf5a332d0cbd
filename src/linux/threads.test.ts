// Threads that are ended while they define functions of koffi: the process goes on. In a process of its own,
// since what is tried here would take the test with it.
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';

const koffi = JSON.stringify(import.meta.resolve('koffi'));
const threads = JSON.stringify(new URL('threads.ts', import.meta.url).href);
/** Defines functions for a while, as code that is being loaded; ended in that time, it aborts the process. */
const script = `
  import koffi from ${koffi};
  import { workerData } from 'node:worker_threads';
  import { tellRunning } from ${threads};
  const libc = koffi.load('libc.so.6');
  Atomics.store(workerData.begun, 0, 1);
  for (const until = performance.now() + 300; performance.now() < until;) libc.func('int getpid()');
  tellRunning();
  setInterval(() => undefined, 1000);
`;

async function program(body: string): Promise<string> {
  const code = `
    import { setTimeout as sleep } from 'node:timers/promises';
    import { endThread, startThread } from ${threads};
    const url = new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(script)}));
    async function loading() {
      const begun = new Int32Array(new SharedArrayBuffer(4));
      const worker = startThread(url, { workerData: { begun } });
      while (Atomics.load(begun, 0) === 0) await sleep(1);
      return worker;
    }
    ${body}
  `;
  const argv = ['--input-type=module', '-e', code];
  return (await promisify(execFile)(process.execPath, argv, { timeout: 25_000 })).stdout;
}

test('one that is to end while it loads runs first, and is gone then', async () => {
  const said = await program(`
    const worker = await loading();
    await endThread(worker);
    console.log(worker.threadId);
  `);
  expect(said).toBe('-1\n');
});

test('the end of the process waits for those that load', async () => {
  const said = await program(`
    await loading();
    await loading();
    console.log('here');
    process.exit(0);
  `);
  expect(said).toBe('here\n');
});

test('one that cannot be loaded is not waited for', async () => {
  const said = await program(`
    const from = performance.now();
    const worker = startThread(new URL('data:text/javascript,throw new Error("no")'));
    worker.on('error', ({ message }) => console.log(message));
    await endThread(worker);
    if (performance.now() - from > 5000) console.log('late');
  `);
  expect(said).toBe('no\n');
});

test('the end of one closes no descriptor that somebody else has by now', async () => {
  const body = `
    import koffi from ${koffi};
    import { openSync } from 'node:fs';
    import { parentPort, workerData } from 'node:worker_threads';
    import { tellRunning } from ${threads};
    const close = koffi.load('libc.so.6').func('int close(int fd)');
    const fd = openSync('/dev/null', 'r');
    close(fd);
    tellRunning();
    parentPort.postMessage(fd);
    Atomics.wait(workerData.goOn, 0, 0);
  `;
  const said = await program(`
    import { fstatSync, openSync } from 'node:fs';
    import { once } from 'node:events';
    const goOn = new Int32Array(new SharedArrayBuffer(4));
    const one = new URL('data:text/javascript,' + encodeURIComponent(${JSON.stringify(body)}));
    const worker = startThread(one, { workerData: { goOn } });
    const [theirs] = await once(worker, 'message');
    const mine = openSync('/dev/zero', 'r');
    Atomics.store(goOn, 0, 1);
    Atomics.notify(goOn, 0);
    await once(worker, 'exit');
    console.log(mine === theirs, fstatSync(mine).isCharacterDevice());
  `);
  expect(said).toBe('true true\n');
});
