// The state of a machine: orthogonal axes. Every object in here is replaced, never changed.
import type { NodeId } from '../../core/ids.ts';
import type { ArbiterRequest } from './effect-types.ts';
import type { Boot } from './event-types.ts';
import type {
  AloneMark,
  ArbiterRecord,
  CopyState,
  GroupBeat,
  Health,
  MachineConfig,
  Memo,
  Offer,
  Position,
  Role,
} from './types.ts';

export const ONLY_UP_TO_DATE: readonly CopyState[] = ['up-to-date'];

/** The way from standby to primary. */
export interface Promotion {
  /** By what right: the other's offer, the agreement of both, its proven silence, or an operator. */
  readonly right: 'offer' | 'election' | 'takeover' | 'forced';
  /**
   * `consent`: waits until the other grants, or has ceased. `fence`: waits for the fence agent.
   * `vote`: asks the arbiter. `wait`: lets a seized lease run out. `mount`: waits for the service.
   */
  readonly stage: 'consent' | 'fence' | 'vote' | 'wait' | 'mount';
  readonly epoch: number;
  readonly base: Position | null;
  /** Copies it may be promoted with: the mirror may begin a resync meanwhile. */
  readonly accepts: readonly CopyState[];
  readonly sinceMs: number;
  readonly stageSinceMs: number;
  readonly op: number;
  readonly why: string;
}

/** The way from primary to standby. A `handover` keeps the lease until the directories are unmounted. */
export interface Demotion {
  readonly cause: 'handover' | 'leave' | 'lease' | 'superseded' | 'yield' | 'aborted';
  readonly stage: 'application' | 'escalated' | 'unmount' | 'stuck';
  readonly op: number;
  readonly deadlineMs: number;
  readonly why: string;
  /**
   * What is done when somebody uses the directories: an operator who asked for it is told; where this node cannot serve any more,
   * they are ended by force, once.
   */
  readonly users: 'told' | 'ended' | 'gone';
}

export interface LeaseState {
  /** What the filter was told; 0 while no lease is held. */
  readonly untilMs: number;
  readonly byPeerMs: number;
  readonly byVoteMs: number;
  /** Since when this node asks for the lease of its present epoch: older grants do not count. */
  readonly askingSinceMs: number;
}

/** What this node promised. */
export interface Promise {
  readonly epoch: number;
  readonly untilMs: number;
}

export interface PeerState {
  /** Life of the peer's machine; 0 before the first heartbeat. */
  readonly life: number;
  /** Last heartbeat; the time of boot before the first one. */
  readonly heardMs: number;
  /** Since when heartbeats came without a silence. */
  readonly presentSinceMs: number;
  readonly beat: GroupBeat | null;
  readonly sentAtMs: number;
  /** When this node sent the newest heartbeat that the peer is known to have. */
  readonly heardBackMs: number;
  /** Proven to be switched off, and when that was said. */
  readonly offSinceMs: number | null;
  readonly left: boolean;
  /** The silence was told to people. */
  readonly silenceTold: boolean;
}

/** A question to the arbiter that is on its way. */
export interface ArbiterAsk {
  readonly op: number;
  readonly kind: ArbiterRequest['kind'];
  readonly alone: boolean;
  readonly sentAtMs: number;
}

/** The arbiter `etcd`. `known`: the record's token is what the last answer said, and no write is in doubt. */
export interface VoteState {
  readonly record: ArbiterRecord | null;
  /** When the present token was seen first; the lease behind it ends a lease later at most. */
  readonly observedMs: number;
  readonly known: boolean;
  readonly ask: ArbiterAsk | null;
  /** When the newest write that says "alone", and was done, was sent. */
  readonly aloneMs: number;
  readonly askedMs: number;
  /** When the oldest write was sent that had no answer and may be behind the next change of token. */
  readonly unansweredMs: number | null;
  /** The last write met another token of this node's own: to be written again at once. */
  readonly retry: boolean;
}

/** Of either arbiter. `sinceMs`: when the first question was sent that has had no answer since; null: it answers. */
export interface ArbiterSilence {
  readonly sinceMs: number | null;
  /** The sentence that people were told; empty: they were not. */
  readonly told: string;
}

/** Reachability of the gateway, without gaps since `runSinceMs`. */
export interface GatewayState {
  readonly runSinceMs: number;
  /** Since then, gaps were so short and so far apart that a peer which reached it too has heard us. */
  readonly audibleSinceMs: number;
  readonly lastOkMs: number;
  readonly probedMs: number;
}

/** What the virtual address answered to probes of the present silence. */
export interface AddressProbeState {
  readonly probedMs: number;
  readonly freeMs: number;
  readonly answersMs: number;
}

export type AddressState = 'released' | 'taking' | 'held' | 'releasing';
export type ApplicationState = 'stopped' | 'starting' | 'running' | 'restarting' | 'failed';

