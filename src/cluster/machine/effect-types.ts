// What a machine wants done. Effects are data; whoever runs the machine carries them out in order.
// Those with an `op` are answered by an event that carries the same number.
import type { CopyState, GroupBeat, Memo, Position } from './types.ts';

export type Effect =
  /**
   * Send this heartbeat at once over every network, stamped with the `nowMs` that was given to
   * `step` (not with a later time: leases are counted from it).
   */
  | { readonly kind: 'sendBeat'; readonly beat: GroupBeat }
  /**
   * Until when the filter may let mutating operations pass. It checks before an operation and again
   * before it answers, so that an operation that slept through the end is not acknowledged.
   * 0: not at all. Infinity: without limit (no arbiter).
   */
  | { readonly kind: 'setLease'; readonly untilMs: number }
  /** Arms the watchdog device with the lease; it is fed only while the lease is valid. */
  | { readonly kind: 'armWatchdog' }
  | { readonly kind: 'disarmWatchdog' }
  /** Asks whether the gateway answers. Answer: `gateway`, with the same `sentAtMs`. */
  | { readonly kind: 'probeGateway'; readonly sentAtMs: number }
  /**
   * Asks whether somebody serves behind the virtual address. What counts is an answer that needs a
   * living process (the application's own, or the heartbeat thread's): a kernel whose processes are
   * frozen still answers ARP and ping, and is no reason not to take over. Answer: `addressProbe`.
   */
  | { readonly kind: 'probeAddress'; readonly sentAtMs: number }
  /**
   * One linearizable step on the arbiter's record of the group (see arbiter-record.ts, which says
   * what each does). Answer: `arbiter`.
   */
  | {
      readonly kind: 'askArbiter';
      readonly op: number;
      readonly request: ArbiterRequest;
      readonly timeoutMs: number;
    }
  /** Switch the peer off for certain. Answer: `fence`. */
  | { readonly kind: 'fence'; readonly op: number; readonly timeoutMs: number }
  /**
   * Become primary with `epoch`, which is durably in the memo's `epoch` and `served` before anything
   * can be written: finish the journal,
   * mount the filter, with commits waiting until `allowAlone` or the mirror's own `together`.
   * `base`: where the other node closed its stream, or null after a failover. `accepts`: with
   * any other copy it fails; the mirror may know by now what the machine was not told yet. Answer:
   * `promoted` or `promoteFailed`.
   */
  | {
      readonly kind: 'promote';
      readonly op: number;
      readonly epoch: number;
      readonly base: Position | null;
      readonly accepts: readonly CopyState[];
    }
  /**
   * Cease to be primary and be a standby; also ends a promotion that is still going on. `drain`: first let the standby apply everything, within
   * `timeoutMs`. Answer: `demoted` or, only with `drain`, `demoteFailed`.
   */
  | {
      readonly kind: 'demote';
      readonly op: number;
      readonly drain: boolean;
      /** Nobody goes on with it: the data here stays what the last primary wrote, also after the next start. */
      readonly stays: boolean;
      readonly timeoutMs: number;
    }
  /**
   * Put the addresses on their interfaces and announce them. `force`: the other node is proven unable
   * to write, so they are taken even if a machine answers for them (the kernel of a node whose
   * processes are frozen still does). Otherwise such an answer is a failure. Answer: `addressTaken`
   * or `addressFailed`.
   */
  | { readonly kind: 'takeAddress'; readonly op: number; readonly force: boolean }
  /** Announce the addresses again: another node had them for a moment. */
  | { readonly kind: 'announceAddress' }
  | { readonly kind: 'releaseAddress'; readonly op: number }
  | { readonly kind: 'startApplication'; readonly op: number; readonly timeoutMs: number }
  | { readonly kind: 'stopApplication'; readonly op: number; readonly timeoutMs: number }
  /** End the application by every means: kill, unmount lazily. Answer: `applicationStopped`. */
  | { readonly kind: 'escalateStop'; readonly op: number; readonly timeoutMs: number }
  /** Nothing helps: end this machine (watchdog, reboot) before it does harm. */
  | { readonly kind: 'fenceSelf'; readonly why: string }
  /**
   * Commits need not wait for the standby, in answer to the mirror's `request` of that number only
   * (see the event `commits`). `recorded`: a takeover will know of it.
   */
  | { readonly kind: 'allowAlone'; readonly request: number; readonly recorded: boolean }
  /** Keep this durably. Answer: `persisted`. */
  | { readonly kind: 'persist'; readonly memo: Memo; readonly version: number }
  /** For log, events, console and mail, word for word. */
  | {
      readonly kind: 'emit';
      readonly level: 'info' | 'warning' | 'error';
      readonly code: string;
      readonly message: string;
    };

export type EffectOf<K extends Effect['kind']> = Extract<Effect, { readonly kind: K }>;

/** What each does to the record is in arbiter-record.ts. Every write changes the token. */
export type ArbiterRequest =
  | { readonly kind: 'read' }
  /** Takes the record for this node if it still has `token` (null: there is no record yet). */
  | {
      readonly kind: 'acquire';
      readonly epoch: number;
      readonly token: string | null;
      readonly alone: boolean;
    }
  /** Takes it whatever it is, unless its epoch is not below `epoch`: an operator has forced it. */
  | { readonly kind: 'seize'; readonly epoch: number; readonly alone: boolean }
  /**
   * Writes the record anew if this node holds it with `epoch` and it still has `token`: a request
   * that was given up and arrives late must not undo a later one.
   */
  | {
      readonly kind: 'renew';
      readonly epoch: number;
      readonly token: string;
      readonly alone: boolean;
    }
  /** As renew, and the record says that the node has ceased. */
  | {
      readonly kind: 'release';
      readonly epoch: number;
      readonly token: string;
      readonly alone: boolean;
    };
