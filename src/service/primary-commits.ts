// Whether commits of a primary wait for its standby: gathers what the rule (commit-policy.ts) needs to know, and opens or closes
// the gate in the filter. Groups that are managed ask their machine before they go on alone.
//
// What a successor has to know is noted before anything is let go that the note does not allow.
import type { Logger } from '../core/logger.ts';
import type { Filter } from '../filter/filter.ts';
import type { Ack } from '../mirror/link/frame.ts';
import type { Sender } from '../mirror/sender.ts';
import { type CommitState, decideCommits, IN_STEP_BYTES } from './commit-policy.ts';
import type { ControlEvent } from './control-channel.ts';
import type { GroupProcessSpec } from './group-spec.ts';
import type { StreamNote } from './stream-note.ts';

/** How often the rule is applied: rarely while all is well, often while a commit waits. */
const INTERVAL_MS = 100;
const WATCH_MS = 10;
/** While the standby answers and no commit waits, there is little to decide. */
const CALM_MS = 400;

/**
 * What the mirror of a managed group wants: that commits need not wait for the standby, which has to be
 * allowed, or that they wait for it (again). `request` grows with every change of mind.
 */
export interface CommitWish {
  readonly state: 'alone-wanted' | 'together';
  readonly request: number;
  readonly why: string;
}

export interface PrimaryCommitsOptions {
  readonly replication: GroupProcessSpec['replication'];
  readonly gate: Filter['commits'];
  /** Undefined: the group has no standby. */
  readonly sender: Sender | undefined;
  /** The last record captured, as of a moment after the question. */
  readonly askPoint: () => Promise<number>;
  /** The bandwidth limit in force, for people; null: none. */
  readonly limit: () => string | null;
  /** {@link PrimaryCommits.note} is another one. */
  readonly onNote: () => void;
  /** Managed groups: see {@link CommitWish}. */
  readonly onWish: (wish: CommitWish) => void;
  readonly emit: (level: ControlEvent['level'], code: string, message: string) => void;
  readonly logger: Logger;
}

export class PrimaryCommits {
  readonly #options: PrimaryCommitsOptions;
  #state: CommitState = 'alone';
  #wasTogether = false;
  /** Last record captured when the group went on alone. */
  #aloneAt = 0;
  /** While joining: last record captured before commits began to wait; undefined while not known. */
  #joinAt: number | undefined;
  /** Counts how often it began to join: answers may come late. */
  #joins = 0;
  /** Managed groups only. */
  #wish: CommitWish | undefined;
  #isAllowed = false;
  #linkDownSinceMs = performance.now();
  #progress = { sequence: 0, atMs: 0 };

  constructor(options: PrimaryCommitsOptions) {
    this.#options = options;
  }

  /** Commits wait as they did in the process before, or do not. */
  resume(before: StreamNote['commits']): void {
    // The mode may be another one now: in `async` there is nothing to give up, unless a machine counts on it.
    const isKept = this.#options.replication.mode !== 'async' || before.wish !== null;
    this.#state = isKept ? before.state : 'alone';
    this.#wasTogether = before.wasTogether;
    this.#aloneAt = before.aloneAt;
    this.#wish = before.wish ?? undefined;
    this.#isAllowed = before.isAllowed;
    this.#setGate();
  }

  /** A managed group begins: commits wait for the standby, or for the machine to allow that they do not. */
  begin(request: number): void {
    this.#wish = { state: 'alone-wanted', request, why: 'it has just started' };
    this.#setGate();
  }

  /** For a successor. */
  get note(): StreamNote['commits'] {
    return {
      // Whoever goes on begins to join anew.
      state: this.#state === 'together' ? 'together' : 'alone',
      wasTogether: this.#wasTogether,
      aloneAt: this.#aloneAt,
      wish: this.#wish ?? null,
      isAllowed: this.#isAllowed,
    };
  }

  /** Part of the status of the process. */
  get status(): Record<string, unknown> {
    const { replication, sender, gate } = this.#options;
    const isDown = sender?.link.state !== 'connected';
    return {
      alone: replication.mode === 'async' ? isDown : this.isAlone,
      wasTogether: this.#wasTogether,
      commits: this.#wish ?? null,
      commitWaitMs: gate.oldestWaitMs(),
    };
  }

  /** When the rule is to be applied again, ms from now. */
  get intervalMs(): number {
    const { replication, gate, sender } = this.#options;
    const waitMs = gate.oldestWaitMs();
    if (waitMs > INTERVAL_MS / 2) return WATCH_MS;
    const { mode, syncTimeoutMs } = replication;
    const isSettled = this.#state === 'together' || mode === 'async';
    const isCalm = waitMs === 0 && isSettled && sender?.link.state === 'connected';
    return isCalm ? Math.min(CALM_MS, syncTimeoutMs / 4) : INTERVAL_MS;
  }