export interface ServiceState {
  readonly address: AddressState;
  readonly addressOp: number;
  /** Why the addresses could not be taken or kept last; empty: nothing was wrong. */
  readonly addressFault: string;
  /** Addresses are taken whoever answers for them. */
  readonly forceAddress: boolean;
  readonly application: ApplicationState;
  readonly applicationOp: number;
  /** When the application was restarted in place lately. */
  readonly restartsMs: readonly number[];
  readonly retryAtMs: number;
}

export interface HealthState {
  readonly disk: Health;
  readonly network: Health;
  readonly networkSinceMs: number;
  readonly application: Health;
  readonly applicationFailedMs: number;
  /** On a standby: its agents have no reason against a promotion. */
  readonly readiness: Health;
  readonly why: string;
}

/** Commits of a primary: wait for the standby, or not. */
export interface AloneState {
  readonly state: 'together' | 'recording' | 'allowed';
  readonly mark: AloneMark;
  readonly sinceMs: number;
  /** Number of the mirror's request that is answered. */
  readonly request: number;
  /** What the mirror wanted with that: commits of one that is together wait for the standby, whatever is recorded. */
  readonly mirror: 'together' | 'alone-wanted';
}

export interface MachineState {
  readonly config: MachineConfig;
  readonly life: number;
  readonly role: Role;
  /** Highest epoch that a node is known to have served with; for a primary its own. */
  readonly epoch: number;
  /** Highest epoch that anybody is known to have tried: the next attempt is above it. */
  readonly triedEpoch: number;
  readonly copy: CopyState;
  readonly data: Position;
  /** It is known that no acknowledged commit is missing here. Ends with every doubt. */
  readonly fresh: boolean;
  readonly promotion: Promotion | null;
  readonly demotion: Demotion | null;
  readonly lease: LeaseState;
  readonly granted: Promise | null;
  readonly peer: PeerState;
  readonly vote: VoteState;
  readonly gateway: GatewayState;
  readonly arbiterSilence: ArbiterSilence;
  readonly addressProbe: AddressProbeState;
  readonly service: ServiceState;
  readonly health: HealthState;
  readonly alone: AloneState;
  readonly memo: Memo;
  readonly memoVersion: number;
  readonly memoKept: number;
  readonly offer: Offer | null;
  readonly declined: number | null;
  /** Not one heartbeat was heard since the start, and nobody said anything else. */
  readonly booting: boolean;
  readonly leaving: boolean;
  readonly holdOffUntilMs: number;
  readonly holdOffMs: number;
  /** Since when all is well and the primary could go back to the preferred node. */
  readonly wellSinceMs: number;
  /** Handovers that came to nothing since this node serves: each interrupted the application. */
  readonly handoversFailed: number;
  /** Why it does not take over, as told last: told again only when it changes. */
  readonly waiting: string;
  readonly lastBeatMs: number;
  readonly lastStepMs: number;
  /** Since when this machine runs without a pause in which it would have heard nothing. */
  readonly awakeSinceMs: number;
  readonly nextOp: number;
  /** Last sentence for the operator. */
  readonly reason: string;
  /** The machine wants a tick at this time, besides the regular ones. */
  readonly wakeAtMs: number;
}

export const NEVER = Number.NEGATIVE_INFINITY;
/** The number of the taking that a machine with a primary from before begins with. */
export const ADOPTED_ADDRESS_OP = 0;
const OPS_PER_LIFE = 1e6;

/**
 * Numbers of operations are never used twice on a node: what a machine before this one had begun may still be going on, and
 * its result is for nobody.
 */
export function firstOp(life: number): number {
  return life * OPS_PER_LIFE + 1;
}

