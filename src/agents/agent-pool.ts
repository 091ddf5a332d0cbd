// Calls the agents of one group, wherever they live: those that only start programs in this very process,
// built-in ones in one host of the group, somebody's own each in a host of its own.
import { createHash, randomBytes } from 'node:crypto';
import { appendFileSync, mkdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import type { Agent, AgentContext } from './agent.ts';
import type { AgentCatalog, CatalogEntry } from './catalog.ts';
import { AgentHost, HostFailure } from './host/agent-host.ts';
import {
  type AgentDescription,
  agentDescriptionSchema,
  type AgentSource,
  type ParameterCheck,
  parameterCheckSchema,
} from './host/host-protocol.ts';
import { checkParameters, describeAgent, loadAgent } from './host/load-agent.ts';
import { keepLogSmall } from './sdk/program.ts';
import { invoke, type Invocation, type Operation, type Outcome, outcomeSchema } from './invoke.ts';

const DESCRIBE_TIMEOUT_MS = 20_000;
const LINE_LENGTH_MAX = 4096;
/** Between two looks at a log: of a call that is under way, and of what an earlier one has started. */
const BUSY_LOG_MS = 250;
const IDLE_LOG_MS = 10_000;

export interface AgentPoolOptions {
  readonly group: string;
  readonly catalog: AgentCatalog;
  /** Logs are `GROUP.AGENT.log` in here. */
  readonly logDirectory: string;
  /** Runtime directories are `GROUP/AGENT` in here. */
  readonly runtimeDirectory: string;
  /** Added to the environment of hosts. */
  readonly env?: Readonly<Record<string, string>>;
  /** See {@link AgentHostOptions}. */
  readonly pauseMsMax?: number;
  /** A host died or was killed. */
  onTrouble(agent: string, sentence: string): void;
}

/** An agent of the group. */
export interface PooledAgent {
  readonly use: string;
  readonly name: string;
  /** As written in the YAML. */
  readonly parameters: unknown;
  /** Why it cannot be used, whatever is installed here. */
  readonly fault?: string | undefined;
}

export interface CallContext {
  readonly role: AgentContext['role'];
  readonly directories: readonly string[];
  readonly addresses: readonly string[];
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
}

export class AgentPool {
  readonly #options: AgentPoolOptions;
  readonly #local = new Map<string, Promise<Agent>>();
  readonly #hosts = new Map<string, { readonly host: AgentHost; readonly version: number }>();
  /** Of agents that were called. */
  readonly #logs = new Set<string>();
  #logTimer: NodeJS.Timeout | undefined;

  constructor(options: AgentPoolOptions) {
    this.#options = options;
  }

  /** What an agent says of itself. Errors: AGENT_UNKNOWN, AGENT_FILE_UNUSABLE, Error with a sentence. */
  async describe(use: string): Promise<AgentDescription> {
    const entry = this.#options.catalog.find(use);
    if (entry.place === 'service') return describeAgent(await this.#localAgent(entry.source));
    const answer = await this.#ask(entry, 'describe', { source: entry.source });
    return agentDescriptionSchema.parse(answer);
  }

  /** Checks parameters by the agent's schema. Errors: as {@link describe}. */
  async check(use: string, parameters: unknown): Promise<ParameterCheck> {
    const entry = this.#options.catalog.find(use);
    if (entry.place === 'service') {
      return checkParameters(await this.#localAgent(entry.source), parameters);
    }
    const answer = await this.#ask(entry, 'check', { source: entry.source, parameters });
    return parameterCheckSchema.parse(answer);
  }

  /** Starts the hosts that these agents need, so that calls find them ready. */
  prepare(agents: readonly PooledAgent[]): void {
    for (const agent of agents) {
      if (this.faultOf(agent) !== undefined) continue;
      const { use } = agent;
      try {
        const entry = this.#options.catalog.find(use);
        if (entry.place === 'service') {
          void this.#localAgent(entry.source).catch(() => undefined);
          continue;
        }
        this.#host(entry).keep();
        // Its code is loaded, too, with the drivers it brings.
        void this.#ask(entry, 'describe', { source: entry.source }).catch(() => undefined);
      } catch (thrown) {
        this.#options.onTrouble(use, messageOf(thrown));
      }
    }
  }

  /** Why nothing of an agent can be called on this node; undefined when it is there. */
  faultOf({ use, fault }: PooledAgent): string | undefined {
    if (fault !== undefined) return fault;
    try {
      this.#options.catalog.find(use);
      return undefined;
    } catch (thrown) {
      return messageOf(thrown);
    }
  }

  /** Calls one function of an agent. Never throws. */
  async invoke(agent: PooledAgent, operation: Operation, call: CallContext): Promise<Outcome> {
    const { timeoutMs, signal } = call;
    const beganMs = performance.now();
    if (agent.fault !== undefined) return { kind: 'unusable', why: agent.fault, ms: 0 };
    const doneWithLog = this.#keepLogSmall(this.logFile(agent.name));
    try {
      const entry = this.#options.catalog.find(agent.use);
      const { parameters } = agent;
      const context = this.#context(agent, call);
      if (entry.place === 'service') {
        const log = (line: string): void => writeLine(context.logFile, line);
        const given: Invocation = {
          operation,
          parameters,
          timeoutMs,
          context: { ...context, log },
        };
        return await invoke(await this.#localAgent(entry.source), given, signal);
      }
      const params = {
        source: entry.source,
        invocation: { operation, parameters, timeoutMs, context },
      };
      const options = { timeoutMs, signal, operation: context.operation };
      const answer = await this.#host(entry).call('invoke', params, options);
      return outcomeSchema(operation).parse(answer);
    } catch (thrown) {
      const ms = performance.now() - beganMs;
      if (signal.aborted) return { kind: 'aborted', why: 'it was given up', ms };
      if (thrown instanceof HostFailure && thrown.kind === 'silent' && ms >= timeoutMs) {
        return { kind: 'late', why: `it was not done within ${timeoutMs} ms`, ms };
      }
      return { kind: 'unusable', why: messageOf(thrown).slice(0, 1000), ms };
    } finally {
      doneWithLog();
    }
  }

  /**
   * What an application prints, and its commands, goes to the log directly: it is looked at while the call runs, and from then on now and
   * then, since what was started goes on, probed or not. Returns what is to be done at the end of the call.
   */
  #keepLogSmall(path: string): () => void {
    this.#logs.add(path);
    this.#logTimer ??= setInterval(() => {
      for (const log of this.#logs) keepLogSmall(log);
    }, IDLE_LOG_MS).unref();
    const busy = setInterval(() => keepLogSmall(path), BUSY_LOG_MS).unref();
    return () => {
      clearInterval(busy);
      keepLogSmall(path);
    };
  }

  /** Process ids of hosts. */
  get pids(): readonly number[] {
    return [...this.#hosts.values()].flatMap(({ host }) =>
      host.pid === undefined ? [] : [host.pid],
    );
  }

  /** Where an agent's output goes. */
  logFile(agent: string): string {
    return join(this.#options.logDirectory, `${this.#options.group}.${fileName(agent)}.log`);
  }

  /** A directory of the agent's own; made when there is none. */
  runtimeDirectory(agent: string): string {
    const { group, runtimeDirectory } = this.#options;
    const own = join(runtimeDirectory, group, fileName(agent));
    mkdirSync(own, { recursive: true, mode: 0o700 });
    return own;
  }

  /** Ends the hosts; programs that were started go on. */
  close(): void {
    clearInterval(this.#logTimer);
    for (const { host } of this.#hosts.values()) host.close();
    this.#hosts.clear();
  }

  #context(
    { name }: PooledAgent,
    { role, directories, addresses }: CallContext,
  ): Omit<AgentContext, 'signal' | 'log'> {
    const { group } = this.#options;
    return {
      group,
      agent: name,
      role,
      directories,
      addresses,
      runtimeDirectory: this.runtimeDirectory(name),
      logFile: this.logFile(name),
      operation: randomBytes(12).toString('hex'),
    };
  }

  async #localAgent(source: AgentSource): Promise<Agent> {
    const key = JSON.stringify(source);
    let agent = this.#local.get(key);
    if (agent === undefined) {
      agent = loadAgent(source);
      this.#local.set(key, agent);
    }
    return agent;
  }

  async #ask(
    entry: CatalogEntry,
    method: 'describe' | 'check',
    params: Readonly<Record<string, unknown>>,
  ): Promise<unknown> {
    const signal = AbortSignal.timeout(DESCRIBE_TIMEOUT_MS);
    return this.#host(entry).call(method, params, { timeoutMs: DESCRIBE_TIMEOUT_MS, signal });
  }

  /** A module that was changed gets a new process: code is loaded once. */
  #host({ name, place, path }: CatalogEntry): AgentHost {
    const key = place === 'host' ? '' : name;
    const version = path === null ? 0 : (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0);
    const present = this.#hosts.get(key);
    if (present?.version === version) return present.host;
    present?.host.close();
    const { group, env = {}, pauseMsMax, onTrouble } = this.#options;
    const host = new AgentHost({
      name: key === '' ? `group "${group}"` : `agent "${name}" in group "${group}"`,
      logFile: join(this.#options.logDirectory, `${group}.agents.log`),
      env,
      ...(pauseMsMax === undefined ? {} : { pauseMsMax }),
      onTrouble: (sentence) => onTrouble(name, sentence),
    });
    this.#hosts.set(key, { host, version });
    return host;
  }
}

/** A name as part of a path: unambiguous, whatever people write. */
function fileName(name: string): string {
  const plain = name.replaceAll(/[^A-Za-z0-9_-]+/g, '-').slice(0, 40);
  if (plain === name) return plain;
  return `${plain}-${createHash('sha256').update(name).digest('hex').slice(0, 6)}`;
}

function writeLine(path: string, line: string): void {
  try {
    appendFileSync(path, `${line.slice(0, LINE_LENGTH_MAX)}\n`, { mode: 0o600 });
  } catch {
    // The application matters more than its log.
  }
}