  onAck(ack: Ack): void {
    if (ack.durableSequence > this.#progress.sequence)
      this.#progress = { sequence: ack.durableSequence, atMs: performance.now() };
    this.#options.gate.release(this.#confirmedBy(ack));
  }

  /** Without a standby that has everything: each answer may change that. */
  get isAlone(): boolean {
    return this.#state !== 'together';
  }

  /**
   * The standby has everything that an application was told is safe, and will have. In mode `async`, where nobody
   * is told that: it lacks no more than a little.
   */
  get isStandbyComplete(): boolean {
    const { replication, sender } = this.#options;
    if (this.isAlone || sender === undefined) return false;
    return replication.mode !== 'async' || sender.backlogBytes < IN_STEP_BYTES;
  }

  /** True when it was not known that the link is down. */
  noteLink(isUp: boolean): boolean {
    const wasDown = this.#linkDownSinceMs !== 0;
    if (isUp) this.#linkDownSinceMs = 0;
    else if (!wasDown) this.#linkDownSinceMs = performance.now();
    return !isUp && !wasDown;
  }

  /** Applies the rule. */
  apply(): void {
    const { sender, replication, gate, limit } = this.#options;
    if (sender === undefined) return;
    const confirmed = sender.acked === undefined ? 0 : this.#confirmedBy(sender.acked);
    const linkUp = sender.link.state === 'connected';
    // A managed group wants to know how the standby stands also when no commit waits for it.
    const isWatched = this.#wish !== undefined && replication.mode === 'async';
    const options = isWatched ? { ...replication, mode: 'sync' as const } : replication;
    const decision = decideCommits(this.#state, options, {
      linkUp,
      ack: sender.acked,
      backlogBytes: sender.backlogBytes,
      hasAnswered: confirmed >= this.#aloneAt,
      hasJoined: this.#joinAt !== undefined && confirmed >= this.#joinAt,
      oldestWaitMs: gate.oldestWaitMs(),
      linkDownMs: linkUp ? 0 : performance.now() - this.#linkDownSinceMs,
      sinceProgressMs: performance.now() - this.#progress.atMs,
      limit: limit(),
    });
    if (decision.state !== this.#state) this.#change(decision.state, decision.reason ?? '');
    // A commit that began while the gate was being opened must not be left waiting, nor one whose record was
    // confirmed before it came to wait for that.
    if (!this.#wait) gate.release(Infinity);
    else if (sender.acked !== undefined) gate.release(confirmed);
  }

  /** Last record that commits may count on. */
  #confirmedBy({ receivedSequence, durableSequence }: Ack): number {
    return this.#options.replication.mode === 'memory' ? receivedSequence : durableSequence;
  }

  get #wait(): boolean {
    if (this.#wish === undefined) return this.#state !== 'alone';
    if (this.#options.replication.mode === 'async') return false;
    return this.#state === 'joining' || !this.#isAllowed;
  }

  #setGate(): void {
    this.#options.gate.setClosed(this.#wait);
  }

  /** Commits need not wait for the standby; an answer to an older wish does nothing. */
  allowAlone(request: number): void {
    const { onNote, emit } = this.#options;
    if (this.#wish?.request !== request || !this.isAlone || this.#isAllowed) return;
    this.#isAllowed = true;
    onNote();
    this.#setGate();
    if (this.#wasTogether) emit('error', 'GOES_ON_ALONE', this.#wish.why);
  }

  /** Commits wait from now on; what was let go before is behind the answer to the question. */
  async #join(): Promise<void> {
    this.#setGate();
    this.#joinAt = undefined;
    this.#joins += 1;
    const join = this.#joins;
    const sequence = await this.#options.askPoint();
    if (join !== this.#joins) return;
    this.#joinAt = sequence;
    this.apply();
  }

  #change(state: CommitState, reason: string): void {
    const { sender, onNote, onWish, emit, logger } = this.#options;
    logger.info({ from: this.#state, to: state, reason }, 'commits');
    const wasJoining = this.#state === 'joining';
    this.#state = state;
    if (state === 'joining') {
      void this.#join();
      return;
    }
    if (state === 'alone') this.#aloneAt = sender?.headSequence ?? 0;
    if (state === 'together') this.#wasTogether = true;
    // Nobody was promised anything since it was alone the last time.
    if (state === 'alone' && wasJoining) {
      onNote();
      this.#setGate();
      return;
    }
    if (this.#wish !== undefined) {
      this.#isAllowed = false;
      const request = this.#wish.request + 1;
      this.#wish = { state: state === 'alone' ? 'alone-wanted' : state, request, why: reason };
      onNote();
      onWish(this.#wish);
    }
    onNote();
    this.#setGate();
    if (state === 'together') emit('info', 'TOGETHER', reason);
    else if (this.#wish === undefined) emit('error', 'GOES_ON_ALONE', reason);
  }
}
