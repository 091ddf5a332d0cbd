// What happens to a machine. Results carry the `op` of the effect they answer; the machine ignores
// results of operations that it has given up.
import type { ArbiterRecord, CopyState, GroupBeat, Health, Memo, Position } from './types.ts';

/** What an operator may ask for. */
export type Command =
  /** Move the primary to the other node without losing anything; may be given on either node. */
  | { readonly kind: 'switchover' }
  /**
   * Make this node the primary without the consent of the other. `force`: the operator knows that
   * the other one does not serve. `acceptStale`: acknowledged commits may be missing here.
   * `acceptIncomplete`: even a copy that was never complete.
   * `acceptHalted`: a copy as of before its applying was halted.
   */
  | {
      readonly kind: 'takeover';
      readonly force: boolean;
      readonly acceptStale: boolean;
      readonly acceptIncomplete: boolean;
      readonly acceptHalted: boolean;
    }
  /** Maintenance: nothing moves, restarts or fails over by itself until `resume`. */
  | { readonly kind: 'pause' }
  | { readonly kind: 'resume' }
  /** This primary gives up in favour of the other one (end of a split brain). */
  | { readonly kind: 'yield' }
  /** The application may be tried again here: forget its failures. */
  | { readonly kind: 'clear-failures' }
  /**
   * This machine is about to be shut down: a primary hands over, or stops in order when the other node cannot take over. The node
   * takes no part any more until its next start.
   */
  | { readonly kind: 'leave' };

export type MachineEvent =
  /** To be sent every `heartbeatIntervalMs`, and at `wakeAtMs` of the state. */
  | { readonly kind: 'tick' }
  /** The newest heartbeat of the peer, by its sequence number: older ones and doubles are dropped before. */
  | {
      readonly kind: 'heartbeat';
      /** Number of the sender's start, which grows: a peer with another life has forgotten everything. */
      readonly life: number;
      /** On the peer's clock. */
      readonly sentAtMs: number;
      /** `sentAtMs` of the newest heartbeat of this machine's life that the peer has received. */
      readonly heardBackMs: number | null;
      readonly beat: GroupBeat;
    }
  /** A network between the nodes began or ceased to carry heartbeats; for people only. */
  | { readonly kind: 'network'; readonly name: string; readonly up: boolean }
  /** Answer to `probeGateway`: `reachable` false after a timeout shorter than two intervals. */
  | { readonly kind: 'gateway'; readonly sentAtMs: number; readonly reachable: boolean }
  /** Answer to `probeAddress`. */
  | { readonly kind: 'addressProbe'; readonly sentAtMs: number; readonly answers: boolean }
  /** Answer to `askArbiter`. */
  | {
      readonly kind: 'arbiter';
      readonly op: number;
      /**
       * `done`: read, or written as asked; `record` is what is there now.
       * `conflict`: not written, since the condition does not hold; `record` is what is there.
       * `unreachable`: no answer in time; a write may have happened or may still happen.
       */
      readonly result: 'done' | 'conflict' | 'unreachable';
      readonly record: ArbiterRecord | null;
      /** For `unreachable`: a sentence. */
      readonly why: string;
    }
  /** The arbiter's record has changed, says a watch: worth a look, and nothing more. */
  | { readonly kind: 'arbiterChanged' }
  /** Answer to `fence`: `off` true only when the agent has confirmed it. */
  | { readonly kind: 'fence'; readonly op: number; readonly off: boolean; readonly message: string }
  /**
   * Health of this node. `network`: the card that clients come in through. `readiness`: what the agents of
   * a standby say about a promotion.
   */
  | {
      readonly kind: 'health';
      readonly part: 'disk' | 'network' | 'readiness';
      readonly state: Health;
      readonly why: string;
    }
  /**
   * State of the data here: of the copy on a standby, of what was captured on a primary. The
   * position's epoch is that of the stream that a standby follows, also before its first record.
   */
  | { readonly kind: 'copy'; readonly copy: CopyState; readonly position: Position }
  /**
   * The primary's mirror. `alone-wanted`: commits wait for a standby that does not answer.
   * `together`: the standby has everything, and from now on commits wait for it. `request` grows with
   * every change of the mirror's mind and begins with 1, wanted, at a start: `allowAlone` names the
   * request it answers, and the mirror does not act on an answer to an older one.
   */
  | {
      readonly kind: 'commits';
      readonly state: 'alone-wanted' | 'together';
      readonly request: number;
      readonly why: string;
    }
  /** The application by its probe. */
  | { readonly kind: 'application'; readonly state: 'ok' | 'failed' | 'hung'; readonly why: string }
  /** Somebody else uses a virtual address that is held here; `released`: this node gave its addresses up for it. */
  | { readonly kind: 'addressConflict'; readonly why: string; readonly released: boolean }
  /** Results of effects. */
  | { readonly kind: 'promoted'; readonly op: number; readonly position: Position }
  | { readonly kind: 'promoteFailed'; readonly op: number; readonly message: string }
  /** `clean`: the stream was drained and closed at `position`. */
  | {
      readonly kind: 'demoted';
      readonly op: number;
      readonly clean: boolean;
      readonly copy: CopyState;
      readonly position: Position;
    }
  /** The demotion was refused and everything runs as before. `isBusy`: since somebody uses a directory. */
  | {
      readonly kind: 'demoteFailed';
      readonly op: number;
      readonly isBusy: boolean;
      readonly message: string;
    }
  | { readonly kind: 'addressTaken'; readonly op: number }
  | { readonly kind: 'addressFailed'; readonly op: number; readonly message: string }
  | { readonly kind: 'addressReleased'; readonly op: number }
  | { readonly kind: 'applicationStarted'; readonly op: number }
  | { readonly kind: 'applicationStartFailed'; readonly op: number; readonly message: string }
  | { readonly kind: 'applicationStopped'; readonly op: number }
  | { readonly kind: 'applicationStopFailed'; readonly op: number; readonly message: string }
  | { readonly kind: 'persisted'; readonly version: number }
  | { readonly kind: 'command'; readonly command: Command };

/** With what a machine starts. */
export interface Boot {
  /** Grows with every start of the machine on this node; kept durably. */
  readonly life: number;
  readonly memo: Memo;
  readonly copy: CopyState;
  readonly position: Position;
  /** The group process survived the machine: it still runs as primary with this lease. */
  readonly running: {
    readonly epoch: number;
    readonly leaseUntilMs: number;
    readonly hasAddress: boolean;
    readonly runsApplication: boolean;
  } | null;
}
