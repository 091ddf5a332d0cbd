// The words of the supervisor of a group's agents. Nothing in here does anything. Times are ms on a
// monotonic clock.
import type { ProbeState } from '../agent.ts';
import type { Outcome } from '../invoke.ts';

export interface SupervisedAgent {
  readonly name: string;
  /** Names of agents that have to run before this one starts, and stop after it. */
  readonly after: readonly string[];
  readonly isProbed: boolean;
  /** It starts nothing: what it comes after is started again when it fails. */
  readonly watchesOnly: boolean;
  readonly probeIntervalMs: number;
  /** Restarts in place before the application counts as failed on this node. */
  readonly restarts: { readonly limit: number; readonly withinMs: number };
}

export interface SupervisorConfig {
  readonly group: string;
  readonly agents: readonly SupervisedAgent[];
  /** Somebody decides about switchover. Without, failures are told, and nothing is restarted. */
  readonly restartsInPlace: boolean;
}

/** `unknown`: whether it runs has to be found out; it is started and stopped as if the other were true. */
export type Phase = 'unknown' | 'stopped' | 'starting' | 'running' | 'stopping';

/** `hung`: no answer in time. `unknown`: the agent itself is at fault. */
export type SeenState = ProbeState | 'hung' | 'unknown';

/** What a probe saw. */
export interface Seen {
  readonly state: SeenState;
  readonly sentence: string;
  readonly measures: Readonly<Record<string, number>>;
  /** How long the probe took. */
  readonly ms: number;
}

export interface AgentState {
  readonly phase: Phase;
  /** Number of the start or stop under way; 0: none. */
  readonly op: number;
  /** It was told to give up. */
  readonly isAborted: boolean;
  /** It is to be stopped and started again. */
  readonly wantsRestart: boolean;
  /** When it was restarted in place because it failed. */
  readonly restartsMs: readonly number[];
  /** Number of the probe under way; 0: none. */
  readonly probeOp: number;
  readonly probeDueMs: number;
  readonly seen: Seen | null;
  /** Why the last start or stop did not work. */
  readonly fault: string | null;
}

export interface SupervisorState {
  readonly config: SupervisorConfig;
  readonly agents: Readonly<Record<string, AgentState>>;
  /** `idle`: a request failed or was given up; nothing moves before the next one. */
  readonly wish: 'running' | 'stopped' | 'idle';
  /** The request that has not been answered yet. */
  readonly pending: { readonly request: number; readonly kind: 'start' | 'stop' } | null;
  /** Why the application counts as failed on this node, until the next start. */
  readonly gaveUp: string | null;
  /** Number of the killing under way; 0: none. */
  readonly escalation: number;
  readonly isPaused: boolean;
  readonly nextOp: number;
}

export type SupervisorEvent =
  /** Start, or stop, all agents. Answered by the effect `answer`, exactly once. */
  | { readonly kind: 'start'; readonly request: number }
  | { readonly kind: 'stop'; readonly request: number }
  /** The request under way is given up. */
  | { readonly kind: 'giveUp' }
  /** The agents were started before this supervisor was there. */
  | { readonly kind: 'adopt' }
  /** Result of the effect `run`. */
  | { readonly kind: 'ended'; readonly op: number; readonly outcome: Outcome }
  /** Result of the effect `probe`. `excused`: a failure has a reason that will pass. */
  | {
      readonly kind: 'probed';
      readonly op: number;
      readonly outcome: Outcome;
      readonly excused: boolean;
    }
  /** Result of the effect `killAll`; `left`: what could not be killed. */
  | { readonly kind: 'killed'; readonly op: number; readonly left: string | null }
  /** Whatever used the directories is gone, or was cut off from them. */
  | { readonly kind: 'trouble'; readonly why: string }
  /** Somebody else has killed the application. */
  | { readonly kind: 'allKilled' }
  | { readonly kind: 'pause'; readonly on: boolean }
  /** Failures of before count no more. */
  | { readonly kind: 'forgive' }
  /** To be sent at {@link wakeAtMs}. */
  | { readonly kind: 'tick' };

export type SupervisorEffect =
  | {
      readonly kind: 'run';
      readonly op: number;
      readonly agent: string;
      readonly operation: 'start' | 'stop';
    }
  | { readonly kind: 'probe'; readonly op: number; readonly agent: string }
  /** Give a `run` or `probe` up; it is answered all the same. */
  | { readonly kind: 'abort'; readonly op: number }
  /** Kill everything that uses the group's directories. */
  | { readonly kind: 'killAll'; readonly op: number }
  | { readonly kind: 'answer'; readonly request: number; readonly failure: Failure | null }
  /** For the one who decides about switchover. */
  | { readonly kind: 'report'; readonly state: 'ok' | 'failed'; readonly why: string }
  | { readonly kind: 'seen'; readonly agent: string; readonly seen: Seen }
  | {
      readonly kind: 'emit';
      readonly level: 'info' | 'warning' | 'error';
      readonly code: string;
      readonly message: string;
    };

/** Why a request was not fulfilled. `agent` is empty when it was given up between two agents. */
export interface Failure {
  readonly kind: 'failed' | 'aborted';
  readonly agent: string;
  readonly action: 'start' | 'stop';
  readonly why: string;
}
