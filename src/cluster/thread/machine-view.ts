// What status, API and console show of a machine: sent whenever it changes. Nothing in it changes with
// every heartbeat.
import { applicationHealth, type MachineState } from '../machine/state.ts';

/** A copy, so that it can cross a thread border. */
export interface MachineView {
  readonly role: MachineState['role'];
  readonly epoch: number;
  readonly copy: MachineState['copy'];
  readonly fresh: boolean;
  readonly stale: boolean;
  readonly hasLease: boolean;
  readonly alone: MachineState['alone']['state'];
  readonly address: MachineState['service']['address'];
  readonly application: MachineState['service']['application'];
  readonly paused: boolean;
  readonly booting: boolean;
  /** It has said goodbye, or is about to: see the command `leave`. */
  readonly leaving: boolean;
  /** The other node may take the group, and has not yet. */
  readonly offers: boolean;
  readonly peerRole: MachineState['role'] | null;
  readonly peerCopy: MachineState['copy'] | null;
  readonly health: {
    readonly disk: string;
    readonly network: string;
    readonly application: string;
  };
  /** Sentences for the operator. */
  readonly reason: string;
  readonly waiting: string;
  /** Since when and why the arbiter does not answer; empty: it does. */
  readonly arbiterTrouble: string;
}

export function machineView(s: MachineState): MachineView {
  const { disk, network } = s.health;
  return {
    role: s.role,
    epoch: s.epoch,
    copy: s.copy,
    fresh: s.fresh,
    stale: s.memo.stale,
    hasLease: s.lease.untilMs > 0,
    alone: s.alone.state,
    address: s.service.address,
    application: s.service.application,
    paused: s.memo.paused.on,
    booting: s.booting,
    leaving: s.leaving,
    offers: s.offer !== null,
    peerRole: s.peer.beat?.role ?? null,
    peerCopy: s.peer.beat?.copy ?? null,
    health: { disk, network, application: applicationHealth(s) },
    reason: s.reason,
    waiting: s.waiting,
    arbiterTrouble: s.arbiterSilence.told,
  };
}

/** It has said goodbye: another machine has to take its place before this node takes part again. */
export const hasLeft = ({ role, leaving }: MachineView): boolean => role === 'standby' && leaving;
