// Probes: when each is due, and what comes of its result.
import { probeResultSchema, type Outcome } from '../invoke.ts';
import type { Draft } from './draft.ts';
import { onFailure } from './failures.ts';
import type { Seen, SeenState, SupervisorEvent } from './types.ts';

const WELL: readonly SeenState[] = ['ok', 'degraded'];

/** Begins every probe whose time has come. */
export function dueProbes(d: Draft): void {
  if (d.s.wish !== 'running') return;
  for (const { name, isProbed, probeIntervalMs } of d.configs) {
    const { phase, probeOp, probeDueMs, wantsRestart } = d.agent(name);
    if (!isProbed || phase !== 'running' || wantsRestart) continue;
    if (probeOp !== 0 || d.now < probeDueMs) continue;
    const op = d.op();
    // From beginning to beginning: one that takes long does not make the next one late.
    d.setAgent(name, { probeOp: op, probeDueMs: d.now + probeIntervalMs });
    d.do({ kind: 'probe', op, agent: name });
  }
}

/** A probe has ended. One of an agent that is being moved, or waits for that, was asked before, and says nothing. */
export function onProbed(d: Draft, event: Extract<SupervisorEvent, { kind: 'probed' }>): void {
  const found = d.configs.find(({ name }) => d.agent(name).probeOp === event.op);
  if (found === undefined) return;
  const { name } = found;
  d.setAgent(name, { probeOp: 0 });
  const seen = seenOf(event.outcome);
  if (seen === undefined || d.s.wish !== 'running' || d.agent(name).phase !== 'running') return;
  const before = d.agent(name).seen;
  d.setAgent(name, { seen });
  d.do({ kind: 'seen', agent: name, seen });
  if (!event.excused) {
    if (seen.state === 'failed' || seen.state === 'stopped' || seen.state === 'hung') {
      onFailure(d, name, { why: seen.sentence, isNews: before?.state !== seen.state });
      return;
    }
    tellChange(d, name, before, seen);
  }
  if (isAllWell(d)) d.do({ kind: 'report', state: 'ok', why: '' });
}

/** Undefined for a probe that was given up. */
function seenOf(outcome: Outcome): Seen | undefined {
  const { ms } = outcome;
  switch (outcome.kind) {
    case 'done': {
      const result = probeResultSchema.safeParse(outcome.value);
      const nothing = 'its probe returned something else than the contract says';
      if (!result.success) return { state: 'unknown', sentence: nothing, measures: {}, ms };
      const { state, sentence, measures = {} } = result.data;
      return { state, sentence, measures, ms };
    }
    case 'failed':
      return { state: 'failed', sentence: outcome.why, measures: {}, ms };
    case 'late':
      return { state: 'hung', sentence: outcome.why, measures: {}, ms };
    case 'unusable':
      return { state: 'unknown', sentence: outcome.why, measures: {}, ms };
    case 'aborted':
      return undefined;
  }
}

function tellChange(d: Draft, name: string, before: Seen | null, { state, sentence }: Seen): void {
  if (before?.state === state) return;
  const what = `agent "${name}" of group "${d.s.config.group}"`;
  if (state === 'degraded') {
    d.emit('warning', 'AGENT_DEGRADED', `${what}: ${sentence}`);
  } else if (state === 'unknown') {
    d.emit('warning', 'AGENT_UNUSABLE', `${what} cannot tell how its application is: ${sentence}`);
  } else if (before !== null) {
    d.emit('info', 'AGENT_RECOVERED', `${what} is well again: ${sentence}`);
  }
}

function isAllWell(d: Draft): boolean {
  return d.configs.every(({ name, isProbed }) => {
    const { phase, wantsRestart, seen } = d.agent(name);
    if (phase !== 'running' || wantsRestart) return false;
    return !isProbed || (seen !== null && WELL.includes(seen.state));
  });
}
