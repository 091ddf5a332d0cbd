// Time comes in through this interface so that state machines can run on virtual time.

export interface Clock {
  /** Milliseconds since the Unix epoch; may jump. For people only. */
  wallMs(): number;
  /** Milliseconds on a clock that never goes back. For timeouts. */
  monotonicMs(): number;
}

export const systemClock: Clock = {
  wallMs: () => Date.now(),
  monotonicMs: () => performance.now(),
};
