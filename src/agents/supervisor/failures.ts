// What failed, and what is done about it: restart in place, escalate, or give up on this node.
import { formatDurationMs } from '../../core/units.ts';
import type { Outcome } from '../invoke.ts';
import type { Draft } from './draft.ts';

/** A start or stop has ended. */
export function onEnded(d: Draft, op: number, outcome: Outcome): void {
  const found = d.configs.find(({ name }) => d.agent(name).op === op);
  if (found === undefined) return;
  const { name, probeIntervalMs } = found;
  const { phase, isAborted } = d.agent(name);
  d.setAgent(name, { op: 0, isAborted: false });
  const isStart = phase === 'starting';
  if (outcome.kind === 'done') {
    d.setAgent(
      name,
      isStart
        ? { phase: 'running', fault: null, seen: null, probeDueMs: d.now + probeIntervalMs }
        : { phase: 'stopped', fault: null, seen: null },
    );
    return;
  }
  // It may have done half of it.
  d.setAgent(name, { phase: 'unknown' });
  if (outcome.kind === 'aborted' || isAborted) return;
  d.setAgent(name, { fault: outcome.why });
  if (isStart) onStartFailed(d, name, outcome.why);
  else onStopFailed(d, name, outcome.why);
}

function onStartFailed(d: Draft, name: string, why: string): void {
  if (d.s.wish !== 'running') return;
  if (d.s.pending?.kind === 'start' && (d.s.isPaused || !d.s.config.restartsInPlace)) {
    failRequest(d, name, why);
    return;
  }
  onFailure(d, name, { why, isNews: true, isStart: true });
}

function onStopFailed(d: Draft, name: string, why: string): void {
  if (d.s.wish === 'stopped') {
    d.answer({ kind: 'failed', agent: name, action: 'stop', why });
    d.set({ wish: 'idle' });
    return;
  }
  if (d.s.wish !== 'running' || d.s.escalation !== 0) return;
  d.emit(
    'error',
    'STOP_ESCALATED',
    `agent "${name}" of group "${d.s.config.group}" did not stop (${why}): everything that uses the group's directories is ended by force`,
  );
  const op = d.op();
  d.set({ escalation: op });
  d.do({ kind: 'killAll', op });
}

/** Everything was killed: all agents start anew. */
export function onKilled(d: Draft, op: number, left: string | null): void {
  if (d.s.escalation !== op) return;
  d.set({ escalation: 0 });
  if (left !== null) {
    abandon(d, left);
    return;
  }
  d.each((agent) =>
    agent.op === 0
      ? { phase: 'stopped', seen: null, wantsRestart: false, ...forgetProbe(d, agent.probeOp) }
      : { wantsRestart: true },
  );
}

/** A probe under way asks something that is no more. */
function forgetProbe(d: Draft, probeOp: number): { probeOp: 0 } {
  if (probeOp !== 0) d.do({ kind: 'abort', op: probeOp });
  return { probeOp: 0 };
}

/** All agents lost what they work on. */
export function onTrouble(d: Draft, why: string): void {
  if (d.s.wish !== 'running') return;
  for (const { name } of d.configs.filter(({ after }) => after.length === 0)) {
    onFailure(d, name, { why, isNews: true });
  }
}

/** An application does not work: restarted in place, or given up on this node. */
export function onFailure(
  d: Draft,
  name: string,
  failure: { readonly why: string; readonly isNews: boolean; readonly isStart?: boolean },
): void {
  const { gaveUp, isPaused, config } = d.s;
  const { isNews } = failure;
  const why = failure.isStart === true ? `it did not start: ${failure.why}` : failure.why;
  const what = `agent "${name}" of group "${config.group}"`;
  if (gaveUp !== null) {
    d.do({ kind: 'report', state: 'failed', why });
    return;
  }
  if (isPaused || !config.restartsInPlace) {
    const because = isPaused ? '; the group is paused' : '';
    if (isNews) d.emit('error', 'AGENT_FAILED', `${what} failed: ${why}${because}`);
    if (d.s.pending?.kind === 'start') failRequest(d, name, failure.why);
    return;
  }
  const { restarts } = d.config(name);
  const recent = d.agent(name).restartsMs.filter((at) => d.now - at < restarts.withinMs);
  if (recent.length >= restarts.limit) {
    const within = formatDurationMs(restarts.withinMs);
    const tried = recent.length === 0 ? '' : ` after ${recent.length} restarts within ${within}`;
    d.emit('error', 'AGENT_FAILED', `${what} failed${tried}: ${why}`);
    if (d.s.pending?.kind === 'start') {
      d.set({ gaveUp: why });
      failRequest(d, name, failure.why);
    } else abandon(d, `agent "${name}": ${why}`);
    return;
  }
  d.setAgent(name, { restartsMs: [...recent, d.now] });
  d.emit(
    'warning',
    'AGENT_RESTARTED',
    `${what} failed: ${why}. It is started again here (${recent.length + 1} of ${restarts.limit} within ${formatDurationMs(restarts.withinMs)})`,
  );
  for (const starter of d.startersOf(name)) {
    for (const one of d.withDependents(starter)) d.setAgent(one, { wantsRestart: true });
  }
}

/** Nothing more is tried here. */
function abandon(d: Draft, why: string): void {
  d.set({ gaveUp: why });
  if (d.s.pending?.kind === 'start') failRequest(d, '', why);
  else d.do({ kind: 'report', state: 'failed', why });
}

function failRequest(d: Draft, agent: string, why: string): void {
  d.answer({ kind: 'failed', agent, action: 'start', why });
  d.set({ wish: 'idle' });
}