/** The state that a machine begins with; its first event should be a tick. */
export function initialState(config: MachineConfig, boot: Boot, nowMs: number): MachineState {
  const adopted = boot.running !== null;
  const epoch = boot.running?.epoch ?? Math.max(boot.memo.epoch, boot.position.epoch);
  const { running } = boot;
  // A lease that ended while the machine was away has ended for good: the first step finds it over.
  const isOver = running !== null && running.leaseUntilMs <= nowMs;
  const leaseUntilMs = isOver ? NEVER : (running?.leaseUntilMs ?? 0);
  return {
    config,
    life: boot.life,
    role: adopted ? 'primary' : 'standby',
    epoch,
    triedEpoch: Math.max(epoch, boot.memo.epoch),
    copy: boot.copy,
    data: boot.position,
    fresh: false,
    promotion: null,
    demotion: null,
    lease: {
      untilMs: leaseUntilMs,
      byPeerMs: leaseUntilMs,
      byVoteMs: 0,
      askingSinceMs: nowMs,
    },
    granted: null,
    peer: silentPeer(nowMs),
    vote: {
      record: null,
      observedMs: NEVER,
      known: false,
      ask: null,
      aloneMs: NEVER,
      askedMs: NEVER,
      unansweredMs: null,
      retry: false,
    },
    gateway: { runSinceMs: NEVER, audibleSinceMs: NEVER, lastOkMs: NEVER, probedMs: NEVER },
    arbiterSilence: { sinceMs: null, told: '' },
    addressProbe: { probedMs: NEVER, freeMs: NEVER, answersMs: NEVER },
    service: {
      // Whoever carries effects out takes them again by itself: they may have to be put back.
      address: running?.hasAddress === true ? 'taking' : 'released',
      addressOp: ADOPTED_ADDRESS_OP,
      addressFault: '',
      forceAddress: false,
      application: running?.runsApplication === true ? 'running' : 'stopped',
      applicationOp: 0,
      restartsMs: [],
      retryAtMs: NEVER,
    },
    health: {
      disk: 'ok',
      network: 'ok',
      networkSinceMs: nowMs,
      application: 'ok',
      applicationFailedMs: NEVER,
      readiness: 'ok',
      why: '',
    },
    alone: {
      state: adopted ? 'recording' : 'together',
      mark: { epoch, count: boot.life * 1000 + 1 },
      sinceMs: nowMs,
      request: 0,
      mirror: 'alone-wanted',
    },
    memo: boot.memo,
    memoVersion: 0,
    memoKept: 0,
    offer: null,
    declined: null,
    booting: !adopted,
    leaving: false,
    holdOffUntilMs: NEVER,
    holdOffMs: config.timings.holdOffMs,
    wellSinceMs: nowMs,
    handoversFailed: 0,
    waiting: '',
    lastBeatMs: NEVER,
    lastStepMs: nowMs,
    awakeSinceMs: nowMs,
    nextOp: firstOp(boot.life),
    reason: adopted ? 'goes on as primary after a restart of the service' : 'started as standby',
    wakeAtMs: Number.POSITIVE_INFINITY,
  };
}

function silentPeer(nowMs: number): PeerState {
  return {
    life: 0,
    heardMs: nowMs,
    presentSinceMs: nowMs,
    beat: null,
    sentAtMs: NEVER,
    heardBackMs: NEVER,
    offSinceMs: null,
    left: false,
    silenceTold: false,
  };
}

/**
 * The memo of a group that was just created: the creator's data is the group's data, as if it had
 * served before; the other node has nothing yet.
 */
export function firstMemo(isCreator: boolean): Memo {
  const served = isCreator ? 1 : 0;
  return { epoch: 1, served, stale: false, aloneSeen: null, paused: { on: false, version: 0 } };
}

/** Whether the application can be run here, as far as is known: it failed lately, or its agents see a reason. */
export function applicationHealth({ role, health }: MachineState): Health {
  const isUnready = role === 'standby' && health.readiness === 'failed';
  return isUnready ? 'failed' : health.application;
}

/** True when `a` goes further than `b`. */
export function isAhead(a: Position, b: Position): boolean {
  return a.epoch > b.epoch || (a.epoch === b.epoch && a.sequence > b.sequence);
}

export function isSamePosition(a: Position, b: Position): boolean {
  return a.epoch === b.epoch && a.sequence === b.sequence;
}

/** Data that was lost or overwritten says nothing about what was acknowledged once. */
export function isIntact(copy: CopyState): boolean {
  return copy === 'up-to-date' || copy === 'catching-up' || copy === 'halted';
}

/** False: etcd was set up anew, or put back to an earlier state; somebody has served after what it says. */
export function isCurrent(
  { epoch }: MachineState,
  record: ArbiterRecord | null,
): record is ArbiterRecord {
  return record !== null && record.epoch >= epoch;
}

/**
 * This node's data has every acknowledged commit, if nobody served with a higher epoch than it knows of:
 * it was told so, or it served last itself.
 */
export function isComplete(s: MachineState): boolean {
  const { record } = s.vote;
  // It got the record last, for which it had to be complete; whether it came to serve or not.
  if (isCurrent(s, record) && isSelf(s, record.holder)) return true;
  return s.fresh || (s.memo.served > 0 && s.memo.served >= s.epoch);
}

/** This node was told that acknowledged commits are missing here. */
export function isStale(s: MachineState): boolean {
  const { record } = s.vote;
  // What it was told before it served last was given up by whoever let it serve.
  if (isCurrent(s, record) && record.alone && isSelf(s, record.holder)) return false;
  return s.memo.stale || (record !== null && record.alone && !isSelf(s, record.holder));
}

export function isSelf(state: MachineState, node: NodeId): boolean {
  return node === state.config.self.id;
}

/** The peer was fenced, or said goodbye. */
export const isGone = ({ left, offSinceMs }: PeerState): boolean => left || offSinceMs !== null;
