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
import { existsSync, readdirSync, rmSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { startAgents, stopAgents } from './agent-runner.ts';
import { type ControlEvent, makeEvent } from './control-channel.ts';
import { makePrivateDirectory, readJsonFile, writeJsonDurably } from './durable-file.ts';
import type { GroupDefinition } from './group-definition.ts';
import { GroupProcess, type ProcessExit, type ProcessStatus } from './group-process.ts';
import { buildSpec, type RuntimeContext, type SpecInput } from './group-spec-builder.ts';
import { firstSequenceAfter, type GroupState, groupStateSchema } from './group-state.ts';
import { removeLeftoverMounts } from './mount-cleanup.ts';
import type { GroupView, NodeView } from './node-protocol.ts';
import { type GroupPaths, groupPaths, type ServicePaths } from './service-paths.ts';

const PEER_PATIENCE_BOOT_MS = 10_000;
const PEER_PATIENCE_RESTART_MS = 3000;
const MOUNT_TIMEOUT_MS = 60_000;
const STATUS_INTERVAL_MS = 2000;
const STATUS_FRESH_MS = 300;
/** Refusals after which a group process goes on as if nothing had been asked. */
const HARMLESS_REFUSALS: readonly string[] = ['DIRECTORY_BUSY', 'COPY_NOT_UP_TO_DATE'];
const LAST_WORDS_MS = 3000;
const SEQUENCE_SAVE_INTERVAL_MS = 10_000;
const BACKOFF_MS = [200, 1000, 2000, 5000, 10_000, 30_000] as const;
/** A process that ran so long starts with the shortest back-off again. */
const STABLE_MS = 60_000;

type Phase = GroupView['process'];
type Trouble = 'process' | 'agents' | 'conflict' | 'handover' | 'peer';

export class GroupRuntime {
  readonly definition: GroupDefinition;
  readonly process: GroupProcess;
  readonly #context: RuntimeContext;
  readonly #files: GroupPaths;
  readonly #troubles = new Map<Trouble, string>();
  #state: GroupState;
  #phase: Phase = 'stopped';
  #queue: Promise<unknown> = Promise.resolve();
  /** Calls of `exclusive` that have not ended. */
  #pending = 0;
  #expectExit = false;
  #closed = false;
  #failures = 0;
  #knownEventsUntil = '';
  #runningSinceMs = 0;
  #sequenceSavedMs = Number.NEGATIVE_INFINITY;
  #retry: NodeJS.Timeout | undefined;
  #poll: NodeJS.Timeout | undefined;
  #status: { readonly value: ProcessStatus; readonly atMs: number } | undefined;

  constructor(definition: GroupDefinition, state: GroupState, context: RuntimeContext) {
    this.definition = definition;
    this.#context = context;
    this.#state = state;
    this.#files = groupPaths(context.paths, definition.name);
    this.process = new GroupProcess({
      group: definition.name,
      paths: this.#files,
      programs: context.programs,
      onEvent: (event) => this.#relay(event),
      onExit: (exit) => this.#onExit(exit),
    });
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
    this.#state = { ...this.#state, ...change };
    writeJsonDurably(this.#files.state, this.#state);
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
  async boot(patienceMs = PEER_PATIENCE_BOOT_MS): Promise<void> {
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
    this.#poll ??= setInterval(() => void this.#pollStatus(), STATUS_INTERVAL_MS);
  }

  /** Stops watching; the process goes on running. */
  async close(): Promise<void> {
    this.#closed = true;
    clearTimeout(this.#retry);
    clearInterval(this.#poll);
    await this.#queue;
    this.process.release();
  }

  /** Removes every trace of the group from this node but the data. Its process must have ended. */
  removeFiles(): void {
    rmSync(this.#files.directory, { recursive: true, force: true });
    rmSync(this.#files.lock, { force: true });
    rmSync(this.#files.controlSocket, { force: true });
  }

  /** The group as this node sees it, with the process's own status of this moment. */
  async view(): Promise<GroupView> {
    const age = performance.now() - (this.#status?.atMs ?? Number.NEGATIVE_INFINITY);
    if (age > STATUS_FRESH_MS) await this.#pollStatus();
    return {
      name: this.name,
      groupId: this.definition.groupId,
      role: this.#state.role,
      epoch: this.#state.epoch,
      process: this.#phase,
      changing: this.#pending > 0,
      position: this.#state.position,
      status: this.#status === undefined ? null : { ...this.#status.value },
      trouble: this.#troubles.size === 0 ? null : [...this.#troubles.values()].join('; '),
    };
  }

  setTrouble(kind: Trouble, sentence: string | null): void {
    if (sentence === null) this.#troubles.delete(kind);
    else this.#troubles.set(kind, sentence);
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
  async startPrimary(): Promise<string[]> {
    const { position, generation } = this.#state;
    const firstSequence = firstSequenceAfter(position, this.#state.lastSequence);
    // From here on the data moves: what was known of its position is no longer true after a crash.
    this.saveState({
      role: 'primary',
      position: null,
      handedOverTo: null,
      generation: generation + 1,
      agentsStarted: false,
      lastSequence: firstSequence,
    });
    await this.#start({ base: position, firstSequence });
    await this.#waitForMounts();
    this.#setRunning();
    return this.startAgents();
  }

  /** Starts the process as standby in the persisted generation. */
  async startStandby(): Promise<void> {
    await this.#start(null);
    // From now on the process itself keeps where its data stands.
    if (this.#state.position !== null) this.saveState({ position: null });
    this.#setRunning();
  }

  /** Changes the persisted role to standby with a fresh state directory, and starts it. */
  async becomeStandby(epoch: number, position: GroupState['position']): Promise<void> {
    const generation = this.#state.generation + 1;
    const change = { role: 'standby', epoch, position, generation, handedOverTo: null } as const;
    this.saveState(change);
    this.setTrouble('conflict', null);
    this.setTrouble('handover', null);
    await this.#attempt(async () => this.startStandby());
  }

  /**
   * Calls a method after which the process ends by itself, and waits for its end. When the method
   * fails and the process lives on, nothing has changed.
   */
  async callLast(method: string, params: Record<string, unknown>, timeoutMs: number) {
    this.#expectExit = true;
    try {
      const result = await this.process.call(method, params, timeoutMs);
      await this.process.waitForEnd(30_000);
      this.#phase = 'stopped';
      this.#status = undefined;
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
    clearTimeout(this.#retry);
    if (this.process.isAlive) await this.#endProcess();
    this.#phase = 'stopped';
    for (const { dir } of this.definition.directories) removeLeftoverMounts(dir, { covers: true });
  }

  async #endProcess(): Promise<void> {
    try {
      await this.callLast('shutdown', {}, 60_000);
    } catch (thrown) {
      if (thrown instanceof UnderstudyError && thrown.code === 'DIRECTORY_BUSY') throw thrown;
      this.#expectExit = true;
      this.process.kill();
      await this.process.waitForEnd(10_000);
      this.#expectExit = false;
    }
  }

  /** Stops the agents. Errors: AGENT_FAILED. */
  async stopAgents(): Promise<void> {
    await stopAgents(this.definition.agents, this.#agentContext());
    this.saveState({ agentsStarted: false });
  }

  /** Starts the agents; returns what failed, which is also an event and shown in the status. */
  async startAgents(): Promise<string[]> {
    try {
      await startAgents(this.definition.agents, this.#agentContext());
      this.setTrouble('agents', null);
      this.saveState({ agentsStarted: true });
      return [];
    } catch (thrown) {
      const sentence = messageOf(thrown);
      this.setTrouble('agents', sentence);
      this.emit('error', 'AGENT_FAILED', sentence);
      return [sentence];
    }
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
    if (other === undefined || other.groupId !== this.definition.groupId) {
      const sentence = `node "${view.node.name}" does not know this group: delete it here with "understudy group delete ${this.name} --force"`;
      this.setTrouble('peer', sentence);
      return;
    }
    this.setTrouble('peer', null);
    if (other.role === 'primary') this.#onPeerPrimary(view.node.name, other);
    else if (this.#phase === 'waiting' && this.#pending === 0) void this.boot();
    else this.setTrouble('conflict', null);
  }

  #onPeerPrimary(node: string, other: GroupView): void {
    if (this.#state.role === 'standby') {
      if (other.epoch > this.#state.epoch) this.saveState({ epoch: other.epoch });
      this.setTrouble('conflict', null);
      return;
    }
    const isIdle = this.#phase === 'waiting' || this.#phase === 'failed';
    if (isIdle && this.#pending === 0 && other.epoch > this.#state.epoch) void this.boot();
    if (this.#phase !== 'running' || this.#troubles.has('conflict')) return;
    const newer = other.epoch > this.#state.epoch ? node : this.#context.config.name;
    const older = newer === node ? this.#context.config.name : node;
    const sentence = `both nodes are primary (split brain): "${newer}" was promoted later. Keep what you need of the data on "${older}", then run "understudy yield ${this.name} --force" there to make it the standby`;
    this.setTrouble('conflict', sentence);
    this.emit('error', 'SPLIT_BRAIN', `group "${this.name}": ${sentence}`);
  }

  async #adopt(): Promise<boolean> {
    if (!this.process.isAlive) return false;
    this.#phase = 'starting';
    this.#knownEventsUntil = this.#context.lastEventAt(this.name);
    const status = await this.process.adopt();
    if (status['role'] === this.#state.role) {
      if (this.#state.role === 'primary') await this.#waitForMounts();
      this.#setRunning();
      if (this.#state.role === 'primary' && !this.#state.agentsStarted) await this.startAgents();
      return true;
    }
    // The service was killed in the middle of a change of role.
    await this.stopProcess();
    return false;
  }

  async #startInRole(patienceMs: number): Promise<void> {
    if (this.#state.role === 'standby') {
      await this.startStandby();
      return;
    }
    this.#phase = 'starting';
    const other = await this.#askPeerPatiently(patienceMs);
    const { epoch, handedOverTo, position } = this.#state;
    if (typeof other === 'object' && other.role === 'primary' && other.epoch > epoch) {
      const known = handedOverTo === other.epoch ? position : null;
      this.emit(
        'warning',
        'PRIMARY_ELSEWHERE',
        `group "${this.name}" was taken over by the other node (epoch ${other.epoch}): this node becomes its standby${known === null ? ', and what it wrote last and did not send is replaced' : ''}`,
      );
      await this.becomeStandby(other.epoch, known);
      return;
    }
    if (handedOverTo !== null && other === 'unreachable') {
      this.#phase = 'waiting';
      const sentence = `handed over to the other node, which does not answer: waiting for it. If it is lost, run "understudy takeover ${this.name} --force" here`;
      this.setTrouble('handover', sentence);
      return;
    }
    // The other node did not take it. A promotion that is still on its way is refused by its epoch.
    if (handedOverTo !== null) this.saveState({ epoch: Math.max(epoch, handedOverTo) + 1 });
    this.setTrouble('handover', null);
    await this.startPrimary();
  }

  async #askPeerPatiently(patienceMs: number) {
    const deadline = performance.now() + patienceMs;
    for (;;) {
      const other = await this.#context.askPeer(this.name);
      if (other !== 'unreachable' || performance.now() >= deadline || this.#closed) return other;
      await sleep(1000);
    }
  }

  async #start(start: SpecInput['start']): Promise<void> {
    this.#phase = 'starting';
    this.#makeProcessDirectory();
    const { definition } = this;
    await this.process.start(
      buildSpec({
        definition,
        state: this.#state,
        context: this.#context,
        files: this.#files,
        start,
      }),
    );
  }

  #setRunning(): void {
    this.#phase = 'running';
    this.#runningSinceMs = performance.now();
    this.#status = undefined;
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

  #agentContext() {
    return { group: this.name, role: this.#state.role, logFile: this.#files.log };
  }

  /** Runs `work`; a failure becomes an event, a trouble, and another attempt after a while. */
  async #attempt(work: () => Promise<unknown>): Promise<void> {
    try {
      await work();
    } catch (thrown) {
      const sentence = `group "${this.name}" cannot run as ${this.#state.role}: ${messageOf(thrown)}`;
      this.#phase = 'failed';
      this.setTrouble('process', sentence);
      this.emit('error', 'GROUP_START_FAILED', sentence);
      this.#scheduleRetry();
    }
  }

  #scheduleRetry(): void {
    if (this.#closed) return;
    const delayMs = BACKOFF_MS[Math.min(this.#failures, BACKOFF_MS.length - 1)] ?? 30_000;
    this.#failures += 1;
    clearTimeout(this.#retry);
    this.#retry = setTimeout(() => void this.boot(PEER_PATIENCE_RESTART_MS), delayMs);
  }

  #onExit({ how, logTail }: ProcessExit): void {
    this.#status = undefined;
    if (this.#expectExit || this.#closed || this.#phase === 'starting') return;
    this.#phase = 'failed';
    if (performance.now() - this.#runningSinceMs > STABLE_MS) this.#failures = 0;
    const sentence = `the ${this.#state.role} process of group "${this.name}" ended unexpectedly (${how}): it is started again`;
    this.setTrouble('process', sentence);
    this.emit('error', 'GROUP_PROCESS_DIED', sentence, { how, log: logTail });
    void this.exclusive(async () => this.#stopOrphanedAgents()).finally(() =>
      this.#scheduleRetry(),
    );
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

  async #pollStatus(): Promise<void> {
    if (this.#phase !== 'running') {
      this.#status = undefined;
      return;
    }
    try {
      const value = await this.process.status(2000);
      this.#status = { value, atMs: performance.now() };
      const reached = Number(value['sequence'] ?? value['receivedSequence'] ?? 0);
      this.#noteSequence(reached);
    } catch {
      // Silence is shown as a missing status; an end is noticed through the lock.
      this.#status = undefined;
    }
  }

  /** Kept in memory, and written now and then: the gap of group-state.ts covers the rest. */
  #noteSequence(reached: number): void {
    if (reached <= this.#state.lastSequence) return;
    this.#state = { ...this.#state, lastSequence: reached };
    const now = performance.now();
    if (now - this.#sequenceSavedMs < SEQUENCE_SAVE_INTERVAL_MS) return;
    this.#sequenceSavedMs = now;
    this.saveState({});
  }

  #makeProcessDirectory(): void {
    const present = this.#files.process(this.#state.generation);
    if (!existsSync(present)) makePrivateDirectory(present);
    for (const name of readdirSync(this.#files.directory)) {
      const path = `${this.#files.directory}/${name}`;
      if (!name.startsWith('process-') || path === present) continue;
      rmSync(path, { recursive: true, force: true });
    }
  }
}
