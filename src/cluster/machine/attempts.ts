// Numbers and pauses of attempts to become primary.
import type { Draft } from './draft.ts';
import type { MachineState } from './state.ts';

/** An attempt's epoch is above everything that anybody has tried. */
export function nextEpoch(s: MachineState): number {
  return Math.max(s.epoch, s.triedEpoch, s.peer.beat?.tried ?? 0, s.vote.record?.epoch ?? 0) + 1;
}

/** After a good while in service the pauses begin anew. */
export function endHoldOff(d: Draft): void {
  const { s, now } = d;
  const { holdOffMs, holdOffMaxMs } = s.config.timings;
  if (s.holdOffMs === holdOffMs || s.service.application !== 'running') return;
  if (now >= s.holdOffUntilMs + holdOffMaxMs) s.holdOffMs = holdOffMs;
}

/** Pauses before the next attempt, longer each time. */
export function holdOff(d: Draft): void {
  const { s } = d;
  s.holdOffUntilMs = d.now + s.holdOffMs;
  s.holdOffMs = Math.min(s.holdOffMs * 2, s.config.timings.holdOffMaxMs);
}
