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
  #scan: (UnderWay & { readonly mode: ScanPlan['mode'] }) | undefined;
  #verify: UnderWay | undefined;

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

  start(plan: ScanPlan): void {
    const { filter, emit } = this.#options;
    const { mode } = plan;
    this.#scan?.estimate.stop();
    this.#scan = { mode, progress: NOTHING, estimate: new ScanEstimate(filter.underneath) };
    filter.scan(plan);
    emit('info', 'SCAN_STARTED', `the standby's copy is not complete: ${SCANS[mode]}`);
  }

  onProgress(progress: ScanProgress, finished: boolean): void {
    if (this.#scan === undefined) return;
    this.#scan.progress = progress;
    if (!finished) return;
    const { files, bytes, sentBytes } = progress;
    const what = this.#scan.mode === 'full' ? 'the first copy' : 'the comparison';
    this.giveUp();
    this.#options.emit(
      'info',
      'SCAN_SENT',
      `${what} is through: ${files} objects, ${bytes} bytes, of which ${sentBytes} had to travel`,
    );
  }

  /** The scan is over, or what it was for. */
  giveUp(): void {
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

  onVerifyProgress(progress: ScanProgress, finished: boolean): void {
    if (this.#verify === undefined) return;
    this.#verify.progress = progress;
    if (!finished) return;
    this.#verify.estimate.stop();
    this.#verify = undefined;
  }

  /** Part of the status of the process; `verify`: a comparison whose records are not all in the stream yet. */
  get status(): Record<string, unknown> {
    const [scan, verify] = [this.#scan, this.#verify];
    return {
      scan: scan === undefined ? null : { mode: scan.mode, ...progressOf(scan) },
      verify: verify === undefined ? null : progressOf(verify),
    };
  }

  stop(): void {
    this.#scan?.estimate.stop();
    this.#verify?.estimate.stop();
  }
}

const progressOf = ({ progress, estimate }: UnderWay): object => ({
  ...progress,
  ...estimate.against(progress),
});
