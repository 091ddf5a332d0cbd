// What a primary puts into its stream besides changes: the first copy and resyncs (scans), and comparisons; how far each is.
import { UnderstudyError } from '../core/errors.ts';
import type { Filter } from '../filter/filter.ts';
import type { ScanPlan, ScanProgress } from '../filter/scanner.ts';
import type { Marks } from '../journal/marks.ts';
import type { ScanWish } from '../mirror/link/messages.ts';
import type { Sender } from '../mirror/sender.ts';
import type { ControlEvent } from './control-channel.ts';
import { ScanEstimate } from './scan-estimate.ts';

const SCANS = {
  full: 'the first copy begins',
  hash: 'both copies are compared, differences are sent',
  changed: 'what was changed since both were known to be equal is compared, differences are sent',
} as const;
/** Until a scan that met something unreadable is tried again: longer each time. */
const RETRY_MS = 30_000;
const RETRY_MS_MAX = 600_000;
const NOTHING: ScanProgress = { files: 0, bytes: 0, sentBytes: 0 };

interface UnderWay {
  progress: ScanProgress;
  readonly estimate: ScanEstimate;
}

export interface PrimaryScansOptions {
  readonly group: string;
  readonly filter: Filter;
  /** Undefined: the group has no standby. */
  readonly sender: Sender | undefined;
  readonly marks: Marks;
  readonly emit: (level: ControlEvent['level'], code: string, message: string) => void;
}

export class PrimaryScans {
  readonly #options: PrimaryScansOptions;
  #scan: (UnderWay & { readonly plan: ScanPlan }) | undefined;
  #verify: UnderWay | undefined;
  /** Why the last scan came to nothing, how often in a row, and when it is tried again. */
  #failure:
    | { readonly why: string; readonly times: number; readonly retry: NodeJS.Timeout }
    | undefined;

  /** A comparison that begins as soon as the standby can take it. */
  #isOwed = false;

  constructor(options: PrimaryScansOptions) {
    this.#options = options;
  }

  /** A scan is under way. */
  get isScanning(): boolean {
    return this.#scan !== undefined;
  }

  /** The standby wants to be completed. */
  onWanted(wish: ScanWish): void {
    this.start(this.#planOf(wish));
  }

  #planOf({ mode, since }: ScanWish): ScanPlan {
    if (mode !== 'changed') return { mode };
    const mark = since === null ? undefined : this.#options.marks.upTo(since);
    return mark === undefined
      ? { mode: 'hash' }
      : { mode, sinceMs: mark.wallMs, sinceSequence: mark.sequence };
  }

  /**
   * Compares and completes the standby's copy once more. One that is halted would refuse that, and everything behind
   * it in the stream; it goes on receiving, and is compared when a person has decided.
   */
  rescan(): void {
    this.#isOwed = true;
    this.onCopy();
  }

  /** As {@link rescan}, for somebody who can come again. Errors: COPY_HALTED. */
  repair(): void {
    const { group, sender } = this.#options;
    if (sender?.copy === 'halted') {
      const why = `nothing is applied to the copy of group ${group} before a person says so`;
      const way = `see "understudy status"; "understudy accept ${group}" on its node lets it go on`;
      throw new UnderstudyError('COPY_HALTED', `${why}: ${way}`);
    }
    this.rescan();
  }

