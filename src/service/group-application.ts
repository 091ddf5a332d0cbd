// The application of one group on this node, as the group's runtime has it: started, stopped, watched by others from now on
// when its agents change, and ended with everything else that uses the directories.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { bootId } from '../linux/boot-id.ts';
import { killAgents } from './agent-killer.ts';
import { AgentSupervision } from './agent-supervision.ts';
import type { ControlEvent } from './control-channel.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { GroupProcess } from './group-process.ts';
import type { RuntimeContext } from './group-spec-builder.ts';
import type { GroupState } from './group-state.ts';

const MOUNT_POLL_MS = 20;
/** A commit that waits so long waits for a standby that does not answer. */
const COMMIT_WAIT_MS = 200;
const KILL_TIMEOUT_MS = 10_000;
const BROKEN_OFF = 'a start or stop of it was broken off';

export interface GroupApplicationOptions {
  readonly context: RuntimeContext;
  readonly definition: () => GroupDefinition;
  readonly state: () => GroupState;
  readonly noteState: (change: Partial<GroupState>) => void;
  readonly process: GroupProcess;
  /** The process of the group runs, in either role. */
  readonly isRunning: () => boolean;
  /** It runs, or is being succeeded, which its mounts outlive. */
  readonly areMountsThere: () => boolean;
  /** The service ends. */
  readonly isClosed: () => boolean;
  readonly isManaged: () => boolean;
  readonly setTrouble: (sentence: string | null) => void;
  /** For the machine of a managed group. */
  readonly onReport: (state: 'ok' | 'failed', why: string) => void;
  /** In a managed group the machine says whether the new agents run. */
  readonly onReplaced: () => void;
  readonly emit: (
    level: ControlEvent['level'],
    code: string,
    message: string,
    details?: ControlEvent['details'],
  ) => void;
}

export class GroupApplication {
  readonly #options: GroupApplicationOptions;
  #agents: AgentSupervision;

  constructor(options: GroupApplicationOptions) {
    this.#options = options;
    this.#agents = this.#make();
  }

  get agents(): AgentSupervision {
    return this.#agents;
  }

