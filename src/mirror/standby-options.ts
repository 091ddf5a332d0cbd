// What a standby is told when it is made, what it tells others, and what it leaves.
import type { PatternTexts } from '../core/patterns.ts';
import type { Halt } from './guard/apply-gate.ts';
import type { DeletionLimits } from './guard/deletion-watch.ts';
import type { CopyState } from './link/frame.ts';
import type { StreamPosition } from './link/messages.ts';
import type { LinkIdentity } from './link/tls.ts';
import type { EventDetails, EventLevel } from './receiver.ts';
import type { UndoLimits } from './undo-host.ts';
import type { VerifyReportData } from './verify-report.ts';

export interface StandbyOptions {
  readonly group: string;
  readonly groupId: string;
  readonly epoch: number;
  readonly host: string;
  readonly port: number;
  readonly peerCertificate: string;
  readonly identity: LinkIdentity;
  readonly linkTimeoutMs: number;
  readonly stateDirectory: string;
  /** Descriptors of the protected directories, by index in the group. */
  readonly directories: readonly {
    readonly dir: string;
    readonly fd: number;
    /** What of it is mirrored; all of it when they are left out. */
    readonly patterns?: PatternTexts;
  }[];
  readonly journalBytesMax: number;
  /** When the removal of files halts the applying; null: never. */
  readonly deletions: DeletionLimits | null;
  /** What mass encryption does: nothing, an alarm, or an alarm and a halt. */
  readonly guard: 'off' | 'alarm' | 'halt';
  readonly segmentBytes?: number;
  /** What this node knows of its data; outlives `stateDirectory`, see journal/marks.ts. */
  readonly marksFile: string;
  /** Result of the last comparison; outlives `stateDirectory`. */
  readonly verifyFile: string;
  /** Where the data stands when `stateDirectory` has no state yet; null: nothing is known. */
  readonly holds: StreamPosition | null;
  /** How the directories lost nearly everything since the last process, as a sentence; null: they did not. */
  readonly emptied: string | null;
  /** How much is kept to take the copy back; nothing when it is left out. */
  readonly undo?: UndoLimits;
  /** Where data is kept aside that this node has of its own; undefined: nothing is. */
  readonly salvage?: SalvagePlace;
}

export interface SalvagePlace {
  /** Outlives `stateDirectory`. */
  readonly directory: string;
  /** What is there before the first copy is a base by the operator's word: it is not kept aside. */
  readonly isBase: boolean;
}

export interface StandbyHandlers {
  onEvent(level: EventLevel, code: string, message: string, details: EventDetails): void;
  /** The process has to end; what it knows is on disk, a new one goes on from there. */
  onFatal(error: unknown): void;
}

/** What `status` shows. */
export interface StandbyStatus {
  readonly epoch: number;
  readonly copy: CopyState;
  readonly streamId: string | null;
  readonly receivedSequence: number;
  readonly durableSequence: number;
  readonly appliedSequence: number;
  readonly checkpointSequence: number;
  readonly link: 'connected' | 'waiting';
  readonly journalBytes: number;
  readonly receivedBytes: number;
  /** Why nothing is applied at present; null when all is well. */
  readonly blocked: string | null;
  /** The last comparison of this copy with the primary. */
  readonly verify: VerifyReportData;
  /** Why nothing is applied before a person says so; null when all is well. */
  readonly halted: Halt | null;
  /** Bytes of the stream received since the scan began. */
  readonly scan: { readonly bytes: number } | null;
  /** Where the data stands that there would be to promote. */
  readonly data: { readonly epoch: number; readonly sequence: number };
  /** A scan runs over a copy that stays usable as it was then (ms, this node's clock); null: none. */
  readonly stagedSinceMs: number | null;
  /** It was taken back by an operator, to be promoted: no primary is taken. */
  readonly rewound: boolean;
}

/** What a finished standby leaves. */
export interface FinishedStandby extends StreamPosition {
  readonly copy: CopyState;
  /** Records that were received but could not be applied. */
  readonly journaledButLost: number;
  /** It is an earlier state than one that this node has told of: no stream carries on from it. */
  readonly isOld?: true;
}
