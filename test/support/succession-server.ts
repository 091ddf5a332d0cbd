// Process that runs the filter over one directory until it is killed: alone, or in the place of one that
// was killed before. `node succession-server.ts JSON`
import { Filter, type FilterDescriptors } from '../../src/filter/filter.ts';
import { takeDescriptors } from '../../src/linux/pidfd.ts';

export interface ServerOptions {
  readonly dir: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  readonly ringBytes: number;
  readonly leaseFile: string | null;
  /** Who holds the descriptors of the process before, and their numbers there. */
  readonly takeOver?: { readonly pid: number; readonly held: FilterDescriptors };
}

/** Child → parent. */
export type ServerMessage =
  | { readonly kind: 'ready'; readonly held: FilterDescriptors }
  | { readonly kind: 'failed'; readonly message: string };

function say(message: ServerMessage): void {
  process.send?.(message);
}

/** Copies of descriptors that another process holds. */
function copy(pid: number, held: FilterDescriptors): FilterDescriptors {
  const wanted = [
    held.memory,
    held.store,
    held.storeEnd,
    ...held.directories.flatMap(({ rootFd, fuseFd }) => [rootFd, fuseFd]),
  ];
  const taken = takeDescriptors(pid, wanted);
  if (typeof taken === 'number') throw new Error(`no descriptors (${taken})`);
  const [memory = -1, store = -1, storeEnd = -1, ...rest] = taken;
  const directories = held.directories.map((_, index) => ({
    rootFd: rest[2 * index] ?? -1,
    fuseFd: rest[2 * index + 1] ?? -1,
  }));
  return { memory, store, storeEnd, directories };
}

async function main(options: ServerOptions): Promise<void> {
  const { takeOver, dir, include, exclude } = options;
  const filter = new Filter({
    group: 'test',
    directories: [{ dir, include, exclude }],
    epoch: 1,
    firstSequence: 1,
    captureFromStart: true,
    ringBytes: options.ringBytes,
    helperThreads: 2,
    spinMicroseconds: 0,
    leaseFile: options.leaseFile,
    ...(takeOver === undefined ? {} : { takeOver: copy(takeOver.pid, takeOver.held) }),
  });
  await filter.start({
    onScan: () => undefined,
    onMark: () => undefined,
    onVerify: () => undefined,
    onScanNeeded: () => say({ kind: 'failed', message: 'a scan is needed' }),
    onEnded: () => process.exit(0),
    onFailed: (message) => {
      say({ kind: 'failed', message });
      setTimeout(() => process.exit(1), 50);
    },
  });
  for (let tries = 0; filter.descriptors === undefined && tries < 500; tries += 1)
    await new Promise((resolve) => setTimeout(resolve, 2));
  const { descriptors } = filter;
  if (descriptors === undefined) throw new Error('the filter cannot be succeeded');
  say({ kind: 'ready', held: descriptors });
}

process.on('disconnect', () => process.exit(1));
main(JSON.parse(process.argv[2] ?? '{}') as ServerOptions).catch((thrown: unknown) => {
  say({ kind: 'failed', message: thrown instanceof Error ? (thrown.stack ?? '') : String(thrown) });
});
