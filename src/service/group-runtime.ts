// One protection group on this node: keeps its process running in the role that is persisted, and
// is the only place that starts or ends it.
//
//   boot ─▶ adopt a living process ──────────────▶ running ─(process dies)─▶ failed ─(back-off)─▶ boot
//     └──▶ start in its role (group-start.ts) ─────▲   └─(a primary's)─▶ succeeded (group-succession.ts) ─▶ running
//                     └─▶ waiting for the other node
//
// What stands by itself is in files of its own: the application (group-application.ts), what is remembered
// (group-state-keeper.ts), ends (group-endings.ts), replacements (group-renewal.ts), the other node (group-peer.ts).
// Everything that changes the role or the process runs in `exclusive`, one at a time.
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { AgentSupervision } from './agent-supervision.ts';
import { type ControlEvent, makeEvent } from './control-channel.ts';
import { readJsonFile, writeJsonDurably } from './durable-file.ts';
import { SalvageStore } from '../mirror/salvage/salvage-store.ts';
import type { MachineView } from '../cluster/thread/machine-view.ts';
import type { GroupNotice } from './data-notices.ts';
import { findBypassers } from './bypass.ts';
import { BypassWatch } from './bypass-watch.ts';
import { GroupApplication } from './group-application.ts';
import { GroupBandwidth } from './group-bandwidth.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { GroupSettings } from './group-edit-input.ts';
import { GroupEndings, type KillOptions } from './group-endings.ts';
import { removeFormerProcesses, removeGroupFiles } from './group-leftovers.ts';
import { GroupPeer } from './group-peer.ts';
import { GroupProcess, type ProcessExit } from './group-process.ts';
import type { HeldFilter } from './filter-holder.ts';
import type { GroupProcessSpec } from './group-spec.ts';
import { buildSpec, type RuntimeContext, type SpecInput } from './group-spec-builder.ts';
import { DirectoryGuard } from './safety-identity.ts';
import { GroupRenewal } from './group-renewal.ts';
import { bootId } from '../linux/boot-id.ts';
import { firstSequenceAfter, type GroupState, groupStateSchema } from './group-state.ts';
import { startInRole } from './group-start.ts';
import { GroupStateKeeper } from './group-state-keeper.ts';
import { GroupSuccession } from './group-succession.ts';
import { GroupTroubles, type Trouble } from './group-troubles.ts';
import { HALT_INTERVAL_MS, HaltWatch } from './halt-watch.ts';
import { coveredTrouble } from './mount-watch.ts';
import type { GroupView, NodeView } from './node-protocol.ts';
import type { DirectoryUser } from './open-files.ts';
import { RestartBackoff } from './restart-backoff.ts';
import { type GroupPaths, groupPaths, type ServicePaths } from './service-paths.ts';
import { settingsDigest, SettingsWatch } from './settings-watch.ts';
import { StatusPoller } from './status-poller.ts';

/** How long a node that was primary waits for the other one after its start. */
const BOOT_PATIENCE_MS = 10_000;
const CALL_TIMEOUT_MS = 5000;
const MOUNT_TIMEOUT_MS = 60_000;

