// One step in the making: a copy of the state that the step may change, and the effects so far.
import type { Effect } from './effect-types.ts';
import type { LeaseState, MachineState, PeerState, ServiceState } from './state.ts';

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

export class Draft {
  readonly now: number;
  readonly s: Mutable<MachineState>;
  readonly effects: Effect[] = [];

  constructor(state: MachineState, nowMs: number) {
    this.now = nowMs;
    this.s = { ...state };
  }

  do(effect: Effect): void {
    this.effects.push(effect);
  }

  /** A number for an effect whose answer has to be recognised. */
  op(): number {
    const { nextOp } = this.s;
    this.s.nextOp = nextOp + 1;
    return nextOp;
  }

  /** The sentence of this step. */
  say(reason: string): void {
    this.s.reason = reason;
  }

  /** Tells people, and makes it the sentence of this step. */
  emit(level: 'info' | 'warning' | 'error', code: string, message: string): void {
    this.s.reason = message;
    this.effects.push({ kind: 'emit', level, code, message });
  }

  peer(change: Partial<PeerState>): void {
    this.s.peer = { ...this.s.peer, ...change };
  }

  lease(change: Partial<LeaseState>): void {
    this.s.lease = { ...this.s.lease, ...change };
  }

  service(change: Partial<ServiceState>): void {
    this.s.service = { ...this.s.service, ...change };
  }

  /** Changes what must survive a crash, and has it kept. */
  memo(change: Partial<MachineState['memo']>): void {
    const { s } = this;
    s.memo = { ...s.memo, ...change };
    s.memoVersion += 1;
    this.effects.push({ kind: 'persist', memo: s.memo, version: s.memoVersion });
  }
}

/** `1234` → `1.23 s`, for sentences. */
export function seconds(ms: number): string {
  return ms < 1000 ? `${Math.max(0, Math.round(ms))} ms` : `${(ms / 1000).toFixed(2)} s`;
}
