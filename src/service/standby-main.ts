// Program of a group process whose node is standby: `node standby-main.ts --spec FILE`, or `--prepared`
// (group-program.ts).
// Started by the service, outlives it, and is found again through its control socket.
import { mkdirSync, readFileSync } from 'node:fs';
import { flushCompileCache } from 'node:module';
import { dirname, join } from 'node:path';
import { systemClock } from '../core/clock.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import {
  coverAgain,
  type CoveredDirectory,
  coverDirectories,
  uncoverDirectories,
} from '../mirror/cover.ts';
import { SpaceGuard, spaceText } from '../mirror/disk-space.ts';
import { Standby } from '../mirror/standby.ts';
import type { StandbyOptions } from '../mirror/standby-options.ts';
import { keepMemorySmall } from '../linux/idle-memory.ts';
import { MountTableWatch } from '../linux/mount-table-watch.ts';
import { ControlServer, makeEvent } from './control-channel.ts';
import { tellData } from './data-notices.ts';
import { endProcess, letGo, receiveSpec, tellListening } from './group-program.ts';
import { rewindWishSchema } from './rewind-wish.ts';
import { PROGRAM } from './installation.ts';
import { processLogger } from './process-logger.ts';
import { removeLeftoverMounts } from './mount-cleanup.ts';
import { DirectoryGuard, isHalt } from './safety-identity.ts';

const SPACE_INTERVAL_MS = 10_000;
const COVER_INTERVAL_MS = 1000;

const spec = await receiveSpec(process.argv.slice(2));
const logger = processLogger({ group: spec.group, role: 'standby' });
const protectedDirectories = spec.directories.map(({ dir }) => dir);
let ending: Promise<unknown> | undefined;
let lookAtData: (() => void) | undefined;
const directoryGuard = DirectoryGuard.of(spec);

function makeStandby(directories: readonly CoveredDirectory[], emptied: string | null): Standby {
  const { peer, identity, replication } = spec;
  if (peer === null) {
    const why = `group ${spec.group} has no peer: a standby without a primary has nothing to do`;
    throw new UnderstudyError('SPEC_INVALID', why);
  }
  const options = {
    group: spec.group,
    groupId: spec.groupId,
    epoch: spec.epoch,
    host: spec.replicationHost,
    port: spec.replicationPort,
    peerCertificate: peer.certificate,
    identity: {
      certificate: readFileSync(identity.certificatePath, 'utf8'),
      key: readFileSync(identity.keyPath, 'utf8'),
    },
    linkTimeoutMs: replication.linkTimeoutMs,
    stateDirectory: spec.stateDirectory,
    marksFile: spec.marksFile,
    verifyFile: join(dirname(spec.marksFile), 'verify.json'),
    directories: directories.map((directory, index) => {
      const { include = ['**'], exclude = [] } = spec.directories[index] ?? {};
      return { ...directory, patterns: { include, exclude } };
    }),
    journalBytesMax: replication.journalBytesMax,
    deletions: spec.safety.deletions,
    guard: spec.safety.guard,
    holds: spec.holds ?? null,
    emptied,
    undo: replication.undo,
    ...salvagePlace(),
  };
  return new Standby(
    options,
    {
      onEvent: (level, code, message, details) => {
        const event = makeEvent(level, code, message, details);
        logger.info(event, 'event');
        control.broadcast(event);
        lookAtData?.();
      },
      onFatal: (error) => fail('the standby cannot go on', error),
    },
    { clock: systemClock, logger },
  );
}

function salvagePlace(): Pick<StandbyOptions, 'salvage'> {
  const { salvageDirectory: directory, dataIsBase: isBase } = spec;
  return directory === null ? {} : { salvage: { directory, isBase } };
}

/** The journal lies there: when the disk is full, nothing more can be taken. */
const space = new SpaceGuard({
  path: spec.stateDirectory,
  onAlert: (alert) => {
    const sentence = `${spaceText(spec.stateDirectory, alert)}: the standby's journal lies there, and without space the standby takes nothing more`;
    const level = alert.percent > 10 ? 'warning' : 'error';
    control.broadcast(makeEvent(level, 'JOURNAL_SPACE_LOW', sentence));
  },
});
setInterval(() => space.look(), SPACE_INTERVAL_MS).unref();

