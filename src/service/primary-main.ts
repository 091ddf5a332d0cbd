// Program of a group process whose node is primary: `node primary-main.ts --spec FILE`, or `--prepared`
// (group-program.ts).
// Started by the service, outlives it, and is found again through its control socket.
import { writeFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { FilterDescriptors } from '../filter/filter.ts';
import { errnoName } from '../linux/constants.ts';
import { FilterThreads } from '../filter/filter-threads.ts';
import { sys } from '../linux/libc.ts';
import { readMountTable } from '../linux/mount-table.ts';
import { removeShelf } from '../mirror/applier/shelf.ts';
import { coverAgain, uncoverDirectories } from '../mirror/cover.ts';
import { fingerprintOf } from '../mirror/link/tls.ts';
import { keepMemorySmall } from '../linux/idle-memory.ts';
import { bandwidthSchema } from './bandwidth.ts';
import { copyDescriptors, type HeldFilter } from './filter-holder.ts';
import { ControlServer, makeEvent } from './control-channel.ts';
import { type GroupNotice, tellData } from './data-notices.ts';
import { endProcess, isPrepared, letGo, receiveSpec, tellListening } from './group-program.ts';
import { PROGRAM } from './installation.ts';
import { processLogger } from './process-logger.ts';
import { removeLeftoverMounts } from './mount-cleanup.ts';
import { PrimaryGroup, type StreamEnd } from './primary-group.ts';
import { DirectoryGuard, isHalt } from './safety-identity.ts';

const PR_SET_IO_FLUSHER = 57;
const OOM_SCORE_ADJUSTMENT = '-900';
/** After a takeover the disk has better things to do for a while. */
const SHELF_REMOVAL_MS = 60_000;

const parameters = process.argv.slice(2);
// A thread that cannot start now would not be able to start later either.
const threads = isPrepared(parameters) ? new FilterThreads(() => process.exit(1)) : undefined;
const spec = await receiveSpec(parameters, ({ peer }) => {
  processLogger({});
  if (peer !== null) fingerprintOf(peer.certificate);
});
const logger = processLogger({ group: spec.group, role: 'primary' });

const directoryGuard = DirectoryGuard.of(spec);

protectFromMemoryPressure();

const takeOver = spec.takeOver === null ? undefined : inheritMounts(spec.takeOver);

const group = new PrimaryGroup(spec, {
  logger,
  takeOver,
  onEvent: (event) => {
    logger.info(event, 'event');
    control.broadcast(event);
  },
  onCommits: (wish) => {
    control.notify({ kind: 'commits', ...wish } satisfies GroupNotice);
  },
  onDiskFault: (why) => {
    logger.error({ why }, 'disk fault');
    control.broadcast(makeEvent('error', 'DISK_FAULT', why));
    control.notify({ kind: 'disk', why } satisfies GroupNotice);
  },
  onMountsLost: (why) => {
    logger.error({ why }, 'mounts lost');
    tellMountsLost(why);
    void endProcess(control, 1);
  },
  onFatal: (message) => {
    logger.error({ message }, 'the filter broke');
    // With its mounts another process goes on, if somebody holds them; otherwise they end with this one.
    if (group.descriptors === null) group.detach();
    process.exit(1);
  },
  threads,
});

const control = new ControlServer(spec.controlSocket, {
  status: () => ({ ...PROGRAM, ...group.status() }),
  point: async () => ({ sequence: await group.point() }),
  verify: () => {
    group.verify();
    return {};
  },
  bypassed: () => {
    group.noteBypassed();
    return {};
  },
  rescan: () => {
    group.repair();
    return {};
  },
  share: ({ share }) => group.setShare(share === null ? null : Number(share)),
  descriptors: ({ holder }) => {
    group.noteHolder(Number(holder));
    const isFinal = group.isAgreed;
    return { held: group.descriptors, isFinal };
  },
  limit: ({ bandwidth }) => group.changeBandwidth(bandwidthSchema.parse(bandwidth)),
  allowAlone: ({ request }) => group.allowAlone(Number(request)),
  handover: async () => endWith(async () => group.handover()),
  shutdown: async () => endWith(shutDown),
});

/** Nobody follows: the directories are everybody's again. */
async function shutDown(): Promise<StreamEnd> {
  const end = await group.shutdown();
  for (const { dir } of spec.directories) removeLeftoverMounts(dir, { covers: true });
  return end;
}

/** Answers, then ends the process. A refusal that changed nothing leaves it running. */
async function endWith(work: () => Promise<StreamEnd>): Promise<StreamEnd> {
  try {
    directoryGuard?.note();
    const end = await work();
    letGo(control);
    void endProcess(control, 0);
    return end;
  } catch (thrown) {
    const harmless =
      thrown instanceof UnderstudyError &&
      (thrown.code === 'DIRECTORY_BUSY' || thrown.code === 'COPY_NOT_UP_TO_DATE');
    logger.error({ message: messageOf(thrown) }, 'not ended as asked');
    if (thrown instanceof UnderstudyError && thrown.code === 'MOUNT_LOST')
      tellMountsLost(thrown.message);
    if (!harmless) void endProcess(control, 1);
    throw thrown;
  }
}

function tellMountsLost(why: string): void {
  control.broadcast(makeEvent('error', 'MOUNT_LOST', why));
  tellUnmounted();
}

/** Nobody is to try to go on with them. */
function tellUnmounted(): void {
  control.notify({ kind: 'mountsLost' } satisfies GroupNotice);
}

/** The service holds the mounts of the process before: this one takes them from there. */
function inheritMounts(from: HeldFilter): FilterDescriptors {
  const copies = copyDescriptors(from);
  if (typeof copies !== 'number') return copies;
  logger.error({ why: errnoName(copies) }, 'the mounts of the process before cannot be taken');
  process.exit(1);
}

/** The kernel may need this process to get rid of dirty pages: it must neither be killed nor wait for that. */
function protectFromMemoryPressure(): void {
  sys.prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
  try {
    writeFileSync('/proc/self/oom_score_adj', OOM_SCORE_ADJUSTMENT);
  } catch (thrown) {
    logger.warn({ message: messageOf(thrown) }, 'not protected from the out-of-memory killer');
  }
}

/** What this node kept as a standby to go back: nobody is to wait until that is removed. */
function removeFormerShelves(): void {
  const timer = setTimeout(() => {
    Promise.all(group.underneath.map(removeShelf)).catch((thrown: unknown) => {
      logger.warn({ message: messageOf(thrown) }, 'what was kept to go back is not removed');
    });
  }, SHELF_REMOVAL_MS);
  timer.unref();
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    endWith(async () => {
      const end = await shutDown();
      tellUnmounted();
      return end;
    }).catch(() => undefined);
  });
}

