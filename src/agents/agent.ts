// What an agent is: the contract between the service and everything that knows an application, built
// in or somebody's own.
//
// Parameters are written in the group's YAML next to `use`. Their schema (zod) gives checks, defaults
// and descriptions at once: to the service, to `understudy agent show` and to the console's forms.
import type { z } from 'zod';

/** What an application does, as a probe saw it. */
export type ProbeState =
  /** It answers as it should. */
  | 'ok'
  /** It answers, but something is not as it should be (read-only, slow, nearly full). No failover. */
  | 'degraded'
  /** It is there and does not do its work. */
  | 'failed'
  /** It is not there at all. */
  | 'stopped';

export interface ProbeResult {
  readonly state: ProbeState;
  /** One sentence for an operator: what was asked, and what was the answer. */
  readonly sentence: string;
  /** Numbers for the history, by name with unit: `{ connectMs: 3.1, sessions: 12 }`. */
  readonly measures?: Readonly<Record<string, number>>;
}

/** What an agent is told about where it runs. */
export interface AgentContext {
  readonly group: string;
  /** The agent's name in the group, which its YAML may give. */
  readonly agent: string;
  readonly role: 'primary' | 'standby';
  /** The protected directories of the group. */
  readonly directories: readonly string[];
  /** The group's virtual addresses, without their prefix lengths. */
  readonly addresses: readonly string[];
  /** A directory of this agent's own for pid files and sockets; empty after a boot. */
  readonly runtimeDirectory: string;
  /** What the application and the commands of its agent print goes here. */
  readonly logFile: string;
  /** Names this call. Programs have it in their environment, so that what hangs can be found. */
  readonly operation: string;
  /** Aborted when the time is over or the operation is given up. */
  readonly signal: AbortSignal;
  /** A line for the agent's log. */
  log(line: string): void;
}

/**
 * An agent with parameters of type `P`. Every function may be called again while its effect is there
 * already: starting what runs and stopping what is stopped succeeds. A failure is an Error whose message
 * is a sentence that names the thing and the way out.
 */
export interface Agent<P = unknown> {
  /** Name behind `use`: lower case letters, digits and hyphens. */
  readonly name: string;
  /** For people: "PostgreSQL". */
  readonly title: string;
  /** One sentence: what it watches and how. */
  readonly description: string;
  readonly parameters: z.ZodType<P>;
  /** Used where the group says nothing, ms. */
  readonly defaults?: Partial<AgentTimes>;
  /** Subdirectories and patterns below the data that need no copy: `pg_stat_tmp/**`. */
  readonly excludes?: readonly string[];
  /**
   * What would keep it from working on this node: one sentence for each thing, none when all is well.
   * Called on both nodes before a group is created, and by `doctor`. Changes nothing.
   */
  validate?(parameters: P, context: AgentContext): Promise<readonly string[]>;
  /** False: with these parameters nothing can be asked, so it is not. */
  isProbed?(parameters: P): boolean;
  /**
   * False: with these parameters it starts nothing, and watches what it comes after: when its probe fails, that
   * is what is started again. Default: whether it has {@link start}.
   */
  starts?(parameters: P): boolean;
  probe(parameters: P, context: AgentContext): Promise<ProbeResult>;
  /** Resolves when the application serves its clients. */
  start?(parameters: P, context: AgentContext): Promise<void>;
  /** Resolves when no process of the application is left. */
  stop?(parameters: P, context: AgentContext): Promise<void>;
  /** Brings its data to a state worth a bookmark, and holds it until {@link resume}. */
  quiesce?(parameters: P, context: AgentContext): Promise<void>;
  resume?(parameters: P, context: AgentContext): Promise<void>;
  /**
   * On a standby that may be promoted: a reason not to, or undefined. Asked every 30 s; it refuses a switchover, and
   * does not keep the group from being served when the primary is gone. Reads the data only.
   */
  promoteCheck?(parameters: P, context: AgentContext): Promise<string | undefined>;
  /** Process ids of the application, all of them. `agent test` freezes and kills these. */
  processes?(parameters: P, context: AgentContext): Promise<readonly number[]>;
}

/** All in ms. */
export interface AgentTimes {
  readonly startTimeoutMs: number;
  readonly stopTimeoutMs: number;
  readonly probeIntervalMs: number;
  readonly probeTimeoutMs: number;
}

/** Says nothing at run time; lets an editor know the types. */
export function defineAgent<P>(agent: Agent<P>): Agent<P> {
  return agent;
}
