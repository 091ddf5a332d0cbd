// What a test and the process that runs the filter for it say to each other.
import type { RewriteAlarm } from '../../src/mirror/guard/rewrite-alarm.ts';
import type { Difference } from '../../src/mirror/applier/verification.ts';
import type { ScanPlan } from '../../src/filter/scanner.ts';

/** First argument of the process, as JSON. */
export interface MirrorProcessOptions {
  /** The protected directory, and the directory that becomes its copy. */
  readonly a: string;
  readonly b: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** Record from the first request on; otherwise only after a scan was asked for. */
  readonly captureFromStart: boolean;
  readonly ringBytes: number;
  /** Records are kept for {@link MirrorCounters.records} up to this many. */
  readonly recordsKept: number;
  /** File that gets a line per record, for hunting. */
  readonly logFile: string | undefined;
  /** Directories to be taken out of sight when the test process is gone. */
  readonly cleanUp: readonly string[];
  /** The process ends by itself after this, so that no test can hang on its mount for ever. */
  readonly lifetimeMs: number;
  /** Look at the records as the ransomware guard of a standby does. */
  readonly isGuarded: boolean;
  /** See the filter's option of that name. */
  readonly leaseFile: string | null;
}

/** See applier/trust.ts, ms; null: nothing is trusted; `always`: the copy is of the same stream. */
export type TrustedSince = number | null | 'always';

/** A record as tests look at it. */
export interface SeenRecord {
  readonly type: string;
  readonly path: string;
  readonly path2: string;
  readonly offset: number;
  readonly length: number;
  readonly payloadBytes: number;
}

export type MirrorRequest =
  | { readonly type: 'quiesce' }
  | { readonly type: 'scan'; readonly plan: ScanPlan; readonly trust: TrustedSince }
  /** Marks the stream; the answer has the point. */
  | { readonly type: 'mark' }
  /** Stop or go on applying; the ring fills meanwhile. */
  | { readonly type: 'hold'; readonly held: boolean }
  /** Compares; the answer has what was found. */
  | { readonly type: 'verify' }
  | { readonly type: 'counters' }
  | { readonly type: 'disable' }
  /**
   * Whether commits wait until the copy has them. They are confirmed as soon as it does, or else by
   * `confirm`.
   */
  | { readonly type: 'gate'; readonly closed: boolean; readonly confirms: boolean }
  | { readonly type: 'confirm' }
  | { readonly type: 'detach' }
  | { readonly type: 'unmount' };

export interface MirrorCounters {
  /** Number of records per type name since the start. */
  readonly byType: Readonly<Record<string, number>>;
  /** The last records, oldest first; asking empties the list. */
  readonly records: readonly SeenRecord[];
  readonly descriptors: number;
  readonly rssBytes: number;
  readonly heapBytes: number;
  /** Contents that a scan sent, bytes. */
  readonly sentBytes: number;
  /** What a scan or a comparison could not read, so that it has ended without a result. */
  readonly fault: string | undefined;
  /** Bytes announced by hash since the start, per path. */
  readonly hashedBytes: Readonly<Record<string, number>>;
  /** Answer to `mark`. */
  readonly point: { readonly sequence: number; readonly wallMs: number } | null;
  /** What comparisons found since they were asked for last. */
  readonly differences: readonly Difference[];
  readonly busy?: string;
  /** Files that the guard holds for spoilt, and the alarms that it raised since the start. */
  readonly spoilt: number;
  readonly alarms: readonly RewriteAlarm[];
  /** How often the filter said that the stream lacks something. */
  readonly scansNeeded: number;
  /** Whoever comes after it would know that too. */
  readonly lacksScan: boolean;
}

/** Process → test: an answer to the request of this number, or bad news. */
export type MirrorReply =
  | { readonly id: number; readonly counters: MirrorCounters }
  | { readonly ready: true }
  | { readonly failed: string };