  #make(): AgentSupervision {
    const { context, definition, state, onReport, emit } = this.#options;
    return new AgentSupervision({
      definition: definition(),
      catalog: context.catalog,
      logDirectory: context.paths.logs,
      runtimeDirectory: context.paths.agentsRun,
      role: () => state().role,
      isMounted: async (signal) => this.#whenMounted(signal),
      isExcused: async () => this.#commitsWait(),
      killAll: async (timeoutMs) => this.killAll(timeoutMs),
      onReport,
      onAllStarted: () => this.#noteStarted(),
      emit: (level, code, message) => emit(level, code, message),
    });
  }

  /** Something of it runs here, or may do so, whichever service began it. */
  get mayRun(): boolean {
    return this.#begun !== null || this.#agents.mayRun;
  }

  get #begun(): GroupState['agentsBegun'] {
    const { agentsBegun } = this.#options.state();
    return agentsBegun?.boot === bootId() ? agentsBegun : null;
  }

  /** What is left of an earlier life uses mounts that are gone, and may keep the next one from being started. */
  get #isLeft(): boolean {
    return this.#begun !== null && this.#begun.generation !== this.#options.state().generation;
  }

  async #whenMounted(signal: AbortSignal): Promise<boolean> {
    const { isRunning, process } = this.#options;
    while (!signal.aborted) {
      if (isRunning() && process.isAlive) return true;
      await sleep(MOUNT_POLL_MS);
    }
    return false;
  }

  async #commitsWait(): Promise<boolean> {
    const status = await this.#options.process.status().catch(() => undefined);
    return Number(status?.['commitWaitMs'] ?? 0) > COMMIT_WAIT_MS;
  }

  /** Other agents watch from now on. Applications run on, as they do when the service is restarted. */
  replaceAgents(): void {
    const { isManaged, onReplaced } = this.#options;
    this.#agents.close();
    this.#agents = this.#make();
    this.#agents.prepare();
    if (isManaged()) onReplaced();
    else if (this.#isToRun) this.#agents.adopt();
  }

  get #isToRun(): boolean {
    const { role, agentsStarted } = this.#options.state();
    return role === 'primary' && agentsStarted;
  }

  /** It runs, as its machine knows it: it is watched from now on. May be called as often as you like. */
  watch(): void {
    const begun = this.#begun;
    const isBrokenOff = begun !== null && !this.#options.state().agentsStarted;
    this.#agents.adopt(isBrokenOff ? BROKEN_OFF : null);
    // Begun by a version that kept no note of that.
    if (begun === null && this.#agents.mayRun) this.#noteStarted();
  }

  /** A process was found that an earlier service had started: what belongs to it is watched, or started. */
  async adopt(): Promise<void> {
    if (this.#isToRun) this.#agents.adopt();
    else await this.start();
  }

  /** Stops the agents. Errors: AGENT_FAILED, AGENT_ABORTED. */
  async stop(signal?: AbortSignal): Promise<void> {
    const agents = this.#agents;
    if (this.#options.state().agentsStarted) this.#options.noteState({ agentsStarted: false });
    try {
      await agents.stop(signal);
    } catch (thrown) {
      if (!this.#isReplaced(agents, signal)) throw thrown;
      await this.stop(signal);
      return;
    }
    this.#noteStopped();
  }

  /** Starts the agents, after what is left of an earlier life has been stopped; returns what failed, which is also an event and shown in the status. */
  async start(signal?: AbortSignal): Promise<string[]> {
    const { isClosed, setTrouble, emit } = this.#options;
    // The next service finds that they are not started.
    if (isClosed()) return ['the service ends: the next one starts the agents'];
    const agents = this.#agents;
    try {
      if (this.#isLeft) await this.end(signal);
      this.#noteBegun();
      await agents.start(signal);
      setTrouble(null);
      this.#noteStarted();
      return [];
    } catch (thrown) {
      if (this.#isReplaced(agents, signal)) return this.start(signal);
      const sentence = messageOf(thrown);
      setTrouble(sentence);
      if (!isClosed()) emit('error', 'AGENT_FAILED', sentence);
      return [sentence];
    }
  }

  /** Others have taken the place of `agents` while these were at it: what was asked for is now up to them. */
  #isReplaced(agents: AgentSupervision, signal: AbortSignal | undefined): boolean {
    return agents !== this.#agents && signal?.aborted !== true;
  }

  /** For the next service, too: it has to be stopped before anything else. */
  #noteBegun(): void {
    if (this.#begun !== null) return;
    const { generation } = this.#options.state();
    this.#options.noteState({ agentsBegun: { boot: bootId(), generation } });
  }

  #noteStarted(): void {
    const { state, areMountsThere } = this.#options;
    const { agentsStarted, generation } = state();
    // Over mounts in whose place others are being made.
    if (!areMountsThere()) return;
    if (agentsStarted && this.#begun?.generation === generation) return;
    this.#options.noteState({ agentsStarted: true, agentsBegun: { boot: bootId(), generation } });
  }

  /** Nothing of it runs any more. */
  #noteStopped(): void {
    this.#options.noteState({ agentsStarted: false, agentsBegun: null });
  }

  /** Its files are gone with the mount, and it may be started again later. What does not stop is an event. */
  async stopOrphans(): Promise<void> {
    try {
      await this.stop();
    } catch (thrown) {
      this.#options.emit('warning', 'AGENT_FAILED', messageOf(thrown));
    }
  }

  /** Stops it; by force what does not stop, which is an event. Errors: AGENT_ABORTED, AGENT_FAILED for what cannot be ended. */
  async end(signal?: AbortSignal): Promise<void> {
    try {
      await this.stop(signal);
    } catch (thrown) {
      const isAborted = thrown instanceof UnderstudyError && thrown.code === 'AGENT_ABORTED';
      if (isAborted || signal?.aborted === true) throw thrown;
      const what = `everything that uses the directories of group "${this.#options.definition().name}" is ended by force`;
      this.#options.emit('error', 'STOP_ESCALATED', `${messageOf(thrown)}: ${what}`);
      const left = await this.kill(KILL_TIMEOUT_MS);
      if (left !== null) throw new UnderstudyError('AGENT_FAILED', left);
    }
  }

  /** What is left on a node that does not serve is ended; what cannot be is an event. */
  async endOrphans(): Promise<void> {
    if (!this.mayRun) return;
    try {
      await this.end();
    } catch (thrown) {
      this.#options.emit('error', 'AGENT_FAILED', messageOf(thrown));
    }
  }

  /** Ends it by force. Returns what could not be ended, as a sentence. */
  async kill(timeoutMs: number): Promise<string | null> {
    const left = await this.killAll(timeoutMs);
    if (left !== null) return left;
    // Others may watch by now: see `replaceAgents`.
    this.#agents.allKilled();
    this.#noteStopped();
    return null;
  }

  /**
   * Ends everything that uses the directories, while they are mounted. Returns what could not be ended, as a
   * sentence.
   */
  async killAll(timeoutMs: number): Promise<string | null> {
    const { definition, process } = this.#options;
    const directories = definition().directories.map(({ dir }) => dir);
    const ignorePids = (): ReadonlySet<number> =>
      new Set([...this.#agents.pids, ...(process.pid === undefined ? [] : [process.pid])]);
    const { left } = await killAgents(directories, { ignorePids, timeoutMs });
    if (left.length === 0) return null;
    return `these processes cannot be killed: ${left.map((one) => `${one.pid} ${one.command}`).join(', ')}`;
  }
}
