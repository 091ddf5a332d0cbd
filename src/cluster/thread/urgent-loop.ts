// Makes the calling thread one that keeps its times on a machine that does not, and measures how well
// it does. For the entry of a worker that sends heartbeats.
import type { Clock } from '../../core/clock.ts';
import { lockProgramCode, raiseThread, type Urgency } from '../../linux/scheduling.ts';
import type { HeartbeatBoard } from '../heartbeat/board.ts';

const TICK_MS = 50;

/** Limits for such a worker: a small heap is collected in a fraction of a millisecond. */
export const URGENT_RESOURCE_LIMITS = {
  maxYoungGenerationSizeMb: 4,
  maxOldGenerationSizeMb: 64,
} as const;

export interface UrgentLoop {
  readonly urgency: Urgency;
  /** Mappings of program code that stay in memory. */
  readonly lockedMappings: number;
  stop(): void;
}

/** Raises the thread and notes on the board when its loop last ran, and its longest delay. */
export function startUrgentLoop(board: HeartbeatBoard, clock: Clock): UrgentLoop {
  const urgency = raiseThread();
  const lockedMappings = lockProgramCode();
  let expected = clock.monotonicMs() + TICK_MS;
  const timer = setInterval(() => {
    const nowMs = clock.monotonicMs();
    board.setThread('loopMs', nowMs);
    const delayMs = nowMs - expected;
    if (delayMs > board.thread('loopDelayMaxMs')) board.setThread('loopDelayMaxMs', delayMs);
    expected = nowMs + TICK_MS;
  }, TICK_MS);
  return { urgency, lockedMappings, stop: () => clearInterval(timer) };
}