const control = new ControlServer(spec.controlSocket, {
  status: () => ({ role: 'standby', pid: process.pid, ...PROGRAM, ...standby.status }),
  accept: () => standby.accept(),
  'rewind-list': () => standby.rewinder.list(),
  'rewind-mark': async ({ name, sequence }) =>
    standby.rewinder.mark(String(name), Number(sequence)),
  'rewind-browse': async ({ wish, to }) =>
    standby.rewinder.browse(rewindWishSchema.parse(wish), String(to), protectedDirectories),
  rewind: async ({ wish }) => standby.rewind(rewindWishSchema.parse(wish)),
  'rewind-release': () => standby.release(),
  finish: async ({ accepts = ['up-to-date'] }) =>
    endWith(async () => standby.finish(accepts as readonly string[]), { keepCover: true }),
  shutdown: async ({ keepCover = false }) =>
    endWith(
      async () => {
        await standby.stop();
        return {};
      },
      { keepCover: keepCover === true },
    ),
});

/** Nobody but the applier is to write the copy: a cover that somebody took away is put back, and told of. */
function watchCovers(): void {
  const watch = new MountTableWatch();
  const look = (): void => {
    const table = ending === undefined ? watch.changed() : undefined;
    if (table === undefined) return;
    try {
      const lost = coverAgain(protectedDirectories, table);
      if (lost.length > 0) tellCoverLost(lost);
    } catch (thrown) {
      fail('the copy cannot be kept read-only', thrown);
    }
  };
  setInterval(look, COVER_INTERVAL_MS).unref();
}

function tellCoverLost(dirs: readonly string[]): void {
  const sentence = `somebody took away the read-only mount over ${dirs.join(', ')}, and it is there again: what was written there meanwhile is in this copy only, and files that were opened meanwhile can still be written. "understudy verify ${spec.group} --repair" on the primary finds and mends it`;
  const event = makeEvent('error', 'COVER_LOST', sentence);
  logger.error(event, 'event');
  control.broadcast(event);
}

/** Answers, then ends the process. A refusal that changed nothing leaves it running. */
async function endWith<T>(work: () => Promise<T>, { keepCover = false } = {}): Promise<T> {
  if (ending !== undefined) {
    throw new UnderstudyError('STANDBY_STOPPING', `the standby of ${spec.group} already ends`);
  }
  const running = work();
  ending = running;
  try {
    const result = await running;
    directoryGuard?.note();
    if (!keepCover) uncoverDirectories(protectedDirectories);
    letGo(control);
    void endProcess(control, 0);
    return result;
  } catch (thrown) {
    logger.error({ message: messageOf(thrown) }, 'not ended as asked');
    const harmless = thrown instanceof UnderstudyError && thrown.code === 'COPY_NOT_UP_TO_DATE';
    if (harmless) ending = undefined;
    else void endProcess(control, 1);
    throw thrown;
  }
}

/** The cover stays: nobody may write the copy until a new process has gone on with it. */
function fail(phrase: string, error: unknown): void {
  const code = error instanceof UnderstudyError ? error.code : 'INTERNAL';
  logger.error({ code, message: messageOf(error) }, phrase);
  control.broadcast(makeEvent('error', code, messageOf(error)));
  process.exit(1);
}

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.on(signal, () => {
    endWith(async () => standby.stop()).catch(() => undefined);
  });
}

let standby: Standby;
try {
  process.umask(0);
  mkdirSync(spec.stateDirectory, { recursive: true, mode: 0o700 });
  // Of a primary that died on this node.
  for (const dir of protectedDirectories) removeLeftoverMounts(dir, { covers: false });
  const emptied = directoryGuard?.require(spec.role) ?? null;
  const directories = coverDirectories(protectedDirectories);
  const underneath = directories.map(({ fd }) => `/proc/self/fd/${fd}`);
  directoryGuard?.keep(underneath, { isCopy: true });
  standby = makeStandby(directories, emptied);
  const port = await standby.start();
  await control.listen();
  keepMemorySmall();
  tellListening();
  watchCovers();
  lookAtData = tellData(control, () => {
    const { epoch, sequence, isStaged } = standby.data;
    return { kind: 'data', copy: standby.copy, epoch, sequence, isStaged };
  });
  logger.info({ epoch: spec.epoch, port, copy: standby.status.copy }, 'standby runs');
  // Processes like this one rarely end by themselves, which is when Node would keep compiled code.
  flushCompileCache();
} catch (thrown) {
  // Covers stay until another attempt succeeds, or the service ends the group; but a halt is for people to bring back what
  // was there.
  if (isHalt(thrown)) uncoverDirectories(protectedDirectories);
  fail('the standby cannot start', thrown);
}
