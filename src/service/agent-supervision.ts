// The agents of one group on this node: carries out what their supervisor wants, and remembers what probes
// saw. Whoever decides about switchover hears of what cannot be put right here.
import { join } from 'node:path';
import { AgentPool } from '../agents/agent-pool.ts';
import type { AgentCatalog } from '../agents/catalog.ts';
import type { CallContext } from '../agents/agent-pool.ts';
import type { Outcome } from '../agents/invoke.ts';
import { isServing } from '../agents/supervisor/plan.ts';
import { initialState, step, wakeAtMs } from '../agents/supervisor/step.ts';
import type {
  Failure,
  Seen,
  SeenState,
  SupervisorEffect,
  SupervisorEvent,
  SupervisorState,
} from '../agents/supervisor/types.ts';
import { present, unreachable } from '../core/assert.ts';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import type { AgentDefinition } from './agent-definition.ts';
import type { HeartbeatSocket } from './agent-heartbeats.ts';
import { AgentQuestions, callContext } from './agent-questions.ts';
import type { ControlEvent } from './control-channel.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { AgentView } from './node-protocol.ts';

const HISTORY_MAX = 500;
const KILL_TIMEOUT_MS = 10_000;
/** A host that cannot be kept running is spoken of once in a while. */
const TROUBLE_INTERVAL_MS = 300_000;

export interface SupervisionOptions {
  readonly definition: GroupDefinition;
  readonly catalog: AgentCatalog;
  readonly logDirectory: string;
  readonly runtimeDirectory: string;
  role(): 'primary' | 'standby';
  /**
   * Resolves with true as soon as the directories are mounted. What is started before works underneath for as
   * long as it lives, and nothing of that is recorded.
   */
  isMounted(signal: AbortSignal): Promise<boolean>;
  /** A probe that failed has a reason that will pass: commits wait for a lost standby. */
  isExcused(): Promise<boolean>;
  /** Ends everything that uses the directories; what cannot be ended, as a sentence. */
  killAll(timeoutMs: number): Promise<string | null>;
  /** For the machine of a managed group. */
  onReport(state: 'ok' | 'failed', why: string): void;
  /** All of them run, after some were started. */
  onAllStarted(): void;
  emit(
    level: ControlEvent['level'],
    code: string,
    message: string,
    details?: ControlEvent['details'],
  ): void;
}

/** What a probe saw, with its time. */
export interface Remembered {
  /** ISO 8601. */
  readonly at: string;
  readonly state: SeenState;
  readonly sentence: string;
  /** How long the probe took. */
  readonly ms: number;
  readonly measures: Readonly<Record<string, number>>;
}

interface Waiting {
  readonly resolve: () => void;
  readonly reject: (error: Error) => void;
}

export class AgentSupervision {
  readonly #options: SupervisionOptions;
  readonly #pool: AgentPool;
  readonly #operations = new Map<number, AbortController>();
  readonly #requests = new Map<number, Waiting>();
  readonly #history = new Map<string, Remembered[]>();
  readonly #troubles = new Map<string, number>();
  #state: SupervisorState;
  #timer: NodeJS.Timeout | undefined;
  #heartbeats: HeartbeatSocket | undefined;
  #lastRequest = 0;
  #closed = false;

