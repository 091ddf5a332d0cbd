// The arbiter `gateway`: a node that reaches it may serve. It relies on one thing: two nodes that both
// reach the gateway reach each other. A cable, card, host or switch that fails obeys that; a filter
// rule between the two nodes does not, and against that stands the question to the virtual address.
import { noteArbiterAnswer, noteArbiterSilence } from './arbiter-silence.ts';
import type { Draft } from './draft.ts';
import type { MachineState } from './state.ts';
import { audibleRunMs, gatewayGapMs, gatewayLullMs, suspectAfterMs } from './timings.ts';
import type { Health } from './types.ts';

/** Asks for the probes that are due. */
export function probeGateway(d: Draft): void {
  const { s, now } = d;
  if (s.config.arbiter !== 'gateway') return;
  const { gatewayIntervalMs } = s.config.timings;
  if (now - s.gateway.probedMs >= gatewayIntervalMs * 0.9) {
    s.gateway = { ...s.gateway, probedMs: now };
    d.do({ kind: 'probeGateway', sentAtMs: now });
  }
  // Heartbeats may be fewer.
  s.wakeAtMs = Math.min(s.wakeAtMs, s.gateway.probedMs + gatewayIntervalMs);
}

export function onGateway(d: Draft, sentAtMs: number, reachable: boolean): void {
  const { gateway, config } = d.s;
  if (sentAtMs <= gateway.lastOkMs || sentAtMs > d.now) return;
  if (!reachable) {
    noteArbiterSilence(d, sentAtMs, '');
    return;
  }
  noteArbiterAnswer(d);
  const { timings } = config;
  const gapMs = sentAtMs - gateway.lastOkMs;
  const goesOn = gapMs <= gatewayGapMs(timings);
  const isAudible =
    goesOn ||
    (gapMs <= gatewayLullMs(timings) &&
      gateway.lastOkMs - gateway.runSinceMs >= audibleRunMs(timings));
  d.s.gateway = {
    ...gateway,
    lastOkMs: sentAtMs,
    runSinceMs: goesOn ? gateway.runSinceMs : sentAtMs,
    audibleSinceMs: isAudible ? gateway.audibleSinceMs : sentAtMs,
  };
}

/** Since when the gateway has answered without a gap; null when it does not now. */
export function gatewayStableSinceMs(s: MachineState, now: number): number | null {
  if (now - s.gateway.lastOkMs > gatewayGapMs(s.config.timings)) return null;
  return s.gateway.runSinceMs;
}

/** Asks whether the virtual address is served, while the peer is silent. */
export function probeAddress(d: Draft): void {
  const { s, now } = d;
  const { timings, hasAddress, arbiter } = s.config;
  if (!hasAddress || arbiter !== 'gateway' || s.role !== 'standby') return;
  if (now - s.peer.heardMs < Math.max(suspectAfterMs(timings), timings.deadAfterMs / 2)) return;
  if (now - s.addressProbe.probedMs < timings.heartbeatIntervalMs * 1.9) return;
  s.addressProbe = { ...s.addressProbe, probedMs: now };
  d.do({ kind: 'probeAddress', sentAtMs: now });
}

export function onAddressProbe(d: Draft, sentAtMs: number, answers: boolean): void {
  const probe = d.s.addressProbe;
  d.s.addressProbe = answers
    ? { ...probe, answersMs: Math.max(probe.answersMs, sentAtMs) }
    : { ...probe, freeMs: Math.max(probe.freeMs, sentAtMs) };
}

/** `free`: asked within this silence, and nobody served. */
export function addressAnswer(s: MachineState, now: number): 'free' | 'answers' | 'unknown' {
  const { addressProbe: probe, peer, config } = s;
  const recent = Math.max(peer.heardMs, now - config.timings.deadAfterMs);
  if (probe.answersMs > recent && probe.answersMs >= probe.freeMs) return 'answers';
  return probe.freeMs > recent ? 'free' : 'unknown';
}

/** Whether clients can be expected to reach this node. */
export function networkHealth(s: MachineState, now: number): Health {
  if (s.health.network === 'failed') return 'failed';
  if (s.config.arbiter !== 'gateway') return 'ok';
  return now - s.gateway.lastOkMs > s.config.timings.deadAfterMs ? 'failed' : 'ok';
}
