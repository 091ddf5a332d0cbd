// What is to be moved next: the same question after every event.
import type { Draft } from './draft.ts';
import type { AgentState, Phase } from './types.ts';

/** Begins every start and stop that can begin now, and answers the request when all is as wanted. */
export function plan(d: Draft): void {
  const { wish, escalation, gaveUp } = d.s;
  if (escalation !== 0 || wish === 'idle') return;
  if (wish === 'stopped') {
    planStop(d);
    return;
  }
  if (gaveUp !== null) return;
  planRestarts(d);
  planStarts(d);
}

function planStop(d: Draft): void {
  for (const { name } of d.configs) {
    const { phase } = d.agent(name);
    if (phase === 'starting') giveUpOp(d, name);
    else if (isUp(phase) && haveStopped(d, name)) move(d, name, 'stop');
  }
  if (d.configs.every(({ name }) => d.agent(name).phase === 'stopped')) d.answer(null);
}

function planRestarts(d: Draft): void {
  // Those that come last are looked at first: one pass settles what need not be stopped.
  for (const { name } of d.configs.toReversed()) {
    const { phase, wantsRestart } = d.agent(name);
    if (!wantsRestart) continue;
    if (phase === 'stopped') d.setAgent(name, { wantsRestart: false });
    else if (phase === 'starting') giveUpOp(d, name);
    else if (isUp(phase) && haveStopped(d, name)) move(d, name, 'stop');
  }
}

function planStarts(d: Draft): void {
  // In maintenance nothing is tried again that did not start.
  const isLeft = d.s.isPaused && d.s.pending === null;
  for (const { name, after } of d.configs) {
    const { phase, wantsRestart } = d.agent(name);
    const isDown = phase === 'stopped' || (phase === 'unknown' && !isLeft);
    if (!isDown || wantsRestart) continue;
    if (after.every((one) => isServing(d.agent(one)))) move(d, name, 'start');
  }
  if (d.configs.every(({ name }) => isServing(d.agent(name)))) d.answer(null);
}

/** It runs, and is to go on as it is. */
export const isServing = ({ phase, wantsRestart }: AgentState): boolean =>
  phase === 'running' && !wantsRestart;

const isUp = (phase: Phase): boolean => phase === 'running' || phase === 'unknown';

const haveStopped = (d: Draft, name: string): boolean =>
  d.dependents(name).every((one) => d.agent(one).phase === 'stopped');

function move(d: Draft, name: string, operation: 'start' | 'stop'): void {
  const { probeOp } = d.agent(name);
  if (probeOp !== 0) d.do({ kind: 'abort', op: probeOp });
  const op = d.op();
  const phase = operation === 'start' ? 'starting' : 'stopping';
  d.setAgent(name, { phase, op, isAborted: false, probeOp: 0 });
  d.do({ kind: 'run', op, agent: name, operation });
}

function giveUpOp(d: Draft, name: string): void {
  const { op, isAborted } = d.agent(name);
  if (op === 0 || isAborted) return;
  d.setAgent(name, { isAborted: true });
  d.do({ kind: 'abort', op });
}