  constructor(options: SupervisionOptions) {
    this.#options = options;
    const { definition, catalog, logDirectory, runtimeDirectory } = options;
    this.#pool = new AgentPool({
      group: definition.name,
      catalog,
      logDirectory,
      runtimeDirectory,
      onTrouble: (_agent, sentence) => this.#onTrouble(sentence),
    });
    this.#state = initialState({
      group: definition.name,
      restartsInPlace: definition.failover !== null,
      agents: definition.agents.map(({ name, after, watchesOnly, probeIntervalMs, restarts }) => ({
        name,
        after,
        watchesOnly,
        isProbed: probeIntervalMs !== null,
        probeIntervalMs: probeIntervalMs ?? 0,
        restarts,
      })),
    });
  }

  /** Starts what the agents need to live in, so that a promotion finds it ready. */
  prepare(): void {
    this.#pool.prepare(this.#options.definition.agents);
    void this.#listen();
  }

  /** Agents of the kind `heartbeat` are reported to. */
  async #listen(): Promise<void> {
    const { definition, runtimeDirectory, emit } = this.#options;
    const agents = definition.agents.filter(({ use }) => use === 'heartbeat');
    if (agents.length === 0 || this.#heartbeats !== undefined) return;
    const path = join(runtimeDirectory, `${definition.name}.sock`);
    const { HeartbeatSocket } = await import('./agent-heartbeats.ts');
    // Meanwhile others may have taken the place of these agents, or another call has been faster.
    if (this.#closed || this.#heartbeats !== undefined) return;
    const targets = agents.map(({ name }) => ({
      name,
      runtimeDirectory: this.#pool.runtimeDirectory(name),
    }));
    this.#heartbeats = new HeartbeatSocket(path, targets);
    const users = agents.flatMap(({ parameters }) => parameters['user'] ?? []);
    try {
      await this.#heartbeats.listen(users.map(String).at(0));
    } catch (thrown) {
      const sentence = `group "${definition.name}" cannot be reported to on ${path}: ${messageOf(thrown)}`;
      emit('error', 'HEARTBEAT_SOCKET_FAILED', sentence);
    }
  }

  /** Processes that belong to Understudy. */
  get pids(): readonly number[] {
    return this.#pool.pids;
  }

  /** Starts all agents. Errors: AGENT_FAILED, AGENT_ABORTED at the first that does not. */
  async start(signal?: AbortSignal): Promise<void> {
    return this.#request('start', signal);
  }

  /** Stops all agents, whether they are known to run or not. Errors: as {@link start}. */
  async stop(signal?: AbortSignal): Promise<void> {
    return this.#request('stop', signal);
  }

  /**
   * They were started before: from now on they are watched. May be called as often as you like. `trouble`: why they are started
   * again, unless that is under way; in maintenance after it.
   */
  adopt(trouble: string | null = null): void {
    const { wish, pending, isPaused } = this.#state;
    const isNew = wish === 'idle' && pending === null;
    this.#tell({ kind: 'adopt' });
    const isDue = isNew || (!isPaused && isAllUp(this.#state));
    if (trouble !== null && isDue) this.trouble(trouble);
  }

  /** Maintenance: nothing is restarted. */
  pause(on: boolean): void {
    if (this.#state.isPaused !== on) this.#tell({ kind: 'pause', on });
  }

  forgive(): void {
    this.#tell({ kind: 'forgive' });
  }

  /** All of them lost what they work on. */
  trouble(why: string): void {
    this.#tell({ kind: 'trouble', why });
  }

  /** Somebody ended them by force. */
  allKilled(): void {
    this.#tell({ kind: 'allKilled' });
  }

  get view(): AgentView[] {
    return this.#options.definition.agents.map((agent) => {
      const { name, use, restarts } = agent;
      const state = present(this.#state.agents[name], 'agent of the group');
      const { phase, fault, restartsMs } = state;
      const now = performance.now();
      return {
        name,
        use,
        phase,
        seen: state.seen === null ? null : (this.#history.get(name)?.at(-1) ?? null),
        fault: fault ?? this.#pool.faultOf(agent) ?? null,
        restarts: restartsMs.filter((at) => now - at < restarts.withinMs).length,
        restartsMax: restarts.limit,
        log: this.#pool.logFile(name),
      };
    });
  }

  /** Something of the application runs here, or is on its way, as far as this service knows. */
  get mayRun(): boolean {
    return Object.values(this.#state.agents).some(
      ({ phase }) => phase !== 'unknown' && phase !== 'stopped',
    );
  }

  /** Agents that cannot be used on this node, one sentence each. */
  get faults(): string[] {
    const { agents, name: group } = this.#options.definition;
    return agents.flatMap((agent) => {
      const fault = this.#pool.faultOf(agent);
      return fault === undefined ? [] : [`agent "${agent.name}" of group "${group}": ${fault}`];
    });
  }

  /** What the probes of each agent saw lately, oldest first. */
  get history(): Readonly<Record<string, readonly Remembered[]>> {
    return Object.fromEntries(this.#history);
  }

  /** Asks the agents what has nothing to do with supervision. */
  get questions(): AgentQuestions {
    return new AgentQuestions(this.#options.definition, this.#pool, this.#options.role());
  }

  /** The service ends: what is being started is given up, and the next service starts it. */
  giveUpStart(): void {
    if (this.#state.pending?.kind === 'start') this.#tell({ kind: 'giveUp' });
  }

  /** Programs that were started go on; commands that are under way are given up, and whoever waits for them hears of it. */
  close(): void {
    this.#tell({ kind: 'giveUp' });
    this.#closed = true;
    clearTimeout(this.#timer);
    for (const control of this.#operations.values()) control.abort();
    this.#pool.close();
    this.#heartbeats?.close();
  }

  async #request(kind: 'start' | 'stop', signal?: AbortSignal): Promise<void> {
    const request = (this.#lastRequest += 1);
    const onAbort = (): void => {
      if (this.#requests.has(request)) this.#tell({ kind: 'giveUp' });
    };
    if (signal?.aborted === true || this.#closed) {
      const failure: Failure = { kind: 'aborted', agent: '', action: kind, why: '' };
      throw this.#errorOf(failure);
    }
    const answered = Promise.withResolvers<void>();
    this.#requests.set(request, answered);
    signal?.addEventListener('abort', onAbort, { once: true });
    this.#tell({ kind, request });
    try {
      await answered.promise;
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }

  #tell(event: SupervisorEvent): void {
    if (this.#closed) return;
    const { state, effects } = step(this.#state, event, performance.now());
    this.#state = state;
    if (event.kind === 'ended' && isAllUp(state)) this.#options.onAllStarted();
    for (const effect of effects) this.#perform(effect);
    clearTimeout(this.#timer);
    const dueMs = wakeAtMs(this.#state);
    if (!Number.isFinite(dueMs)) return;
    const waitMs = Math.max(0, Math.ceil(dueMs - performance.now()));
    this.#timer = setTimeout(() => this.#tell({ kind: 'tick' }), waitMs);
  }

  #perform(effect: SupervisorEffect): void {
    switch (effect.kind) {
      case 'run':
        return void this.#run(effect);
      case 'probe':
        return void this.#probe(effect);
      case 'abort':
        return this.#operations.get(effect.op)?.abort();
      case 'killAll':
        return void this.#killAll(effect.op);
      case 'answer':
        return this.#answer(effect);
      case 'report':
        return this.#options.onReport(effect.state, effect.why);
      case 'seen':
        return this.#remember(effect.agent, effect.seen);
      case 'emit':
        return this.#options.emit(effect.level, effect.code, effect.message);
      default:
        return unreachable(effect);
    }
  }

  async #run({ op, agent, operation }: Extract<SupervisorEffect, { kind: 'run' }>): Promise<void> {
    const definition = this.#agent(agent);
    const timeoutMs = operation === 'start' ? definition.startTimeoutMs : definition.stopTimeoutMs;
    const { signal } = this.#begin(op);
    const outcome = await this.#outcomeOf(definition, operation, { timeoutMs, signal });
    this.#operations.delete(op);
    this.#tell({ kind: 'ended', op, outcome });
  }

  async #outcomeOf(
    definition: AgentDefinition,
    operation: 'start' | 'stop',
    { timeoutMs, signal }: Pick<CallContext, 'timeoutMs' | 'signal'>,
  ): Promise<Outcome> {
    // What is not there has started nothing. Whoever uses the directories all the same is named by the
    // kernel when they are to be given back.
    const isGone = operation === 'stop' && this.#pool.faultOf(definition) !== undefined;
    if (isGone) return { kind: 'done', value: null, ms: 0 };
    const isReady = operation === 'stop' || (await this.#isMounted(signal, timeoutMs));
    if (isReady) return this.#pool.invoke(definition, operation, this.#call({ timeoutMs, signal }));
    return { kind: 'failed', why: 'the directories of its group are not mounted', ms: timeoutMs };
  }

  async #isMounted(given: AbortSignal, timeoutMs: number): Promise<boolean> {
    const signal = AbortSignal.any([given, AbortSignal.timeout(timeoutMs)]);
    // Given up: the agent says so itself.
    return (await this.#options.isMounted(signal)) || given.aborted;
  }

  async #probe({ op, agent }: Extract<SupervisorEffect, { kind: 'probe' }>): Promise<void> {
    const definition = this.#agent(agent);
    const { signal } = this.#begin(op);
    const call = this.#call({ timeoutMs: definition.probeTimeoutMs, signal });
    const outcome = await this.#pool.invoke(definition, 'probe', call);
    this.#operations.delete(op);
    // An application that waits for a lost standby answers again as soon as the group goes on alone.
    const isExcused = isBad(outcome) && (await this.#options.isExcused());
    this.#tell({ kind: 'probed', op, outcome, excused: isExcused });
  }

  async #killAll(op: number): Promise<void> {
    const left = await this.#options.killAll(KILL_TIMEOUT_MS);
    this.#tell({ kind: 'killed', op, left });
  }

  #answer({ request, failure }: Extract<SupervisorEffect, { kind: 'answer' }>): void {
    const waiting = this.#requests.get(request);
    this.#requests.delete(request);
    if (failure === null) waiting?.resolve();
    else waiting?.reject(this.#errorOf(failure));
  }

  #errorOf({ kind, agent, action, why }: Failure): UnderstudyError {
    const { name: group } = this.#options.definition;
    const details = { group, agent, action };
    const which = agent === '' ? 'the agents' : `agent "${agent}"`;
    if (kind === 'aborted') {
      const sentence = `the ${action} of ${which} of group "${group}" was given up and its command killed`;
      return new UnderstudyError('AGENT_ABORTED', sentence, { details });
    }
    const log = agent === '' ? '' : `. See ${this.#pool.logFile(agent)}`;
    const sentence = `${which} of group "${group}" did not ${action}: ${why}${log}`;
    return new UnderstudyError('AGENT_FAILED', sentence, { details });
  }

  #begin(op: number): AbortController {
    const control = new AbortController();
    this.#operations.set(op, control);
    return control;
  }

  #agent(name: string): AgentDefinition {
    const { agents } = this.#options.definition;
    return present(
      agents.find((one) => one.name === name),
      'agent of the group',
    );
  }

  #call(rest: Pick<CallContext, 'timeoutMs' | 'signal'>): CallContext {
    return { ...callContext(this.#options.definition, this.#options.role()), ...rest };
  }

  #remember(agent: string, seen: Seen): void {
    const history = this.#history.get(agent) ?? [];
    this.#history.set(agent, history);
    history.push({ at: new Date().toISOString(), ...seen });
    if (history.length > HISTORY_MAX) history.shift();
  }

  #onTrouble(sentence: string): void {
    const now = performance.now();
    if (now - (this.#troubles.get(sentence) ?? Number.NEGATIVE_INFINITY) < TROUBLE_INTERVAL_MS) {
      return;
    }
    this.#troubles.clear();
    this.#troubles.set(sentence, now);
    this.#options.emit('warning', 'AGENT_PROCESS_LOST', `${sentence}; it is started again`);
  }
}

function isAllUp({ wish, agents }: SupervisorState): boolean {
  return wish === 'running' && Object.values(agents).every(isServing);
}

function isBad(outcome: Outcome): boolean {
  if (outcome.kind !== 'done') return outcome.kind === 'failed' || outcome.kind === 'late';
  const { state } = outcome.value as { readonly state?: SeenState };
  return state === 'failed' || state === 'stopped';
}
