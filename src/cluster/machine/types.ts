// The words that the deciding machine, heartbeats, arbiters, addresses, fencing and the service share.
// Nothing in here does anything. Events and effects are in event-types.ts and effect-types.ts.
//
// All times are milliseconds on the node's own monotonic clock that counts suspend (CLOCK_BOOTTIME),
// unless a field says that it is the peer's. The machine never sees a wall clock.
import type { NodeId } from '../../core/ids.ts';
import type { Timings } from './timings.ts';

/**
 * What a node is for a group. `promoting` and `demoting` are the ways between the two: a promoting
 * node may already hold a lease, a demoting one never does.
 */
export type Role = 'standby' | 'promoting' | 'primary' | 'demoting';

/** State of the data on this node; a primary's own data is `up-to-date` unless its disk failed. */
export type CopyState = 'up-to-date' | 'catching-up' | 'syncing' | 'diverged' | 'failed' | 'halted';

/** How far data goes: epochs first, then sequences. */
export interface Position {
  readonly epoch: number;
  readonly sequence: number;
}

/**
 * One decision of a primary to acknowledge commits that the standby does not have. `count` grows
 * within an epoch.
 */
export interface AloneMark {
  readonly epoch: number;
  readonly count: number;
}

/** A promise not to take over before a lease has run out. */
export interface Grant {
  /** Epoch that the receiver of the promise serves, or wants to serve, with. */
  readonly epoch: number;
  /** Life of the receiver of the promise (see {@link PeerInfo.life}). */
  readonly life: number;
  /** When the receiver sent the heartbeat that is answered, on the *receiver's* clock. */
  readonly sentAtMs: number;
}

/** "I have stopped; you may be primary with this epoch from this position." */
export interface Offer {
  readonly epoch: number;
  readonly position: Position;
}

/** Maintenance mode; the higher version wins, so both nodes agree in the end. */
export interface PauseMark {
  readonly on: boolean;
  readonly version: number;
}

export type Health = 'ok' | 'failed';

/**
 * What a heartbeat says about one group. The datagram around it (see `heartbeat/`) carries the
 * sender's life, a sequence number common to all networks, the time it was sent, and the newest
 * time of ours that the sender has seen.
 */
export interface GroupBeat {
  readonly role: Role;
  /** Highest epoch that the sender knows of; for promoting and primary, its own. */
  readonly epoch: number;
  /** Highest epoch that the sender knows anybody to have tried. */
  readonly tried: number;
  /** Epoch that the sender served with last, as its memo says; 0: never, or the memo was lost. */
  readonly served: number;
  readonly data: Position;
  readonly copy: CopyState;
  /** The sender was told that its data lacks acknowledged commits. */
  readonly stale: boolean;
  /**
   * The sender knows that its data has every acknowledged commit, as far as nobody served with an
   * epoch above `epoch`.
   */
  readonly fresh: boolean;
  /** A primary that acknowledges, or is about to acknowledge, commits without the standby. */
  readonly alone: AloneMark | null;
  /**
   * The newest mark of the receiver that the sender has noted; under an engine that votes, so that it
   * survives a crash.
   */
  readonly aloneSeen: AloneMark | null;
  /** The sender holds or wants a lease for its `epoch`. */
  readonly asks: boolean;
  readonly grant: Grant | null;
  readonly offer: Offer | null;
  /** Epoch of an offer that the sender could not take. */
  readonly declined: number | null;
  /** An operator wants the sender to be primary with this epoch: the receiver must cease. */
  readonly demand: number | null;
  /** Disk and networks of the sender, and whether the application could be run there lately. */
  readonly disk: Health;
  readonly network: Health;
  readonly application: Health;
  readonly paused: PauseMark;
  /** The sender's service ends on purpose: it will not take over before it has heard from us. */
  readonly leaving: boolean;
}

/** Who decides when the nodes do not hear each other. See design.md, section 11. */
export type ArbiterKind = 'etcd' | 'gateway' | 'none';

/**
 * `required`: no promotion over a silent primary before a fence agent has said that it is off.
 * `best-effort`: asked first, but the arbiter's word is enough when the agent fails.
 */
export type FencingPolicy = 'off' | 'required' | 'best-effort';

export interface NodeRef {
  readonly id: NodeId;
  /** For sentences. */
  readonly name: string;
}

/** What does not change while a machine runs. Checked by `checkConfig` of config-check.ts. */
export interface MachineConfig {
  readonly group: string;
  readonly self: NodeRef;
  readonly peer: NodeRef;
  readonly mode: 'sync' | 'memory' | 'async';
  readonly arbiter: ArbiterKind;
  readonly fencing: FencingPolicy;
  /** The group has virtual addresses. */
  readonly hasAddress: boolean;
  /** The group has an application to start. */
  readonly hasApplication: boolean;
  /** Takes over by itself; otherwise only commands move the primary. */
  readonly automatic: boolean;
  /** Takes over even when it cannot be excluded that acknowledged commits are missing here. */
  readonly availabilityFirst: boolean;
  /** Node that leads when both are equal, and that `failback` brings the primary back to. */
  readonly preferred: NodeId | null;
  readonly failback: boolean;
  readonly timings: Timings;
}

/** The arbiter's record of a group: who may serve, and whether its data is ahead of the other's. */
export interface ArbiterRecord {
  /** Node that served last, or serves. */
  readonly holder: NodeId;
  /** The holder has ceased and does not hold a lease. */
  readonly released: boolean;
  readonly epoch: number;
  /** The holder has, or may have, acknowledged commits that the other node does not have. */
  readonly alone: boolean;
  /** Changes with every write of the record (etcd: mod_revision). */
  readonly token: string;
}

/** What must survive a crash of the machine's own; kept by the effect `persist`. */
export interface Memo {
  readonly epoch: number;
  /** Epoch that this node served with last; 0: never. */
  readonly served: number;
  readonly stale: boolean;
  readonly aloneSeen: AloneMark | null;
  readonly paused: PauseMark;
}
