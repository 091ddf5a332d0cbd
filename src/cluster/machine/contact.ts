// What a heartbeat of the peer changes here: contact, promises, what is known of its commits.
import type { Draft } from './draft.ts';
import { seconds } from './draft.ts';
import type { MachineEvent } from './event-types.ts';
import { endUnlimitedLease, takeGrant } from './lease.ts';
import { isAhead, isIntact, type MachineState } from './state.ts';
import { DRIFT } from './timings.ts';
import type { AloneMark, GroupBeat } from './types.ts';

/** A heartbeat of a fenced node that was on its way does not mean that it lives. */
const FENCED_ECHO_MS = 2000;

export function onHeartbeat(d: Draft, event: Extract<MachineEvent, { kind: 'heartbeat' }>): void {
  const { s, now } = d;
  const { beat } = event;
  const { peer } = s;
  if (event.life < peer.life || isEcho(s, event, now)) return;
  const silentMs = now - peer.heardMs;
  const isNew = peer.beat === null;
  noteReturn(d, silentMs, isNew);
  const proves = isTimely(s, event.heardBackMs, now);
  // What happened while the peer did not hear us is not known, until it says so itself.
  if (!proves || !isTimely(s, peer.heardBackMs, now)) s.fresh = s.role === 'primary';
  const left = beat.leaving && beat.role === 'standby';
  d.peer({
    life: event.life,
    heardMs: now,
    presentSinceMs: isNew || silentMs > s.config.timings.deadAfterMs ? now : peer.presentSinceMs,
    beat,
    sentAtMs: event.sentAtMs,
    heardBackMs: Math.max(peer.heardBackMs, event.heardBackMs ?? peer.heardBackMs),
    offSinceMs: null,
    left,
    silenceTold: false,
  });
  s.booting = false;
  s.waiting = '';
  // Also of a machine before this one, which alone knew that the peer was gone.
  if (!left) endUnlimitedLease(d);
  if (!beat.asks) s.granted = null;
  learnEpochs(d, beat);
  mergePause(d, beat);
  takeGrant(d, beat.grant);
  if (s.role !== 'primary') noteCommits(d, beat, proves);
  noteOffer(d, beat);
}

function isEcho(s: MachineState, event: { life: number; beat: GroupBeat }, now: number): boolean {
  const { offSinceMs, life } = s.peer;
  return (
    offSinceMs !== null &&
    event.life === life &&
    event.beat.asks &&
    now - offSinceMs < FENCED_ECHO_MS
  );
}

/**
 * The peer had heard this node a moment ago when it sent this: what it says holds now. A heartbeat that
 * waited in a buffer, of a frozen node for example, tells only what was so once; a peer goes on alone,
 * or takes over, only after a longer silence than this.
 */
function isTimely(s: MachineState, heardBackMs: number | null, now: number): boolean {
  const { deadAfterMs, marginMs } = s.config.timings;
  return heardBackMs !== null && now - heardBackMs < deadAfterMs * (1 - DRIFT) - marginMs;
}

function noteReturn(d: Draft, silentMs: number, isNew: boolean): void {
  const { peer, config } = d.s;
  const { name } = config.peer;
  if (isNew) d.emit('info', 'PEER_HEARD', `${name} is heard`);
  else if (peer.silenceTold) {
    d.emit('info', 'PEER_HEARD', `${name} is heard again after ${seconds(silentMs)}`);
  }
}

function learnEpochs(d: Draft, beat: GroupBeat): void {
  const { s } = d;
  s.triedEpoch = Math.max(s.triedEpoch, beat.tried, beat.epoch);
  // A promoting peer has not served yet; others say what was served with.
  if (beat.role === 'promoting' || s.role !== 'standby' || beat.epoch <= s.epoch) return;
  s.epoch = beat.epoch;
  // After a restart this node must not think that it was the last one to serve.
  d.memo({ epoch: beat.epoch });
}

function mergePause(d: Draft, beat: GroupBeat): void {
  const { paused } = d.s.memo;
  if (beat.paused.version <= paused.version) return;
  d.memo({ paused: beat.paused });
  const what = beat.paused.on ? 'paused: nothing moves by itself' : 'no longer paused';
  d.emit('info', 'PAUSE_CHANGED', `the group is ${what} (said on ${d.s.config.peer.name})`);
}

/** Which acknowledged commits may be missing here, as far as this heartbeat tells. */
function noteCommits(d: Draft, beat: GroupBeat, proves: boolean): void {
  const { s } = d;
  if (beat.role === 'primary') {
    if (beat.epoch < s.epoch) return;
    if (beat.alone !== null) noteAlone(d, beat.alone);
    else if (proves) noteTogether(d);
  } else if (proves && beat.role === 'standby' && beat.epoch <= s.epoch) {
    // Nobody has served after the epoch of the data here, and the other data, whole, is no further.
    const isNewest = s.data.epoch >= s.epoch && isIntact(beat.copy) && !isAhead(beat.data, s.data);
    if (isNewest) s.fresh = true;
  }
}

function noteTogether(d: Draft): void {
  d.s.fresh = true;
  if (d.s.memo.stale || d.s.memo.aloneSeen !== null) d.memo({ stale: false, aloneSeen: null });
}

function noteAlone(d: Draft, mark: AloneMark): void {
  const { s } = d;
  s.fresh = false;
  const seen = s.memo.aloneSeen;
  if (s.memo.stale && seen?.epoch === mark.epoch && seen.count === mark.count) return;
  d.memo({ stale: true, aloneSeen: mark });
}

function noteOffer(d: Draft, beat: GroupBeat): void {
  const { s } = d;
  if (s.offer === null) return;
  const { epoch } = s.offer;
  const isLost = beat.role === 'standby' && (beat.epoch >= epoch || beat.leaving);
  if (beat.role === 'primary' && beat.epoch >= epoch) s.offer = null;
  else if (beat.declined === epoch || isLost) {
    s.offer = null;
    d.emit('warning', 'OFFER_DECLINED', `${s.config.peer.name} could not become primary`);
  }
}
