// Supervision of a group's agents: pure. What happens goes in, what is to be done comes out; the numbers of
// operations tie both together.
//
//   unknown ─▶ starting ─▶ running ──probe: failed, stopped, hung──▶ (with its dependents) stopping
//      ▲           └─failed─▶ unknown                                        │          ▲
//      │                                                                  stopped ◀─────┘
//      └── a start or stop that was given up                                 └─▶ starting
//
// An agent starts when all that it comes after run, and stops when all that come after it have stopped.
// A failure is answered by a restart in place, so many times within a while; then the application counts as
// failed on this node, which is reported, and nothing more is tried until somebody says so.
import { unreachable } from '../../core/assert.ts';
import { onEnded, onKilled, onTrouble } from './failures.ts';
import { Draft } from './draft.ts';
import { plan } from './plan.ts';
import { dueProbes, onProbed } from './probes.ts';
import type {
  AgentState,
  SupervisorConfig,
  SupervisorEffect,
  SupervisorEvent,
  SupervisorState,
} from './types.ts';

const NEW_AGENT: AgentState = {
  phase: 'unknown',
  op: 0,
  isAborted: false,
  wantsRestart: false,
  restartsMs: [],
  probeOp: 0,
  probeDueMs: Number.POSITIVE_INFINITY,
  seen: null,
  fault: null,
};

/** The state to begin with: nothing is known of the agents, and nothing is wanted. */
export function initialState(config: SupervisorConfig): SupervisorState {
  return {
    config,
    agents: Object.fromEntries(config.agents.map(({ name }) => [name, NEW_AGENT])),
    wish: 'idle',
    pending: null,
    gaveUp: null,
    escalation: 0,
    isPaused: false,
    nextOp: 1,
  };
}

/** One step. The effects are to be carried out in order. */
export function step(
  state: SupervisorState,
  event: SupervisorEvent,
  now: number,
): { readonly state: SupervisorState; readonly effects: readonly SupervisorEffect[] } {
  const d = new Draft(state, now);
  happen(d, event);
  plan(d);
  dueProbes(d);
  return { state: d.s, effects: d.effects };
}

/** When the next `tick` is due. */
export function wakeAtMs({ wish, agents }: SupervisorState): number {
  if (wish !== 'running') return Number.POSITIVE_INFINITY;
  const due = Object.values(agents).flatMap(({ phase, probeOp, probeDueMs }) =>
    phase === 'running' && probeOp === 0 ? [probeDueMs] : [],
  );
  return Math.min(Number.POSITIVE_INFINITY, ...due);
}

function happen(d: Draft, event: SupervisorEvent): void {
  switch (event.kind) {
    case 'start':
      return begin(d, 'start', event.request);
    case 'stop':
      return begin(d, 'stop', event.request);
    case 'giveUp':
      return giveUp(d);
    case 'adopt':
      return adopt(d);
    case 'ended':
      return onEnded(d, event.op, event.outcome);
    case 'probed':
      return onProbed(d, event);
    case 'killed':
      return onKilled(d, event.op, event.left);
    case 'trouble':
      return onTrouble(d, event.why);
    case 'allKilled':
      return d.each(({ op, phase }) => ({
        phase: op === 0 ? 'stopped' : phase,
        seen: null,
        wantsRestart: false,
      }));
    case 'pause':
      return d.set({ isPaused: event.on });
    case 'forgive':
      return d.each(() => ({ restartsMs: [] }));
    case 'tick':
      return undefined;
    default:
      return unreachable(event);
  }
}

/** A request overtakes the one before. What is known of the agents may be old: each is asked to move. */
function begin(d: Draft, kind: 'start' | 'stop', request: number): void {
  giveUp(d);
  d.set({
    wish: kind === 'start' ? 'running' : 'stopped',
    pending: { request, kind },
    gaveUp: null,
  });
  d.each(({ phase, op }) => ({
    phase: op === 0 ? 'unknown' : phase,
    wantsRestart: false,
    fault: null,
  }));
}

function giveUp(d: Draft): void {
  const { pending } = d.s;
  if (pending === null) return;
  const moving = d.configs.find(({ name }) => d.agent(name).op !== 0);
  for (const { name } of d.configs) abort(d, name);
  d.answer({
    kind: 'aborted',
    agent: moving?.name ?? '',
    action: pending.kind,
    why: 'it was given up',
  });
  d.set({ wish: 'idle' });
}

function abort(d: Draft, name: string): void {
  const { op, isAborted } = d.agent(name);
  if (op === 0 || isAborted) return;
  d.setAgent(name, { isAborted: true });
  d.do({ kind: 'abort', op });
}

function adopt(d: Draft): void {
  if (d.s.wish !== 'idle' || d.s.pending !== null) return;
  d.set({ wish: 'running', gaveUp: null });
  d.each(({ phase, op }, name) =>
    op !== 0 || phase !== 'unknown'
      ? {}
      : { phase: 'running', probeDueMs: d.now + d.config(name).probeIntervalMs },
  );
}
