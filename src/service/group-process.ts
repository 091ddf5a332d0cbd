// One group process seen from the service: started, or found running and adopted, watched, called
// and ended.
//
//   stopped ──start()──▶ starting ──answers──▶ running ──exit──▶ stopped
//      └────adopt()─────────▲                        └─let go─▶ stopped
//
// The process holds the group's lock (process-lock.ts) through a descriptor it inherits, so it is
// known to live even when its control socket does not answer, and never runs twice. It may give the
// lock back (let go) before it ends: then it uses nothing of the group any more, and counts as ended.
import { readFileSync, writeFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { UnderstudyError } from '../core/errors.ts';
import { within } from '../core/within.ts';
import { errnoName } from '../linux/constants.ts';
import {
  type ControlClient,
  type ControlEvent,
  type ControlParams,
  makeEvent,
} from './control-channel.ts';
import { FilterHolder, filterDescriptorsSchema, type HeldFilter } from './filter-holder.ts';
import { GroupChild } from './group-child.ts';
import type { GroupProcessSpec } from './group-spec.ts';
import { LockedProcess } from './locked-process.ts';
import { PreparedProcess } from './prepared-process.ts';
import { lockOwner, openLock } from './process-lock.ts';
import type { GroupPaths } from './service-paths.ts';

const START_TIMEOUT_MS = 30_000;
const ADOPT_TIMEOUT_MS = 10_000;
const RETRY_MS = 50;
const LOCK_INTERVAL_MS = 500;
const LAST_ANSWER_MS = 3000;
/** A process that has let go has nothing to do but to end. */
const LET_GO_END_MS = 2000;
const LOG_TAIL_LINES = 6;
const AGAIN_MS = 100;
const AGAIN_MS_MAX = 5000;
const HOLD_ANSWER_MS = 5000;
const HOLD_RETRY_MS = 20;
const HOLD_RETRY_MS_MAX = 5000;

/** Answer of a primary to `descriptors`. */
const descriptorsSchema = z.object({
  held: filterDescriptorsSchema.nullable(),
  /** It has none, and will have none. One of the version before does not say that; it has been running for a while. */
  isFinal: z.boolean().default(true),
});

/** Scripts of the two kinds of group process. */
export interface GroupPrograms {
  readonly primary: string;
  readonly standby: string;
}

export interface ProcessExit {
  /** `exit code 1`, `SIGKILL`, or `unknown` for a process that was adopted. */
  readonly how: string;
  /** What it wrote last. */
  readonly logTail: string;
}

export interface GroupProcessOptions {
  readonly group: string;
  readonly paths: GroupPaths;
  readonly programs: GroupPrograms;
  readonly onEvent: (event: ControlEvent) => void;
  /**
   * A process that runs is heard of again: one that an earlier service started, or whose connection was lost. What it said is missed,
   * but for events, of which it keeps some: they may have been told before.
   */
  readonly onFound: (kept: readonly ControlEvent[]) => void;
  readonly onNotice: (notice: unknown) => void;
  /** Called once for every process that ended, expected or not. */
  readonly onExit: (exit: ProcessExit) => void;
}

export type ProcessStatus = Readonly<Record<string, unknown>>;

/** The present process, or the one before. */
interface Present {
  /** Undefined for a process that was adopted. */
  readonly child: GroupChild | undefined;
  ended: Promise<void>;
  /** What it says is heard by this service for the first time: nothing was missed. */
  isNew: boolean;
  /** How it ended. */
  exit: ProcessExit | undefined;
}

export class GroupProcess {
  readonly #options: GroupProcessOptions;
  readonly #self: LockedProcess;
  #client: ControlClient | undefined;
  readonly #prepared: PreparedProcess;
  /** For the moment in which the process of a standby is replaced. */
  readonly #preparedStandby: PreparedProcess;
  /** The mounts of a primary, for a successor. */
  readonly #holder = new FilterHolder();
  #present: Present | undefined;
  /** The process whose mounts are held, or are to be as soon as they can be. */
  #holdFor: Present | undefined;
  /** Makes the watcher of an adopted process look at its lock now. */
  #nudge: (() => void) | undefined;

  constructor(options: GroupProcessOptions) {
    this.#options = options;
    const { programs, paths } = options;
    this.#self = new LockedProcess(paths);
    const { log: logPath, lock: lockPath, spec: specPath } = paths;
    const common = { logPath, lockPath, specPath };
    this.#prepared = new PreparedProcess({ program: programs.primary, ...common });
    this.#preparedStandby = new PreparedProcess({ program: programs.standby, ...common });
  }

  /** Whether a process of this group lives, of whichever service. */
  get isAlive(): boolean {
    return this.#self.isAlive;
  }

  get pid(): number | undefined {
    return this.#self.pid;
  }

  /**
   * Keeps a process waiting to become the primary, until it is used or no longer wanted. May be called
   * as often as you like.
   */
  prepare(): void {
    this.#prepared.keep();
  }

  /** This node is not to become primary soon: no process waits for that any more. */
  unprepare(): void {
    this.#prepared.dismiss();
  }

  /** Keeps a process waiting to go on in the place of the standby's, until it is used or {@link unprepareStandby}. */
  prepareStandby(): void {
    this.#preparedStandby.keep();
  }

  unprepareStandby(): void {
    this.#preparedStandby.dismiss();
  }

  /** A process waits to go on in the place of the standby's, with all its code loaded. */
  get isStandbyPrepared(): boolean {
    return this.#preparedStandby.isReady;
  }

  /** Process id of the one that waits. */
  get preparedPid(): number | undefined {
    return this.#prepared.pid;
  }

  /** A process waits to become the primary, with all its code loaded. */
  get isPrepared(): boolean {
    return this.#prepared.isReady;
  }

  /**
   * Starts a process, or lets the prepared one begin, and waits until it answers.
   * Errors: GROUP_PROCESS_RUNNING, GROUP_PROCESS_START_FAILED with the end of its log.
   */
  async start(spec: GroupProcessSpec): Promise<ProcessStatus> {
    const { paths } = this.#options;
    if (spec.takeOver === null) this.#holder.letGo();
    // Read once, in the next moment: there is no need for it to survive a power cut.
    writeFileSync(paths.spec, `${JSON.stringify(spec, null, 2)}\n`, { mode: 0o600 });
    const waiting = spec.role === 'primary' ? this.#prepared : this.#preparedStandby;
    const child = (await this.#beginPrepared(waiting)) ?? (await this.#spawn(spec.role));
    child.closeLock();
    const present = makePresent(child);
    present.ended = child.ended.then((how) => this.#finished(present, how));
    this.#present = present;
    await child.listens(START_TIMEOUT_MS);
    return this.#connect(present, START_TIMEOUT_MS);
  }

  /** The mounts of the process that runs, or has died, are held: another one can go on with them. */
  get held(): HeldFilter | null {
    return this.#holder.held;
  }

  /** Why another process cannot go on with the mounts, as a clause; null: it can. */
  get whyNotSucceedable(): string | null {
    return this.#holder.whyUnusable;
  }

  /** Nobody shall go on with the mounts: they end with the process that serves them. */
  letGo(): void {
    this.#holdFor = undefined;
    this.#holder.letGo();
  }

  /**
   * Takes hold of the mounts of a primary as soon as it can be succeeded. A process that is too busy to answer, and
   * descriptors that this one lacks, are no reason to do without for good.
   */
  async #hold(present: Present): Promise<void> {
    if (this.#holdFor === present) return;
    this.#holdFor = present;
    const isWanted = (): boolean => present === this.#holdFor && present.exit === undefined;
    let isTold = false;
    for (let pauseMs = HOLD_RETRY_MS; ; pauseMs = Math.min(2 * pauseMs, HOLD_RETRY_MS_MAX)) {
      const { of, isFinal } = await this.#askForDescriptors();
      if (!isWanted()) return;
      if (of !== null) {
        const result = this.#holder.take(of);
        if (result === 0) return;
        if (!isTold) this.#cannotHold(`they cannot be shared now (${errnoName(result)})`);
        isTold = true;
      } else if (isFinal) {
        return this.#cannotHold('the kernel is older than 6.9');
      }
      await sleep(pauseMs, undefined, { ref: false });
      if (!isWanted()) return;
    }
  }

  /** `isFinal`: it stays so. A process that does not answer may do so later. */
  async #askForDescriptors(): Promise<{ of: HeldFilter | null; isFinal: boolean }> {
    try {
      const answer = await this.call('descriptors', { holder: process.pid }, HOLD_ANSWER_MS);
      const { held, isFinal } = descriptorsSchema.parse(answer);
      const { pid } = this;
      if (held === null || pid === undefined)
        return { of: null, isFinal: isFinal && held === null };
      return { of: { pid, held }, isFinal };
    } catch {
      return { of: null, isFinal: false };
    }
  }

  #cannotHold(why: string): void {
    const { group, onEvent } = this.#options;
    const sentence = `the mounts of group "${group}" end with its process: ${why}. Open files are lost to their applications then`;
    onEvent(makeEvent('warning', 'MOUNTS_NOT_HELD', sentence));
  }

  /** The prepared process begins; undefined when there is none that works. */
  async #beginPrepared(waiting: PreparedProcess): Promise<GroupChild | undefined> {
    if (this.isAlive) throw this.#isRunning();
    const child = waiting.take();
    if (child === undefined) return undefined;
    try {
      if (child.pid !== undefined && (await this.#begin(child, child.pid))) return child;
    } catch (thrown) {
      await child.end();
      throw thrown;
    }
    await child.end();
    return undefined;
  }

  async #begin(child: GroupChild, pid: number): Promise<boolean> {
    if (!child.lock.take()) throw this.#isRunning();
    child.lock.note(pid);
    return child.begin(this.#options.paths.spec);
  }

  async #spawn(role: GroupProcessSpec['role']): Promise<GroupChild> {
    const { paths, programs } = this.#options;
    const lock = openLock(paths.lock);
    let child: GroupChild | undefined;
    try {
      if (!lock.take()) throw this.#isRunning();
      const program = programs[role];
      child = GroupChild.begun({ program, logPath: paths.log, lock }, paths.spec);
      if (child.pid !== undefined) lock.note(child.pid);
      return child;
    } catch (thrown) {
      if (child === undefined) lock.release();
      // Nobody could end one of which it is not known which it is.
      else await child.end();
      throw thrown;
    }
  }

  #isRunning(): UnderstudyError {
    const { paths, group } = this.#options;
    return new UnderstudyError(
      'GROUP_PROCESS_RUNNING',
      `a process of group "${group}" (pid ${lockOwner(paths.lock) ?? '?'}) is still running: end it first`,
    );
  }

  /**
   * Connects to the process that an earlier service started. Errors: GROUP_PROCESS_SILENT when it
   * lives and does not answer.
   */
  async adopt(): Promise<ProcessStatus> {
    const present = makePresent(undefined);
    this.#present = present;
    present.ended = this.#watchLock(present);
    return this.#connect(present, ADOPT_TIMEOUT_MS);
  }

  /** Calls a method of the process. Errors: its own, GROUP_PROCESS_DOWN, and of the channel. */
  async call(method: string, params: ControlParams, timeoutMs: number): Promise<unknown> {
    const client = this.#client;
    if (client === undefined || client.isClosed) {
      throw new UnderstudyError(
        'GROUP_PROCESS_DOWN',
        `the process of group "${this.#options.group}" does not run: see "understudy status"`,
      );
    }
    return client.call(method, params, timeoutMs);
  }

  async status(timeoutMs = 3000): Promise<ProcessStatus> {
    return (await this.call('status', {}, timeoutMs)) as ProcessStatus;
  }

  /** Waits until a primary has mounted all directories. Errors: MOUNT_FAILED, those of {@link status}. */
  async untilMounted(timeoutMs: number): Promise<void> {
    const { group, paths } = this.#options;
    const deadline = performance.now() + timeoutMs;
    for (;;) {
      const { directories } = await this.status();
      const all = directories as readonly { mounted: boolean }[] | undefined;
      if (all === undefined || all.every(({ mounted }) => mounted)) return;
      if (performance.now() > deadline) {
        throw new UnderstudyError(
          'MOUNT_FAILED',
          `the directories of group "${group}" were not mounted within ${timeoutMs / 1000} s: see ${paths.log}`,
        );
      }
      await sleep(RETRY_MS);
    }
  }

  /** Waits until the process has ended, or let go; false when it still runs after `timeoutMs`. */
  async endsWithin(timeoutMs: number): Promise<boolean> {
    const present = this.#present;
    if (present === undefined) return true;
    if (!this.isAlive) {
      present.child?.expectEnd(LET_GO_END_MS);
      this.#finished(present, 'it let go');
      return true;
    }
    return within(
      present.ended.then(() => true),
      timeoutMs,
    );
  }

  /** Waits for the end of the process; kills it when it takes longer than `timeoutMs`. */
  async waitForEnd(timeoutMs: number): Promise<void> {
    if (await this.endsWithin(timeoutMs)) return;
    this.kill();
    await this.#present?.ended;
  }

  /** SIGKILL; the end is reported as for every other. */
  kill(): void {
    this.#self.kill();
  }

  /** Turns away from a process that goes on running (the service stops). */
  release(): void {
    this.#prepared.dismiss();
    this.#preparedStandby.dismiss();
    this.letGo();
    this.#present = undefined;
    this.#client?.close();
    this.#client = undefined;
  }

  async #connect(present: Present, timeoutMs: number): Promise<ProcessStatus> {
    const { paths, group } = this.#options;
    try {
      const status = await this.#reach(present, timeoutMs);
      if (status['role'] === 'primary' && !this.#holder.isHolding) void this.#hold(present);
      return status;
    } catch (cause) {
      if (present.exit !== undefined) throw startFailed(group, present.exit);
      throw new UnderstudyError(
        'GROUP_PROCESS_SILENT',
        `the process of group "${group}" (pid ${this.pid ?? '?'}) runs but does not answer on ${paths.controlSocket}: see ${paths.log}`,
        { cause },
      );
    }
  }

  /** Rejects with what went wrong last. */
  async #reach(present: Present, timeoutMs: number): Promise<ProcessStatus> {
    const hasEnded = (): boolean => !this.#isPresent(present);
    return this.#self.connect(async (client) => this.#greet(present, client), {
      timeoutMs,
      hasEnded,
    });
  }

  async #greet(present: Present, client: ControlClient): Promise<ProcessStatus> {
    const status = (await client.call('status', {}, 5000)) as ProcessStatus;
    const { onEvent, onFound, onNotice } = this.#options;
    // Its end may have been seen before its answer.
    if (!this.#isPresent(present)) throw new Error('it has ended, or is not wanted any more');
    this.#client = client;
    // What it had kept came before its answer.
    const kept: ControlEvent[] = [];
    let hear = (event: ControlEvent): unknown => kept.push(event);
    client.onEvent((event) => hear(event));
    hear = onEvent;
    client.onNotice(onNotice);
    if (present.isNew) kept.forEach(onEvent);
    else onFound(kept);
    present.isNew = false;
    client.onClose(() => {
      this.#nudge?.();
      void this.#connectAgain(present);
    });
    return status;
  }

  #isPresent(present: Present): boolean {
    return present === this.#present && present.exit === undefined;
  }

  /** A process can lose its connection and live on; without one, nobody hears what it wants, and it cannot be told anything. */
  async #connectAgain(present: Present): Promise<void> {
    for (let pauseMs = AGAIN_MS; ; pauseMs = Math.min(2 * pauseMs, AGAIN_MS_MAX)) {
      await sleep(pauseMs, undefined, { ref: false });
      if (!this.#isPresent(present)) return;
      try {
        if (!this.isAlive) return;
        await this.#reach(present, 0);
        return;
      } catch {
        // It does not answer now, or there are no descriptors.
      }
    }
  }

  /** For a process that is not our child: its lock tells. */
  async #watchLock(present: Present): Promise<void> {
    while (present === this.#present && this.isAlive) {
      // The end of the connection is a good moment to look at once.
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, LOCK_INTERVAL_MS).unref();
        this.#nudge = () => {
          clearTimeout(timer);
          this.#nudge = undefined;
          setTimeout(resolve, RETRY_MS);
        };
      });
    }
    this.#finished(present, 'unknown');
  }

  /** Once for each process; not for one that the service has turned away from. */
  #finished(present: Present, how: string): void {
    if (present.exit !== undefined) return;
    present.exit = { how, logTail: tailOf(this.#options.paths.log) };
    if (present !== this.#present) return;
    // What it said last counts: nobody may be to go on with its mounts.
    this.#client?.hearOut();
    // Its last answer, how far its stream goes, may have come in this moment.
    this.#client?.onNotice(() => undefined);
    this.#client?.closeAfter(LAST_ANSWER_MS);
    this.#client = undefined;
    this.#options.onExit(present.exit);
  }
}

function makePresent(child: GroupChild | undefined): Present {
  return { child, ended: Promise.resolve(), isNew: child !== undefined, exit: undefined };
}

function startFailed(group: string, { how, logTail }: ProcessExit): UnderstudyError {
  return new UnderstudyError(
    'GROUP_PROCESS_START_FAILED',
    `the process of group "${group}" ended while starting (${how}): ${logTail}`,
    { details: { group, how } },
  );
}

/** Empty where there is no log, or a disk that cannot be read. */
function tailOf(path: string): string {
  try {
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    return lines.slice(-LOG_TAIL_LINES).join(' | ').slice(-2000);
  } catch {
    return '';
  }
}