  /** The standby has told how its copy is. */
  onCopy(): void {
    const copy = this.#options.sender?.copy;
    if (this.#isOwed && copy !== undefined && copy !== 'halted') this.start({ mode: 'hash' });
  }

  start(plan: ScanPlan): void {
    this.#isOwed = false;
    this.#begin(plan);
    const why = `the standby's copy is not complete: ${SCANS[plan.mode]}`;
    this.#options.emit('info', 'SCAN_STARTED', why);
  }

  #begin(plan: ScanPlan): void {
    const { filter } = this.#options;
    clearTimeout(this.#failure?.retry);
    this.#scan?.estimate.stop();
    this.#scan = { plan, progress: NOTHING, estimate: new ScanEstimate(filter.underneath) };
    filter.scan(plan);
  }

  /** `fault`: what could not be read, so that the scan has ended without a copy. */
  onProgress(progress: ScanProgress, finished: boolean, fault?: string): void {
    if (this.#scan === undefined) return;
    this.#scan.progress = progress;
    if (fault !== undefined) return this.#fail(this.#scan.plan, fault);
    if (!finished) return;
    const { files, bytes, sentBytes } = progress;
    const what = this.#scan.plan.mode === 'full' ? 'the first copy' : 'the comparison';
    this.giveUp();
    this.#options.emit(
      'info',
      'SCAN_SENT',
      `${what} is through: ${files} objects, ${bytes} bytes, of which ${sentBytes} had to travel`,
    );
  }

  /** A copy that lacks something must not pass for a complete one: it stays amid the scan until that can be read. */
  #fail(plan: ScanPlan, fault: string): void {
    const times = (this.#failure?.times ?? 0) + 1;
    const why = `${fault}: the standby's copy stays incomplete until it can be. Check that disk; restore the file, or leave it out by a pattern`;
    const isKnown = this.#failure?.why === why;
    this.giveUp();
    const pauseMs = Math.min(times * RETRY_MS, RETRY_MS_MAX);
    this.#failure = { why, times, retry: setTimeout(() => this.#retry(plan), pauseMs) };
    if (!isKnown) this.#options.emit('error', 'SCAN_FAILED', `${why}. It is tried again`);
  }

  /** A standby that is not there, and for which nothing is kept, asks for a scan when it comes. */
  #retry(plan: ScanPlan): void {
    const { sender } = this.#options;
    if (sender?.copy === 'halted') this.#isOwed = true;
    else if (sender?.isHolding === true) this.#begin(plan);
  }

  /** The scan is over, or what it was for. */
  giveUp(): void {
    clearTimeout(this.#failure?.retry);
    this.#failure = undefined;
    this.#scan?.estimate.stop();
    this.#scan = undefined;
  }

  /**
   * Begins to compare both copies; the standby has the result (its status, VERIFY_EQUAL, VERIFY_DIFFERS).
   * Errors: VERIFY_NOT_POSSIBLE, VERIFY_RUNNING.
   */
  verify(): void {
    const { group, filter, sender, emit } = this.#options;
    const copy = sender?.copy ?? 'unknown';
    const isComplete = copy === 'up-to-date' || copy === 'catching-up';
    if (!isComplete || this.#scan !== undefined || sender?.link.state !== 'connected') {
      const link = sender?.link.state ?? 'none';
      throw new UnderstudyError(
        'VERIFY_NOT_POSSIBLE',
        `the copy of group ${group} is ${copy} (link ${link}): there is nothing to compare with before "understudy status" shows up-to-date`,
      );
    }
    if (this.#verify !== undefined)
      throw new UnderstudyError('VERIFY_RUNNING', `group ${group} is being compared already`);
    this.#verify = { progress: NOTHING, estimate: new ScanEstimate(filter.underneath) };
    filter.verify();
    emit('info', 'VERIFY_STARTED', 'both copies are compared while applications work');
  }

  /** `fault`: what could not be read, so that there is no result. */
  onVerifyProgress(progress: ScanProgress, finished: boolean, fault?: string): void {
    if (this.#verify === undefined) return;
    this.#verify.progress = progress;
    if (!finished) return;
    if (fault !== undefined) {
      this.#options.emit('error', 'VERIFY_FAILED', `the comparison has no result: ${fault}`);
    }
    this.#verify.estimate.stop();
    this.#verify = undefined;
  }

  /** Part of the status of the process; `verify`: a comparison whose records are not all in the stream yet. */
  get status(): Record<string, unknown> {
    const [scan, verify] = [this.#scan, this.#verify];
    return {
      scan: scan === undefined ? null : { mode: scan.plan.mode, ...progressOf(scan) },
      scanFault: this.#failure?.why ?? null,
      verify: verify === undefined ? null : progressOf(verify),
    };
  }

  stop(): void {
    clearTimeout(this.#failure?.retry);
    this.#scan?.estimate.stop();
    this.#verify?.estimate.stop();
  }
}

const progressOf = ({ progress, estimate }: UnderWay): object => ({
  ...progress,
  ...estimate.against(progress),
});