try {
  // What a former process left on the directories is replaced by a cover: until the filter is mounted, applications get
  // errors instead of writing underneath, where nothing is recorded.
  if (takeOver === undefined) {
    for (const { dir } of spec.directories) {
      if (removeLeftoverMounts(dir, { covers: false }) > 0) coverAgain([dir], readMountTable());
    }
    directoryGuard?.require(spec.role);
  }
  await group.start();
  await control.listen();
  directoryGuard?.keep(group.underneath);
  keepMemorySmall();
  tellListening();
  // The link is of no use to whoever waits for the directories.
  group.replicate();
  const data = { kind: 'data' as const, copy: 'up-to-date' as const, epoch: spec.epoch };
  tellData(control, () => ({ ...data, sequence: group.sequence }), true);
  removeFormerShelves();
  logger.info({ epoch: spec.epoch }, 'primary runs');
  // The next start reads compiled code, which needs less memory than compiling.
  flushCompileCache();
} catch (thrown) {
  logger.error({ message: messageOf(thrown) }, 'the primary cannot start');
  // Whoever gave the mounts away may try once more.
  if (takeOver === undefined) {
    group.detach();
    // Covers stay until another attempt succeeds, or the service ends the group; but a halt is for people to bring back
    // what was there.
    if (isHalt(thrown)) uncoverDirectories(spec.directories.map(({ dir }) => dir));
  }
  process.exit(1);
}