type Phase = GroupView['process'];

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
  readonly application: GroupApplication;
  readonly renewal: GroupRenewal;
  readonly #keeper: GroupStateKeeper;
  readonly #endings: GroupEndings;
  readonly #peer: GroupPeer;
  readonly #settings: SettingsWatch;
  readonly #context: RuntimeContext;
  readonly #files: GroupPaths;
  readonly #troubles = new GroupTroubles();
  readonly #halt: HaltWatch;
  readonly #bandwidth: GroupBandwidth;
  readonly #succession: GroupSuccession;
  readonly #bypass: BypassWatch;
  #definition: GroupDefinition;
  #phase: Phase = 'stopped';
  /** See {@link editAlone}. */
  #isEdited = false;
  /** See {@link whileTakenBack}. */
  #takenBack = 0;
  #queue: Promise<unknown> = Promise.resolve();
  /** Calls of `exclusive` that have not ended. */
  #pending = 0;
  #closed = false;
  readonly #poller = new StatusPoller({
    ask: () => (this.#phase === 'running' ? this.process.status(2000) : undefined),
    onStatus: (status) => {
      this.noteSequence(Number(status['sequence'] ?? status['receivedSequence'] ?? 0));
      this.setTrouble('mounts', coveredTrouble(status));
      void this.#bandwidth.seen((status['limit'] as { revision?: unknown } | undefined)?.revision);
      if (status['rewound'] === true && this.#takenBack === 0) void this.#giveBack();
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
    this.#files = groupPaths(context.paths, definition.name);
    this.#keeper = this.#makeKeeper(state);
    this.process = new GroupProcess({
      group: definition.name,
      paths: this.#files,
      programs: context.programs,
      onEvent: (event) => this.#relay(event),
      onFound: (kept) => this.#found(kept),
      onExit: (exit) => this.#onExit(exit),
      onNotice: (notice) => this.#onNotice(notice as GroupNotice),
    });
    this.#halt = this.#makeHaltWatch();
    this.#bandwidth = this.#makeBandwidth();
    this.#succession = this.#makeSuccession();
    this.#bypass = this.#makeBypass();
    this.#endings = this.#makeEndings();
    this.renewal = this.#makeRenewal();
    this.#peer = this.#makePeer();
    this.#settings = new SettingsWatch({
      groupId: definition.groupId,
      settings: () => this.#definition,
      isEdited: () => this.#isEdited,
      troubles: this.#troubles,
    });
    this.application = this.#makeApplication();
  }

  #makeKeeper(state: GroupState): GroupStateKeeper {
    return new GroupStateKeeper({
      group: this.name,
      state,
      files: this.#files,
      config: this.#context.config,
      onJournalsNotUsed: (sentence) => this.emit('warning', 'JOURNALS_NOT_USED', sentence),
    });
  }

  #makeEndings(): GroupEndings {
    return new GroupEndings({
      process: this.process,
      succession: () => this.#succession,
      directories: () => this.definition.directories.map(({ dir }) => dir),
      onBegin: () => this.#retry.cancel(),
      onStopped: () => {
        this.#phase = 'stopped';
        this.#poller.forget();
      },
    });
  }

  #makeRenewal(): GroupRenewal {
    return new GroupRenewal({
      group: this.name,
      process: this.process,
      keeper: this.#keeper,
      succession: this.#succession,
      isRunning: () => this.#phase === 'running' && this.process.isAlive,
      callLast: async (...last) => this.callLast(...last),
      startStandby: async () => this.#attempt(async () => this.startStandby()),
      troubles: () => this.#troubles.all,
      emit: (...event) => this.emit(...event),
    });
  }

  #makePeer(): GroupPeer {
    return new GroupPeer({
      group: this.name,
      groupId: this.definition.groupId,
      node: this.#context.config.name,
      state: () => this.state,
      noteState: (change) => this.noteState(change),
      troubles: this.#troubles,
      phase: () => this.#phase,
      ask: async (...question) => this.#context.askPeer(...question),
      isClosed: () => this.#closed,
      onDecidable: () => {
        if (this.#pending === 0) void this.boot(0);
      },
      emit: (...event) => this.emit(...event),
    });
  }

  #makeHaltWatch(): HaltWatch {
    const dirs = this.#definition.directories.map(({ dir }) => dir);
    return new HaltWatch({
      group: this.name,
      guard: new DirectoryGuard(this.#files.safety, dirs),
      troubles: this.#troubles,
      role: () => this.state.role,
      areMountsHeld: () => this.process.isAlive || this.process.held !== null,
      onHalt: (sentence) => this.emit('error', 'GROUP_HALTED', sentence),
    });
  }

  #makeBandwidth(): GroupBandwidth {
    return new GroupBandwidth({
      group: this.name,
      definition: () => this.#definition,
      isPrimary: () => this.state.role === 'primary',
      isRunning: () => this.state.role === 'primary' && this.#phase === 'running',
      save: (bandwidth) => {
        const replication = { ...this.#definition.replication, bandwidth };
        this.#saveDefinition({ ...this.#definition, replication });
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
      isWanted: () => this.state.role === 'primary',
      spec: (takeOver) => this.#successorSpec(takeOver),
      isRenewal: () => this.renewal.isUnderWay,
      onSucceeded: () => {
        this.#setRunning();
        this.#prepare();
      },
      onFailed: (exit) => {
        if (!this.#endings.isExpected && !this.#closed) this.#lost(exit);
      },
      emit: (...event) => this.emit(...event),
    });
  }

  #makeBypass(): BypassWatch {
    return new BypassWatch({
      group: this.name,
      find: () => this.#findBypassers(),
      onBypass: (sentence) => this.setTrouble('bypass', sentence),
      noteBypassed: async () => this.process.call('bypassed', {}, CALL_TIMEOUT_MS),
      rescan: async () => this.process.call('rescan', {}, CALL_TIMEOUT_MS),
      emit: (...event) => this.emit(...event),
    });
  }

  #findBypassers(): DirectoryUser[] | undefined {
    if (this.state.role !== 'primary' || this.#phase !== 'running' || this.#closed)
      return undefined;
    const { pid } = this.process;
    const ignored = new Set([process.pid, ...(pid === undefined ? [] : [pid])]);
    return this.definition.directories.flatMap(({ dir }) => findBypassers(dir, ignored));
  }

  #onNotice(notice: GroupNotice): void {
    // Nobody is to go on with what is mounted nowhere.
    if (notice.kind === 'mountsLost') this.process.letGo();
    else this.#owner?.onNotice(notice);
  }

  #makeApplication(): GroupApplication {
    return new GroupApplication({
      context: this.#context,
      definition: () => this.#definition,
      state: () => this.state,
      noteState: (change) => this.noteState(change),
      process: this.process,
      isRunning: () => this.#phase === 'running',
      areMountsThere: () => this.#phase === 'running' || this.isSucceeding,
      isClosed: () => this.#closed,
      isManaged: () => this.isManaged,
      setTrouble: (sentence) => this.setTrouble('agents', sentence),
      onReport: (report, why) => this.#owner?.onApplication(report, why),
      onReplaced: () => this.#owner?.onAgentsReplaced(),
      emit: (...event) => this.emit(...event),
    });
  }

  /** Makes the group a managed one: its owner decides about its role from now on. */
  manageBy(owner: RuntimeOwner): void {
    this.#owner = owner;
  }

  get agents(): AgentSupervision {
    return this.application.agents;
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
      const replication = { ...change.replication, bandwidth };
      this.#saveDefinition({ ...before, ...change, replication });
      if (!isDeepStrictEqual(before.agents, change.agents)) this.application.replaceAgents();
    });
  }

  /** Persisted before it takes effect: what the disk did not take has not changed. Errors: STATE_IO. */
  #saveDefinition(definition: GroupDefinition): void {
    writeJsonDurably(this.#files.definition, definition);
    this.#definition = definition;
  }

  /**
   * Runs a change of settings, of which there is one at a time: another one would be made of what this one replaces.
   * Errors: GROUP_CHANGING.
   */
  async editAlone<T>(work: () => Promise<T>): Promise<T> {
    if (this.#isEdited) throw this.#changing('another change of its settings is under way');
    this.#isEdited = true;
    try {
      return await work();
    } finally {
      this.#isEdited = false;
    }
  }

  /**
   * Runs what takes the copy back to promote it (rewind.ts). Where nobody does, because the service was restarted meanwhile, a
   * copy that was taken back is given to its primary again, which it does not take by itself.
   */
  async whileTakenBack<T>(work: () => Promise<T>): Promise<T> {
    this.#takenBack += 1;
    try {
      return await work();
    } finally {
      this.#takenBack -= 1;
    }
  }

  async #giveBack(): Promise<void> {
    await this.whileTakenBack(async () => {
      try {
        await this.process.call('rewind-release', {}, CALL_TIMEOUT_MS);
      } catch {
        // Seen again with the next status, unless the process is gone.
        return;
      }
      const what = `group "${this.name}" was taken back, and the service ended before it was promoted`;
      const then = 'the primary brings the copy up to date again';
      this.emit('warning', 'REWIND_GIVEN_UP', `${what}: ${then}`);
      this.#poller.forget();
    });
  }

  /** See {@link SettingsWatch.isDifferent}. */
  get hasOtherSettings(): boolean {
    return this.#settings.isDifferent;
  }

  /** Errors: GROUP_CHANGING. */
  requireSettled(): void {
    if (this.isChanging) throw this.#changing('it is being started, stopped or moved');
  }

  #changing(why: string): UnderstudyError {
    return new UnderstudyError(
      'GROUP_CHANGING',
      `group "${this.name}" cannot be changed on node "${this.#context.config.name}" at this moment: ${why}; try again`,
    );
  }

  /** A start, a stop or a change of role is under way. */
  get isChanging(): boolean {
    const moving = ['starting', 'stopping'];
    return this.#pending > 0 || this.agents.view.some(({ phase }) => moving.includes(phase));
  }

  get isManaged(): boolean {
    return this.definition.failover !== null;
  }

  get files(): GroupPaths {
    return this.#files;
  }

  /** Reads the persisted state of a group. Errors: STATE_FILE_INVALID. */
  static readState(paths: ServicePaths, group: string): GroupState | undefined {
    const state = readJsonFile(groupPaths(paths, group).state, groupStateSchema);
    if (state === undefined || state.positionBoot === bootId()) return state;
    return { ...state, position: null, positionBoot: null };
  }

  get name(): string {
    return this.definition.name;
  }

  get state(): GroupState {
    return this.#keeper.state;
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

  /** Persists a change of state before it takes effect. Errors: STATE_IO. */
  saveState(change: Partial<GroupState>): void {
    this.#keeper.save(change);
  }

  /**
   * What may be known again later: on a disk that does not take it, only this process remembers it. (Whoever hears of
   * something is not to fail because of that.)
   */
  noteState(change: Partial<GroupState>): void {
    try {
      this.#keeper.save(change);
    } catch (thrown) {
      this.emit('warning', 'STATE_NOT_SAVED', `group "${this.name}": ${messageOf(thrown)}`);
    }
  }

  /** See {@link GroupStateKeeper.requireWritable}. */
  requireWritable(): void {
    this.#keeper.requireWritable();
  }

  /** See {@link GroupStateKeeper.roleSinceMs}. */
  get roleSinceMs(): number {
    return this.#keeper.roleSinceMs;
  }

  /** See {@link GroupStateKeeper.noteSequence}. */
  noteSequence(reached: number): void {
    this.#keeper.noteSequence(reached);
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
      // A process that is started beside a successor would take the mounts from it.
      if (this.#closed || this.#phase === 'running' || this.isSucceeding) return;
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
    // What it holds are the mounts of applications: the next service finds the process that goes on with them.
    await this.#succession.settled();
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
    for (const place of this.#keeper.places) {
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
      role: this.state.role,
      epoch: this.state.epoch,
      process: this.#phase,
      changing: this.#pending > 0,
      position: this.state.position,
      status: status === null ? null : { ...status },
      bandwidth: this.definition.replication.bandwidth,
      salvages: this.#salvageNames,
      settings: settingsDigest(this.definition),
      trouble: this.#trouble,
      agents: this.agents.view,
      failover: this.#owner?.view == null ? null : { ...this.#owner.view },
    };
  }

  /** A disk that cannot be read is no reason to tell nothing at all. */
  get #salvageNames(): string[] {
    try {
      return this.salvages.names;
    } catch {
      return [];
    }
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
    return this.application.start();
  }

  /**
   * Starts the process as primary and mounts. `firstCommitRequest`: see the specification. `promoted` is
   * persisted together with the role: each write of the state costs a promotion some milliseconds.
   */
  async startPrimaryProcess(
    firstCommitRequest: number | null,
    promoted: PromotedState = {},
  ): Promise<void> {
    const { position, generation } = { ...this.state, ...promoted };
    const firstSequence = firstSequenceAfter(position, this.state.lastSequence);
    // From here on the data moves: what was known of its position is no longer true after a crash.
    this.saveState({
      ...promoted,
      role: 'primary',
      position: null,
      handedOverTo: null,
      ...this.#keeper.newGeneration(generation + 1),
      agentsStarted: false,
      lastSequence: firstSequence,
      own: null,
      completeAt: null,
    });
    await this.#start({ base: position, firstSequence }, firstCommitRequest);
    await this.process.untilMounted(MOUNT_TIMEOUT_MS);
    this.#setRunning();
  }

  /** Starts the process as standby in the persisted generation. */
  async startStandby(): Promise<void> {
    this.#keeper.requireSaved();
    await this.#start(null, null);
    // From now on the process itself keeps where its data stands.
    if (this.state.position !== null) this.saveState({ position: null });
    this.#setRunning();
  }

  /**
   * Changes the persisted role to standby with a fresh state directory, and starts it; what fails is an event, and tried
   * again, as in {@link boot}. `own`: see the state.
   */
  async becomeStandby(
    epoch: number,
    position: GroupState['position'],
    own: GroupState['own'] = null,
  ): Promise<void> {
    const generation = this.state.generation + 1;
    const role = 'standby' as const;
    if (this.definition.failover?.automatic !== true) this.process.unprepare();
    const place = this.#keeper.newGeneration(generation);
    this.setTrouble('conflict', null);
    this.setTrouble('handover', null);
    await this.#attempt(async () => {
      this.saveState({ role, epoch, position, ...place, own, handedOverTo: null });
      await this.startStandby();
    });
  }

  /** See {@link GroupEndings.callLast}. */
  async callLast(...last: Parameters<GroupEndings['callLast']>): Promise<unknown> {
    return this.#endings.callLast(...last);
  }

  /** See {@link GroupEndings.stop}. */
  async stopProcess(options: Pick<KillOptions, 'cover'> = {}): Promise<void> {
    await this.#endings.stop(options);
  }

  /** See {@link GroupEndings.kill}. */
  async killProcess(options: KillOptions = {}): Promise<void> {
    await this.#endings.kill(options);
  }

  /** Replaces the process that runs. Errors: those of {@link GroupRenewal.carryOut}. */
  async renew(): Promise<void> {
    await this.exclusive(async () => this.renewal.carryOut());
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

  /** The peer was asked at `askedMs` (performance.now()): draw the conclusions for this group. */
  onPeerView(view: NodeView | undefined, askedMs: number): void {
    if (view === undefined) return;
    const other = view.groups.find(({ name }) => name === this.name);
    this.#bandwidth.adopt(other);
    this.#settings.look(view, other);
    // What the other node was before this one changed its role is no contradiction to what this one is now.
    if (this.isManaged || askedMs < this.roleSinceMs) return;
    this.#peer.conclude(view, other);
  }

  async #adopt(): Promise<boolean> {
    if (!this.process.isAlive) return false;
    this.#phase = 'starting';
    this.#bandwidth.found();
    const status = await this.process.adopt();
    if (status['role'] === this.state.role) {
      if (this.state.role === 'primary') await this.process.untilMounted(MOUNT_TIMEOUT_MS);
      this.#setRunning();
      if (this.state.role === 'primary' && !this.isManaged) await this.application.adopt();
      return true;
    }
    // The service was killed in the middle of a change of role.
    await this.stopProcess();
    return false;
  }

  async #startInRole(patienceMs: number): Promise<void> {
    if (this.isManaged && this.state.role === 'primary') {
      // Its machine has to agree with the other one first. One that is primary already believes in a process that has ended.
      this.#phase = 'waiting';
      this.#owner?.onLost();
      return;
    }
    this.#phase = 'starting';
    await startInRole(this, this.#peer, patienceMs);
  }

  async #start(start: SpecInput['start'], firstCommitRequest: number | null): Promise<void> {
    this.#phase = 'starting';
    const present = this.#keeper.place();
    try {
      await this.process.start(this.#spec({ start, firstCommitRequest }));
    } catch (thrown) {
      this.#halt.refuse();
      throw thrown;
    }
    this.setTrouble('halt', null);
    void removeFormerProcesses(this.#keeper.places, present);
  }

  #setRunning(): void {
    this.#phase = 'running';
    void this.#bandwidth.running();
    this.#owner?.onRunning();
    this.#retry.started();
    if (this.state.role === 'primary') this.#bypass.begin();
    this.#poller.forget();
    this.setTrouble('process', null);
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
      const sentence = `group "${this.name}" cannot run as ${this.state.role}: ${messageOf(thrown)}`;
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
    if (this.#endings.isExpected) this.process.letGo();
    if (this.#endings.isExpected || this.#closed || this.#phase === 'starting') return;
    if (this.state.role !== 'primary' || this.process.held === null) {
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
    const start = { base: null, firstSequence: Math.max(1, this.state.lastSequence) };
    return this.#spec({ start, firstCommitRequest: this.isManaged ? 1 : null, takeOver });
  }

  /** What the process that is about to start is told. */
  #spec(what: Pick<SpecInput, 'start' | 'firstCommitRequest' | 'takeOver'>): GroupProcessSpec {
    this.#bandwidth.started();
    const { definition, state } = this;
    return buildSpec({ definition, state, context: this.#context, files: this.#files, ...what });
  }

  #lost({ how, logTail }: ProcessExit): void {
    this.#phase = 'failed';
    const sentence = `the ${this.state.role} process of group "${this.name}" ended unexpectedly (${how}): it is started again`;
    this.setTrouble('process', sentence);
    this.emit('error', 'GROUP_PROCESS_DIED', sentence, { how, log: logTail });
    if (this.isManaged && this.state.role === 'primary') {
      this.#owner?.onLost();
      return;
    }
    const stopped = this.exclusive(async () => {
      if (this.state.role === 'primary') await this.application.stopOrphans();
    });
    void stopped.finally(() => {
      if (!this.#closed) this.#retry.schedule();
    });
  }

  /** The process tells its last events to whoever connects; what else it said meanwhile is asked for. */
  #found(kept: readonly ControlEvent[]): void {
    const known = this.#context.knownEvents(this.name);
    for (const event of kept) if (!known.has(event)) this.#relay(event);
    this.#poller.forget();
    if (this.#phase === 'running') this.#owner?.onRunning();
  }

  /** An event of the process, with the group's name added. */
  #relay(event: ControlEvent): void {
    this.#context.onEvent({ ...event, details: { group: this.name, ...event.details } });
  }
}
