// Every duration the machine goes by, the two profiles, and what is derived from them.
//
//   primary   sends ──────────────── lease ───────────────┤ its writes end
//   standby     hears ───────── lease × (1 + 2 drift) + stable + margin ──────┤ may take over
//
// The primary counts from the moment it sent, on its own clock; the standby from the moment it
// heard, on its own: the second is later, and longer.

/** Milliseconds. Both nodes of a pair must have the same. */
export interface Timings {
  readonly heartbeatIntervalMs: number;
  /** Silence on all networks after which the peer counts as lost. */
  readonly deadAfterMs: number;
  /** How long a primary may write after its last confirmed request. */
  readonly leaseMs: number;
  /** Delay of a datagram and of a thread, on top of the arithmetic. */
  readonly marginMs: number;
  /** How long the gateway must have answered without a gap before its word counts. */
  readonly gatewayStableMs: number;
  readonly gatewayIntervalMs: number;
  /** How often the arbiter's record is read or renewed: in peace, and while the peer is silent. */
  readonly arbiterCalmIntervalMs: number;
  readonly arbiterUrgentIntervalMs: number;
  readonly arbiterTimeoutMs: number;
  /** How long commits wait before a primary that can tell nobody goes on alone. */
  readonly aloneAfterMs: number;
  readonly fenceTimeoutMs: number;
  readonly promoteTimeoutMs: number;
  readonly drainTimeoutMs: number;
  readonly applicationStartTimeoutMs: number;
  readonly applicationStopTimeoutMs: number;
  /** After this long, what an escalated stop could not end is fenced by this node itself. */
  readonly escalateTimeoutMs: number;
  /** Application failures that are answered by a restart in place, within `restartWindowMs`. */
  readonly restartsMax: number;
  readonly restartWindowMs: number;
  /** How long a node on which the application failed is not tried again on the node's own. */
  readonly failureMemoryMs: number;
  /** First pause between two attempts to become primary; doubles up to `holdOffMaxMs`. */
  readonly holdOffMs: number;
  readonly holdOffMaxMs: number;
  /** How long everything must be well before the primary goes back to the preferred node. */
  readonly failbackAfterMs: number;
}

/** Greatest relative difference of the two clocks' rates that the arithmetic allows for (1 %). */
export const DRIFT = 0.01;

export const defaultTimings: Timings = {
  heartbeatIntervalMs: 100,
  deadAfterMs: 1000,
  leaseMs: 750,
  marginMs: 60,
  gatewayStableMs: 200,
  gatewayIntervalMs: 100,
  arbiterCalmIntervalMs: 2000,
  arbiterUrgentIntervalMs: 150,
  arbiterTimeoutMs: 200,
  aloneAfterMs: 2000,
  fenceTimeoutMs: 30_000,
  promoteTimeoutMs: 60_000,
  drainTimeoutMs: 60_000,
  applicationStartTimeoutMs: 120_000,
  applicationStopTimeoutMs: 60_000,
  escalateTimeoutMs: 10_000,
  restartsMax: 2,
  restartWindowMs: 600_000,
  failureMemoryMs: 600_000,
  holdOffMs: 2000,
  holdOffMaxMs: 60_000,
  failbackAfterMs: 300_000,
};

/** Fails over within half a second; needs a quiet local network. */
export const fastTimings: Timings = {
  ...defaultTimings,
  heartbeatIntervalMs: 30,
  deadAfterMs: 400,
  leaseMs: 280,
  marginMs: 30,
  gatewayStableMs: 60,
  gatewayIntervalMs: 30,
  arbiterCalmIntervalMs: 1000,
  arbiterUrgentIntervalMs: 60,
  arbiterTimeoutMs: 90,
};

/** Until when a primary may write that sent a confirmed request at `sentAtMs`. */
export function leaseEndMs(timings: Timings, sentAtMs: number): number {
  return sentAtMs + timings.leaseMs * (1 - DRIFT);
}

/** How long to wait, from hearing a request or seeing a token, until the lease behind it has ended. */
export function leaseWaitMs(timings: Timings): number {
  return timings.leaseMs * (1 + DRIFT) + timings.marginMs;
}

/**
 * Silence after which, with the arbiter `gateway`, the peer has no lease any more: at its last
 * successful probe it had been connected for `gatewayStableMs`, and would have been heard.
 */
export function gatewayWaitMs(timings: Timings): number {
  return leaseWaitMs(timings) + timings.gatewayStableMs + timings.heartbeatIntervalMs / 2;
}

/** Longest pause between two answers of the gateway that counts as none. */
export function gatewayGapMs(timings: Timings): number {
  return timings.gatewayIntervalMs * 3;
}

/**
 * Time for which a node reaches the gateway, in which a peer that reaches it too surely hears it: several heartbeats, and
 * one of them beside a gap that the peer has not noticed.
 */
export function audibleRunMs(timings: Timings): number {
  const { heartbeatIntervalMs } = timings;
  return Math.max(heartbeatIntervalMs * 4, gatewayGapMs(timings) + heartbeatIntervalMs);
}

/**
 * Longest pause between two answers of the gateway after which a standby's copy still counts as
 * complete. Whatever `deadAfterMs` are taken, so much of them is left beside such pauses, with a run of
 * `audibleRunMs` between any two, that a primary which reached the gateway for all of them has heard
 * this node, and has not gone on alone without telling it.
 */
export function gatewayLullMs(timings: Timings): number {
  const { deadAfterMs, marginMs } = timings;
  const lull = deadAfterMs * (1 - DRIFT) - marginMs - audibleRunMs(timings);
  return Math.max(gatewayGapMs(timings), lull);
}

/** Silence that makes a standby look closely, long before it decides. */
export function suspectAfterMs(timings: Timings): number {
  return Math.min(timings.heartbeatIntervalMs * 2.5, timings.deadAfterMs);
}
