// Threads that load koffi. It defines its functions while a thread loads its code, and when the thread is
// ended in that moment, it aborts the whole process (napi_throw). So a thread says when it runs, and before
// that nobody ends it: neither by a call, nor by the end of the process.
//
//   startThread() ── loading ──tellRunning()──▶ running ──endThread(), its own end, end of the process──▶ gone
//                       └── endThread(), end of the process: wait
import { setTimeout as sleep } from 'node:timers/promises';
import { Worker, type WorkerOptions, workerData } from 'node:worker_threads';

/** A thread that takes longer is lost anyway. */
const LOADING_MS_MAX = 10_000;
const LOOK_INTERVAL_MS = 2;
const RUNS = 1;
const GONE = 2;

/** Part of the `workerData` of every such thread. */
interface Running {
  readonly running: Int32Array;
}

export interface ThreadOptions<T extends object> extends Omit<WorkerOptions, 'workerData'> {
  readonly workerData?: T;
}

const words = new WeakMap<Worker, Int32Array>();
const loading = new Set<Int32Array>();
let isExitWatched = false;

/** Starts a thread whose code begins with {@link tellRunning}, once all it imports is loaded. */
export function startThread<T extends object>(
  url: URL,
  { workerData: data, ...options }: ThreadOptions<T> = {},
): Worker {
  const running = new Int32Array(new SharedArrayBuffer(4));
  // Node would count what fs opens and closes, take a descriptor of koffi's for a mistake, and close at the end whatever has
  // the number of one that koffi closed.
  const own = { trackUnmanagedFds: false, workerData: { ...data, running } };
  const worker = new Worker(url, { ...options, ...own });
  words.set(worker, running);
  loading.add(running);
  worker.once('exit', () => {
    Atomics.store(running, 0, GONE);
    loading.delete(running);
  });
  if (!isExitWatched) process.on('exit', waitForAll);
  isExitWatched = true;
  return worker;
}

/** In a thread: its code is loaded. */
export function tellRunning(): void {
  const { running } = workerData as Partial<Running>;
  if (running === undefined) return;
  Atomics.store(running, 0, RUNS);
  Atomics.notify(running, 0);
}

/** Ends a thread, as soon as it runs. Resolves when it is gone. */
export async function endThread(worker: Worker): Promise<void> {
  const running = words.get(worker);
  const deadline = performance.now() + LOADING_MS_MAX;
  if (running !== undefined) {
    while (Atomics.load(running, 0) === 0 && performance.now() < deadline)
      await sleep(LOOK_INTERVAL_MS);
  }
  await worker.terminate();
}

/** The process ends, and ends its threads first. */
function waitForAll(): void {
  for (const running of loading) Atomics.wait(running, 0, 0, LOADING_MS_MAX);
}
