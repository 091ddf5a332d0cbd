// One protection group on this node: keeps its process running in the role that is persisted, and
// is the only place that starts or ends it.
//
//   boot ─▶ adopt a living process ─────────────────────────────▶ running
//     └──▶ standby: start                                            │ process dies
//     └──▶ primary: ask the peer first                               ▼
//            peer is primary with a higher epoch ─▶ become standby  failed ─(back-off)─▶ boot
//            handed over and nobody answers ─▶ waiting
//            otherwise ─▶ start
//
// Everything that changes the role or the process runs in `exclusive`, one at a time.
import { existsSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { isDeepStrictEqual } from 'node:util';
import { unreachable } from '../core/assert.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { killAgents } from './agent-killer.ts';
import { AgentSupervision } from './agent-supervision.ts';
import { type ControlEvent, makeEvent } from './control-channel.ts';
import { readJsonFile, writeJsonDurably } from './durable-file.ts';
import { SalvageStore } from '../mirror/salvage/salvage-store.ts';
import type { MachineView } from '../cluster/thread/machine-view.ts';
import type { GroupNotice } from './data-notices.ts';
import { findBypassers } from './bypass.ts';
import { BypassWatch } from './bypass-watch.ts';
import { GroupBandwidth } from './group-bandwidth.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { GroupSettings } from './group-edit-input.ts';
import { removeFormerProcesses, removeGroupFiles } from './group-leftovers.ts';
import { GroupProcess, type ProcessExit } from './group-process.ts';
import type { HeldFilter } from './filter-holder.ts';
import type { GroupProcessSpec, Position } from './group-spec.ts';
import { buildSpec, type RuntimeContext, type SpecInput } from './group-spec-builder.ts';
import { DirectoryGuard } from './safety-identity.ts';
import { firstSequenceAfter, type GroupState, groupStateSchema } from './group-state.ts';
import { GroupSuccession } from './group-succession.ts';
import { GroupTroubles, type Trouble } from './group-troubles.ts';
import { HaltWatch } from './halt-watch.ts';
import { placeForNew, placeOf, processDirectory } from './journal-place.ts';
import { removeLeftoverMounts } from './mount-cleanup.ts';
import { coveredTrouble } from './mount-watch.ts';
import type { GroupView, NodeView } from './node-protocol.ts';
import type { DirectoryUser } from './open-files.ts';
import { renewalFailed, renewalNotPossible, whyNotRenewable } from './renewal.ts';
import { RestartBackoff } from './restart-backoff.ts';
import { concludeFromPeer, decideStart, type PeerAnswer } from './role-decision.ts';
import { type GroupPaths, groupPaths, type ServicePaths } from './service-paths.ts';
import { StatusPoller } from './status-poller.ts';

/** How long a node that was primary waits for the other one after its start. */
const BOOT_PATIENCE_MS = 10_000;
const ASK_TIMEOUT_MS = 1500;
const CALL_TIMEOUT_MS = 5000;
const MOUNT_TIMEOUT_MS = 60_000;
/** Refusals after which a group process goes on as if nothing had been asked. */
const HARMLESS_REFUSALS: readonly string[] = ['DIRECTORY_BUSY', 'COPY_NOT_UP_TO_DATE'];
const LAST_WORDS_MS = 3000;
const KILL_TIMEOUT_MS = 10_000;
const SHUTDOWN_TIMEOUT_MS = 60_000;
/** Code that is not loaded by then is loaded while applications wait. */
const PREPARE_TIMEOUT_MS = 15_000;
const SEQUENCE_SAVE_INTERVAL_MS = 10_000;
/** Between looks at directories that are not what they were. */
const HALT_INTERVAL_MS = 2000;

type Phase = GroupView['process'];

const MOUNT_POLL_MS = 20;
/** A commit that waits so long waits for a standby that does not answer. */
const COMMIT_WAIT_MS = 200;

/** What a promotion changes besides the role. */
export type PromotedState = Partial<Pick<GroupState, 'epoch' | 'position'>>;

/** What the machine of a managed group makes of what happens to its process. */
export interface RuntimeOwner {
  /** A process runs: it was started, or found. */
  onRunning(): void;
  /** A process ended that was not meant to. */
  onLost(): void;
  onNotice(notice: GroupNotice): void;
  /** The application works, or cannot be made to work on this node. */
  onApplication(state: 'ok' | 'failed', why: string): void;
  /** Others watch the application from now on. */
  onAgentsReplaced(): void;
  /** For the status. */
  readonly view: MachineView | null;
}

export class GroupRuntime {
  readonly process: GroupProcess;
  #agents: AgentSupervision;
  readonly #context: RuntimeContext;
  readonly #files: GroupPaths;
  readonly #troubles = new GroupTroubles();
  readonly #halt: HaltWatch;
  readonly #bandwidth: GroupBandwidth;
  readonly #succession: GroupSuccession;
  readonly #bypass: BypassWatch;
  #definition: GroupDefinition;
  #state: GroupState;
  #roleSinceMs = 0;
  #phase: Phase = 'stopped';
  #queue: Promise<unknown> = Promise.resolve();
  /** Calls of `exclusive` that have not ended. */
  #pending = 0;
  #expectExit = false;
  /** The process is ended for another one to go on in its place. */
  #isRenewing = false;
  #closed = false;
  #knownEventsUntil = '';
  #sequenceSavedMs = Number.NEGATIVE_INFINITY;
  readonly #poller = new StatusPoller({
    ask: () => (this.#phase === 'running' ? this.process.status(2000) : undefined),
    onStatus: (status) => {
      this.noteSequence(Number(status['sequence'] ?? status['receivedSequence'] ?? 0));
      this.setTrouble('mounts', coveredTrouble(status));
      if (
        status['role'] === 'primary' ? this.process.held !== null : status['copy'] === 'up-to-date'
      )
        this.#prepare();
    },
  });
  #owner: RuntimeOwner | undefined;
  readonly #retry = new RestartBackoff(() => void this.boot(0));

  constructor(definition: GroupDefinition, state: GroupState, context: RuntimeContext) {
    this.#definition = definition;
    this.#context = context;
    this.#state = state;
    this.#files = groupPaths(context.paths, definition.name);
    this.process = new GroupProcess({
      group: definition.name,
      paths: this.#files,
      programs: context.programs,
      onEvent: (event) => this.#relay(event),
      onExit: (exit) => this.#onExit(exit),
      onNotice: (notice) => this.#onNotice(notice as GroupNotice),
    });
    this.#halt = this.#makeHaltWatch();
    this.#bandwidth = this.#makeBandwidth();
    this.#succession = this.#makeSuccession();
    this.#bypass = this.#makeBypass();
    this.#agents = this.#makeAgents();
  }

  #makeHaltWatch(): HaltWatch {
    const dirs = this.#definition.directories.map(({ dir }) => dir);
    return new HaltWatch({
      group: this.name,
      guard: new DirectoryGuard(this.#files.safety, dirs),
      troubles: this.#troubles,
      role: () => this.#state.role,
      areMountsHeld: () => this.process.isAlive || this.process.held !== null,
      onHalt: (sentence) => this.emit('error', 'GROUP_HALTED', sentence),
    });
  }

  #makeBandwidth(): GroupBandwidth {
    return new GroupBandwidth({
      group: this.name,
      definition: () => this.#definition,
      isPrimary: () => this.#state.role === 'primary',
      isRunning: () => this.#state.role === 'primary' && this.#phase === 'running',
      save: (bandwidth) => {
        const replication = { ...this.#definition.replication, bandwidth };
        this.#definition = { ...this.#definition, replication };
        writeJsonDurably(this.#files.definition, this.#definition);
      },
      call: async (method, params, timeoutMs) => this.process.call(method, params, timeoutMs),
      onTold: () => this.#poller.forget(),
      warn: (code, sentence) => this.emit('warning', code, sentence),
    });
  }

  #makeSuccession(): GroupSuccession {
    return new GroupSuccession({
      group: this.name,
      process: this.process,
      isWanted: () => !this.#closed && this.#state.role === 'primary',
      spec: (takeOver) => this.#successorSpec(takeOver),
      isRenewal: () => this.#isRenewing,
      onSucceeded: () => {
        this.#setRunning();
        this.#prepare();
      },
      onFailed: (exit) => {
        if (!this.#expectExit && !this.#closed) this.#lost(exit);
      },
      emit: (...event) => this.emit(...event),
    });
  }

  #makeBypass(): BypassWatch {
    return new BypassWatch({
      group: this.name,
      find: () => this.#findBypassers(),
      onBypass: (sentence) => this.setTrouble('bypass', sentence),
      rescan: async () => this.process.call('rescan', {}, CALL_TIMEOUT_MS),
      emit: (...event) => this.emit(...event),
    });
  }

  #findBypassers(): DirectoryUser[] | undefined {
    if (this.#state.role !== 'primary' || this.#phase !== 'running') return undefined;
    const { pid } = this.process;
    const ignored = new Set([process.pid, ...(pid === undefined ? [] : [pid])]);
    return this.definition.directories.flatMap(({ dir }) => findBypassers(dir, ignored));
  }

  #onNotice(notice: GroupNotice): void {
    // Nobody is to go on with what is mounted nowhere.
    if (notice.kind === 'mountsLost') this.process.letGo();
    else this.#owner?.onNotice(notice);
  }

  #makeAgents(): AgentSupervision {
    const { catalog, paths } = this.#context;
    return new AgentSupervision({
      definition: this.#definition,
      catalog,
      logDirectory: paths.logs,
      runtimeDirectory: paths.agentsRun,
      role: () => this.#state.role,
      isMounted: async (signal) => this.#whenMounted(signal),
      isExcused: async () => this.#commitsWait(),
      killAll: async (timeoutMs) => this.killApplication(timeoutMs),
      onReport: (report, why) => this.#owner?.onApplication(report, why),
      emit: (level, code, message) => this.emit(level, code, message),
    });
  }

  async #whenMounted(signal: AbortSignal): Promise<boolean> {
    while (!signal.aborted) {
      if (this.#phase === 'running' && this.process.isAlive) return true;
      await sleep(MOUNT_POLL_MS);
    }
    return false;
  }

  async #commitsWait(): Promise<boolean> {
    const status = await this.process.status().catch(() => undefined);
    return Number(status?.['commitWaitMs'] ?? 0) > COMMIT_WAIT_MS;
  }

  /** Makes the group a managed one: its owner decides about its role from now on. */
  manageBy(owner: RuntimeOwner): void {
    this.#owner = owner;
  }

  get agents(): AgentSupervision {
    return this.#agents;
  }

  get definition(): GroupDefinition {
    return this.#definition;
  }

  /** Another bandwidth limit, for both roles. */
  get bandwidth(): GroupBandwidth {
    return this.#bandwidth;
  }

  /**
   * What may change in the life of a group (group-edit.ts): persisted. A process that runs goes on with what it was
   * started with, see {@link renew}; agents are watched by the new ones at once. The bandwidth limit stays.
   */
  async changeSettings(change: GroupSettings): Promise<void> {
    await this.exclusive(async () => {
      const before = this.#definition;
      const { bandwidth } = before.replication;
      this.#definition = {
        ...before,
        ...change,
        replication: { ...change.replication, bandwidth },
      };
      writeJsonDurably(this.#files.definition, this.#definition);
      if (!isDeepStrictEqual(before.agents, change.agents)) this.#replaceAgents();
    });
  }

  /** Applications run on, as they do when the service is restarted. */
  #replaceAgents(): void {
    this.#agents.close();
    this.#agents = this.#makeAgents();
    this.#agents.prepare();
    // In a managed group the machine says whether they run.
    if (this.isManaged) this.#owner?.onAgentsReplaced();
    else if (this.#state.role === 'primary' && this.#state.agentsStarted) this.#agents.adopt();
  }

  /** A start, a stop or a change of role is under way. */
  get isChanging(): boolean {
    const moving = ['starting', 'stopping'];
    return this.#pending > 0 || this.agents.view.some(({ phase }) => moving.includes(phase));
  }

  /** Errors: RENEWAL_NOT_POSSIBLE, see {@link renew}. */
  async requireRenewable(): Promise<void> {
    if (this.#phase !== 'running' || !this.process.isAlive) return;
    const { role, generation, journals } = this.#state;
    const status = await this.process.status();
    const present = processDirectory(journals ?? this.#files.directory, generation);
    const stateDirectory = role === 'standby' ? present : null;
    const why = whyNotRenewable(role, status, { process: this.process, stateDirectory });
    if (why !== null) throw renewalNotPossible(this.name, why);
  }

  get isManaged(): boolean {
    return this.definition.failover !== null;
  }

  get files(): GroupPaths {
    return this.#files;
  }

  /** Reads the persisted state of a group. Errors: STATE_FILE_INVALID. */
  static readState(paths: ServicePaths, group: string): GroupState | undefined {
    return readJsonFile(groupPaths(paths, group).state, groupStateSchema);
  }

  get name(): string {
    return this.definition.name;
  }

  get state(): GroupState {
    return this.#state;
  }

  /** The service is stopping: operations are to end without deciding anything. */
  get isClosed(): boolean {
    return this.#closed;
  }

  get phase(): Phase {
    return this.#phase;
  }

  get logFile(): string {
    return this.#files.log;
  }

  get context(): RuntimeContext {
    return this.#context;
  }

  /** Persists a change of state before it takes effect. */
  saveState(change: Partial<GroupState>): void {
    if (change.role !== undefined && change.role !== this.#state.role) {
      this.#roleSinceMs = performance.now();
    }
    this.#state = { ...this.#state, ...change };
    writeJsonDurably(this.#files.state, this.#state);
  }

  /** `performance.now()` of the last change of this node's role; 0: none since the service was started. */
  get roleSinceMs(): number {
    return this.#roleSinceMs;
  }

  /** Runs `work` alone: no other change of role, restart or boot happens meanwhile. */
  async exclusive<T>(work: () => Promise<T>): Promise<T> {
    this.#pending += 1;
    const run = this.#queue.then(work).finally(() => {
      this.#pending -= 1;
    });
    this.#queue = run.catch(() => undefined);
    return run;
  }

  /** Finds or starts the group's process. Failures are events, and tried again later. */
  async boot(patienceMs = BOOT_PATIENCE_MS): Promise<void> {
    this.watch();
    await this.exclusive(async () => {
      if (this.#closed || this.#phase === 'running') return;
      await this.#attempt(async () => {
        if (await this.#adopt()) return;
        await this.#startInRole(patienceMs);
      });
    });
  }

  /** Starts to ask the process for its status regularly. */
  watch(): void {
    this.#poller.start();
    this.agents.prepare();
  }

  /** Stops watching; the process goes on running. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#retry.cancel();
    this.#poller.stop();
    this.#bypass.stop();
    this.agents.giveUpStart();
    await this.#queue;
    this.agents.close();
    this.process.release();
  }

  /** What is kept aside of this node's own. */
  get salvages(): SalvageStore {
    return new SalvageStore(this.#files.salvage, this.name);
  }

  /**
   * Removes every trace of the group from this node but the data, and what is kept aside of it. Its process
   * must have ended.
   */
  removeFiles(): void {
    const { directory } = this.#files;
    for (const place of this.#places) {
      if (place !== directory) rmSync(place, { recursive: true, force: true });
    }
    removeGroupFiles(this.#files, this.salvages.names.length > 0);
    rmSync(join(this.#context.paths.agentsRun, this.name), { recursive: true, force: true });
  }

  /** The group as this node sees it, with the process's own status of this moment. */
  async view(): Promise<GroupView> {
    const status = await this.#poller.now();
    return {
      name: this.name,
      groupId: this.definition.groupId,
      role: this.#state.role,
      epoch: this.#state.epoch,
      process: this.#phase,
      changing: this.#pending > 0,
      position: this.#state.position,
      status: status === null ? null : { ...status },
      bandwidth: this.definition.replication.bandwidth,
      salvages: this.salvages.names,
      trouble: this.#trouble,
      agents: this.agents.view,
      failover: this.#owner?.view == null ? null : { ...this.#owner.view },
    };
  }

  get #trouble(): string | null {
    const { faults } = this.agents;
    const known =
      faults.length === 0 ? null : `the application is not watched: ${faults.join('; ')}`;
    const all = [...this.#troubles.all, ...(known === null ? [] : [known])];
    return all.length === 0 ? null : all.join('; ');
  }

  setTrouble(kind: Trouble, sentence: string | null): void {
    this.#troubles.set(kind, sentence);
  }

  emit(
    level: ControlEvent['level'],
    code: string,
    message: string,
    details: ControlEvent['details'] = {},
  ): void {
    this.#context.onEvent(makeEvent(level, code, message, { group: this.name, ...details }));
  }

  /** Starts the process as primary, mounts, starts the agents. Agent failures are returned. */
  async startPrimary(promoted: PromotedState = {}): Promise<string[]> {
    await this.startPrimaryProcess(null, promoted);
    return this.startAgents();
  }

  /**
   * Starts the process as primary and mounts. `firstCommitRequest`: see the specification. `promoted` is
   * persisted together with the role: each write of the state costs a promotion some milliseconds.
   */
  async startPrimaryProcess(
    firstCommitRequest: number | null,
    promoted: PromotedState = {},
  ): Promise<void> {
    const { position, generation } = { ...this.#state, ...promoted };
    const firstSequence = firstSequenceAfter(position, this.#state.lastSequence);
    // From here on the data moves: what was known of its position is no longer true after a crash.
    this.saveState({
      ...promoted,
      role: 'primary',
      position: null,
      handedOverTo: null,
      ...this.#newGeneration(generation + 1),
      agentsStarted: false,
      lastSequence: firstSequence,
      own: null,
    });
    await this.#start({ base: position, firstSequence }, firstCommitRequest);
    await this.#waitForMounts();
    this.#setRunning();
  }

  /** Starts the process as standby in the persisted generation. */
  async startStandby(): Promise<void> {
    await this.#start(null, null);
    // From now on the process itself keeps where its data stands.
    if (this.#state.position !== null) this.saveState({ position: null });
    this.#setRunning();
  }

  /**
   * Changes the persisted role to standby with a fresh state directory, and starts it. `own`: see the
   * state.
   */
  async becomeStandby(
    epoch: number,
    position: GroupState['position'],
    own: GroupState['own'] = null,
  ): Promise<void> {
    const generation = this.#state.generation + 1;
    const role = 'standby' as const;
    if (this.definition.failover?.automatic !== true) this.process.unprepare();
    const place = this.#newGeneration(generation);
    this.saveState({ role, epoch, position, ...place, own, handedOverTo: null });
    this.setTrouble('conflict', null);
    this.setTrouble('handover', null);
    await this.#attempt(async () => this.startStandby());
  }

  /**
   * Calls a method after which the process ends by itself, and waits for its end; `onResult` is
   * called before that. When the method fails and the process lives on, nothing has changed.
   */
  async callLast(
    method: string,
    params: Record<string, unknown>,
    timeoutMs: number,
    onResult: (result: unknown) => void = () => undefined,
  ): Promise<unknown> {
    await this.#succession.settled();
    this.#expectExit = true;
    try {
      const result = await this.process.call(method, params, timeoutMs);
      onResult(result);
      await this.process.waitForEnd(30_000);
      this.#phase = 'stopped';
      this.#poller.forget();
      return result;
    } catch (thrown) {
      // Some failures are the last thing a process says; it has to be known which kind this was.
      const code = thrown instanceof UnderstudyError ? thrown.code : '';
      const livesOn = HARMLESS_REFUSALS.includes(code);
      if (!livesOn && (await this.process.endsWithin(LAST_WORDS_MS))) this.#phase = 'stopped';
      throw thrown;
    } finally {
      this.#expectExit = false;
    }
  }

  /** Ends the process, by force when it does not end by itself. */
  async stopProcess(): Promise<void> {
    this.#retry.cancel();
    await this.#succession.settled();
    if (this.process.isAlive) await this.#endProcess();
    this.#phase = 'stopped';
    for (const { dir } of this.definition.directories) removeLeftoverMounts(dir, { covers: true });
  }

  /**
   * Ends the process at once; what it had not sent stays here only. `keepMounts`: dead mounts stay,
   * by which the processes can be found that use them.
   */
  async killProcess({ keepMounts = false }: { keepMounts?: boolean } = {}): Promise<void> {
    this.#retry.cancel();
    this.#expectExit = true;
    // Applications that wait for the mounts are not to wait for nobody.
    this.process.letGo();
    try {
      await this.#succession.giveUp();
      if (this.process.isAlive) {
        this.process.kill();
        await this.process.waitForEnd(KILL_TIMEOUT_MS);
      }
    } finally {
      this.#expectExit = false;
    }
    this.#phase = 'stopped';
    this.#poller.forget();
    if (keepMounts) return;
    for (const { dir } of this.definition.directories) removeLeftoverMounts(dir, { covers: true });
  }

  async #endProcess(): Promise<void> {
    try {
      await this.callLast('shutdown', {}, SHUTDOWN_TIMEOUT_MS);
    } catch (thrown) {
      if (thrown instanceof UnderstudyError && thrown.code === 'DIRECTORY_BUSY') throw thrown;
      this.#expectExit = true;
      this.process.letGo();
      this.process.kill();
      await this.process.waitForEnd(10_000);
      this.#expectExit = false;
    }
  }

  /** Stops the agents. Errors: AGENT_FAILED, AGENT_ABORTED. */
  async stopAgents(signal?: AbortSignal): Promise<void> {
    await this.agents.stop(signal);
    this.noteAgents(false);
  }

  /** Starts the agents; returns what failed, which is also an event and shown in the status. */
  async startAgents(signal?: AbortSignal): Promise<string[]> {
    // The next service finds that they are not started.
    if (this.#closed) return ['the service ends: the next one starts the agents'];
    try {
      await this.agents.start(signal);
      this.setTrouble('agents', null);
      this.noteAgents(true);
      return [];
    } catch (thrown) {
      const sentence = messageOf(thrown);
      this.setTrouble('agents', sentence);
      if (!this.#closed) this.emit('error', 'AGENT_FAILED', sentence);
      return [sentence];
    }
  }

  /** On a disk that has failed only this process remembers it, which is enough to go on. */
  noteAgents(agentsStarted: boolean): void {
    try {
      this.saveState({ agentsStarted });
    } catch (thrown) {
      this.emit('warning', 'STATE_NOT_SAVED', `group "${this.name}": ${messageOf(thrown)}`);
    }
  }

  /**
   * Ends everything that uses the directories, while they are mounted. Returns what could not be ended, as a
   * sentence.
   */
  async killApplication(timeoutMs: number): Promise<string | null> {
    const directories = this.definition.directories.map(({ dir }) => dir);
    const { pid } = this.process;
    const ignorePids = new Set([...this.agents.pids, ...(pid === undefined ? [] : [pid])]);
    const { left } = await killAgents(directories, { ignorePids, timeoutMs });
    if (left.length === 0) return null;
    return `these processes cannot be killed: ${left.map((one) => `${one.pid} ${one.command}`).join(', ')}`;
  }

  /**
   * Another process of this installation goes on in the place of the one that runs, with the settings as they are
   * now. That of a primary has the same mounts and the same stream: applications only wait. Where none runs there is nothing
   * to do. Errors: RENEWAL_NOT_POSSIBLE (nothing has changed), RENEWAL_FAILED.
   */
  async renew(): Promise<void> {
    await this.exclusive(async () => {
      await this.#succession.settled();
      if (this.#phase !== 'running' || !this.process.isAlive) return;
      await this.requireRenewable();
      this.#isRenewing = true;
      try {
        if (this.#state.role === 'primary') await this.#renewPrimary();
        else await this.#renewStandby();
      } finally {
        this.#isRenewing = false;
      }
      if (this.phase !== 'running') throw renewalFailed(this.name, this.#troubles.all);
    });
  }

  /** As a death, which is what it is for the kernel and for applications; only that the next one is there before. */
  async #renewPrimary(): Promise<void> {
    this.process.prepare();
    const deadline = performance.now() + PREPARE_TIMEOUT_MS;
    while (!this.process.isPrepared && performance.now() < deadline) await sleep(MOUNT_POLL_MS);
    this.process.kill();
    await this.process.endsWithin(KILL_TIMEOUT_MS);
    await this.#succession.settled();
  }

  /** Its cover stays: nobody may write the copy in between. */
  async #renewStandby(): Promise<void> {
    await this.callLast('shutdown', { keepCover: true }, SHUTDOWN_TIMEOUT_MS);
    await this.#attempt(async () => this.startStandby());
    if (this.#phase !== 'running') return;
    this.emit(
      'info',
      'GROUP_PROCESS_RENEWED',
      `the standby process of group "${this.name}" was replaced by another one`,
    );
  }

  /** An operation gave the process up for now: nothing starts it until the peer is heard of. */
  wait(sentence: string): void {
    this.#phase = 'waiting';
    this.setTrouble('handover', sentence);
  }

  /** Tries to start again after an operation left the group without a process. */
  async resume(): Promise<void> {
    await this.#attempt(async () => {
      if (this.process.isAlive) this.#setRunning();
      else await this.#startInRole(0);
    });
  }

  /** The peer was asked: draw the conclusions for this group. */
  onPeerView(view: NodeView | undefined): void {
    if (view === undefined) return;
    const other = view.groups.find(({ name }) => name === this.name);
    this.#bandwidth.adopt(other);
    if (this.isManaged) return;
    const { definition, state, phase } = this;
    const conclusion = concludeFromPeer({ groupId: definition.groupId, state, phase }, other);
    const isUnknown = conclusion.kind === 'unknown-group';
    const forget = `node "${view.node.name}" does not know this group: delete it here with "understudy group delete ${this.name} --force"`;
    this.setTrouble('peer', isUnknown ? forget : null);
    if (conclusion.kind === 'split-brain') this.#noteSplitBrain(view.node.name, conclusion.newer);
    else if (!isUnknown) this.setTrouble('conflict', null);
    if (conclusion.kind === 'epoch') this.saveState({ epoch: conclusion.epoch });
    if (conclusion.kind === 'decide' && this.#pending === 0) void this.boot(0);
  }

  #noteSplitBrain(node: string, newerOne: 'this' | 'other'): void {
    if (this.#troubles.get('conflict') !== undefined) return;
    const own = this.#context.config.name;
    const [newer, older] = newerOne === 'other' ? [node, own] : [own, node];
    const sentence = `both nodes are primary (split brain): "${newer}" was promoted later. Keep what you need of the data on "${older}", then run "understudy yield ${this.name} --force" there to make it the standby`;
    this.setTrouble('conflict', sentence);
    this.emit('error', 'SPLIT_BRAIN', `group "${this.name}": ${sentence}`);
  }

  async #adopt(): Promise<boolean> {
    if (!this.process.isAlive) return false;
    this.#phase = 'starting';
    this.#bandwidth.found();
    this.#knownEventsUntil = this.#context.lastEventAt(this.name);
    const status = await this.process.adopt();
    if (status['role'] === this.#state.role) {
      if (this.#state.role === 'primary') await this.#waitForMounts();
      this.#setRunning();
      const isOurs = this.#state.role === 'primary' && !this.isManaged;
      if (isOurs && this.#state.agentsStarted) this.agents.adopt();
      if (isOurs && !this.#state.agentsStarted) await this.startAgents();
      return true;
    }
    // The service was killed in the middle of a change of role.
    await this.stopProcess();
    return false;
  }

  async #startInRole(patienceMs: number): Promise<void> {
    if (this.isManaged && this.#state.role === 'primary') {
      // Its machine has to agree with the other one first.
      this.#phase = 'waiting';
      return;
    }
    this.#phase = 'starting';
    this.#halt.refuse();
    const isPrimary = this.#state.role === 'primary';
    const other = isPrimary ? await this.#askPeerPatiently(patienceMs) : undefined;
    const decision = decideStart(this.#state, other);
    switch (decision.kind) {
      case 'standby':
        await this.startStandby();
        return;
      case 'follow':
        await this.#follow(decision.epoch, decision.position);
        return;
      case 'wait':
        this.wait(
          `handed over to the other node, which does not answer: waiting for it. If it is lost, run "understudy takeover ${this.name} --force" here`,
        );
        return;
      case 'primary':
        this.setTrouble('handover', null);
        if (decision.epoch !== this.#state.epoch) this.saveState({ epoch: decision.epoch });
        await this.startPrimary();
        return;
      default:
        unreachable(decision);
    }
  }

  async #follow(epoch: number, position: Position | null): Promise<void> {
    const lost = position === null ? ', and what it wrote last and did not send is replaced' : '';
    const sentence = `group "${this.name}" was taken over by the other node (epoch ${epoch}): this node becomes its standby${lost}`;
    this.emit('warning', 'PRIMARY_ELSEWHERE', sentence);
    await this.becomeStandby(epoch, position);
  }

  async #askPeerPatiently(patienceMs: number): Promise<PeerAnswer> {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const other = await this.#context.askPeer(this.name, ASK_TIMEOUT_MS);
      if (other !== 'unreachable' || performance.now() >= deadline || this.#closed) return other;
      await sleep(1000);
    }
  }

  async #start(start: SpecInput['start'], firstCommitRequest: number | null): Promise<void> {
    this.#phase = 'starting';
    const { definition } = this;
    const present = this.#place();
    this.#bandwidth.started();
    try {
      await this.process.start(
        buildSpec({
          definition,
          state: this.#state,
          context: this.#context,
          files: this.#files,
          start,
          firstCommitRequest,
        }),
      );
    } catch (thrown) {
      this.#halt.refuse();
      throw thrown;
    }
    this.setTrouble('halt', null);
    void removeFormerProcesses(this.#places, present);
  }

  #setRunning(): void {
    this.#phase = 'running';
    void this.#bandwidth.running();
    this.#owner?.onRunning();
    this.#retry.started();
    if (this.#state.role === 'primary') this.#bypass.begin();
    this.#poller.forget();
    this.setTrouble('process', null);
  }

  async #waitForMounts(): Promise<void> {
    const deadline = performance.now() + MOUNT_TIMEOUT_MS;
    for (;;) {
      const status = await this.process.status();
      const directories = status['directories'] as readonly { mounted: boolean }[] | undefined;
      if (directories === undefined || directories.every(({ mounted }) => mounted)) return;
      if (performance.now() > deadline) {
        throw new UnderstudyError(
          'MOUNT_FAILED',
          `the directories of group "${this.name}" were not mounted within ${MOUNT_TIMEOUT_MS / 1000} s: see ${this.#files.log}`,
        );
      }
      await sleep(50);
    }
  }

  /** Whether the directories are what they were. */
  get halt(): HaltWatch {
    return this.#halt;
  }

  /** Runs `work`; a failure becomes an event, a trouble, and another attempt after a while. */
  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      this.#phase = 'failed';
      const isHalt = thrown instanceof UnderstudyError && thrown.code === 'GROUP_HALTED';
      const sentence = `group "${this.name}" cannot run as ${this.#state.role}: ${messageOf(thrown)}`;
      this.setTrouble('process', isHalt ? null : sentence);
      // A halt is told of once, when it is found.
      if (!isHalt) this.emit('error', 'GROUP_START_FAILED', sentence);
      if (this.#closed) return;
      if (isHalt) this.#retry.lookIn(HALT_INTERVAL_MS);
      else this.#retry.schedule();
    }
  }

  #onExit({ how, logTail }: ProcessExit): void {
    this.#poller.forget();
    if (this.#expectExit) this.process.letGo();
    if (this.#expectExit || this.#closed || this.#phase === 'starting') return;
    if (this.#state.role !== 'primary' || this.process.held === null) {
      this.#lost({ how, logTail });
      return;
    }
    this.#phase = 'starting';
    this.#succession.begin({ how, logTail });
  }

  /**
   * Whoever takes over, or goes on in the place of this process, does not wait for code to be loaded then:
   * about half a second. Groups that leave failover to people spare the memory.
   */
  #prepare(): void {
    if (this.definition.failover?.automatic === true) this.process.prepare();
  }

  /** A successor is being started: the process is neither there nor lost. */
  get isSucceeding(): boolean {
    return this.#succession.isRunning;
  }

  #successorSpec(takeOver: HeldFilter): GroupProcessSpec {
    const { definition } = this;
    this.#bandwidth.started();
    return buildSpec({
      definition,
      state: this.#state,
      context: this.#context,
      files: this.#files,
      start: { base: null, firstSequence: Math.max(1, this.#state.lastSequence) },
      firstCommitRequest: this.isManaged ? 1 : null,
      takeOver,
    });
  }

  #lost({ how, logTail }: ProcessExit): void {
    this.#phase = 'failed';
    const sentence = `the ${this.#state.role} process of group "${this.name}" ended unexpectedly (${how}): it is started again`;
    this.setTrouble('process', sentence);
    this.emit('error', 'GROUP_PROCESS_DIED', sentence, { how, log: logTail });
    if (this.isManaged && this.#state.role === 'primary') {
      this.#owner?.onLost();
      return;
    }
    void this.exclusive(async () => this.#stopOrphanedAgents()).finally(() => {
      if (!this.#closed) this.#retry.schedule();
    });
  }

  /** The application's files are gone with the mount: it is stopped, and started again later. */
  async #stopOrphanedAgents(): Promise<void> {
    if (this.#state.role !== 'primary') return;
    try {
      await this.stopAgents();
    } catch (thrown) {
      this.emit('warning', 'AGENT_FAILED', messageOf(thrown));
    }
  }

  /** An event of the process, with the group's name added. */
  #relay(event: ControlEvent): void {
    // A process tells its last events to whoever connects: those are known from before.
    if (event.at <= this.#knownEventsUntil) return;
    this.#context.onEvent({ ...event, details: { group: this.name, ...event.details } });
  }

  /** Kept in memory, and written now and then: the gap of group-state.ts covers the rest. */
  noteSequence(reached: number): void {
    if (reached <= this.#state.lastSequence) return;
    this.#state = { ...this.#state, lastSequence: reached };
    const now = performance.now();
    if (now - this.#sequenceSavedMs < SEQUENCE_SAVE_INTERVAL_MS) return;
    this.#sequenceSavedMs = now;
    try {
      this.saveState({});
    } catch {
      // A disk that has failed is told of by others; in here it would end the service in the middle
      // of handing the group over.
    }
  }

  /** To be saved together with the role: where a new generation has its journal. */
  #newGeneration(generation: number): Pick<GroupState, 'generation' | 'journals'> {
    const { journals } = this.#context.config;
    const onUnusable = (why: string): void => {
      const sentence = `group "${this.name}": ${journals ?? ''} cannot be used for its journal (${why}): it is kept in ${this.#files.directory} instead, until the next change of role`;
      this.emit('warning', 'JOURNALS_NOT_USED', sentence);
    };
    return { generation, journals: placeForNew(journals, this.name, generation, onUnusable) };
  }

  /** State directory of the present generation. Errors: JOURNALS_MISSING. */
  #place(): string {
    const { directory } = this.#files;
    const { generation, journals } = this.#state;
    const isNew = journals === null && !existsSync(processDirectory(directory, generation));
    // A standby that was just created: nothing has begun a generation for it.
    if (isNew && this.#state.role === 'standby') this.saveState(this.#newGeneration(generation));
    return placeOf({ own: directory, journals: this.#state.journals }, generation);
  }

  /** Where state directories of this group are or were. */
  get #places(): readonly string[] {
    const configured = this.#context.config.journals;
    const others = [
      this.#state.journals,
      configured === undefined ? null : join(configured, this.name),
    ];
    return [this.#files.directory, ...new Set(others.filter((place) => place !== null))];
  }
}
