// What the service and the cluster process say to each other over the control channel.
//
//   service → cluster   add, remove, deliver, command, serving, outstanding, status
//   cluster → service   notices: an effect to carry out, a view that has changed, a network up or down
//
// An effect stays outstanding until its result was delivered, so that a service that was restarted in the
// meantime finds it again. All values are JSON; both ends belong to the same installation.
import { z } from 'zod';
import type { OuterEffect } from '../../cluster/thread/group-effects.ts';
import type { MachineView } from '../../cluster/thread/machine-view.ts';
import type { NetworkEvent } from '../../cluster/thread/cluster-thread.ts';
import type { AddressOptions } from '../../cluster/address/virtual-addresses.ts';
import type { FenceSettings } from '../../cluster/fencing/fencer.ts';
import type { MachineConfig, CopyState, Position } from '../../cluster/machine/types.ts';
import type { ArbiterSettings } from '../../cluster/settings.ts';
import { networksInputSchema } from '../../cluster/settings.ts';
import { absolutePathSchema, id128Schema, nameSchema, nodeIdSchema } from '../group-spec.ts';

/** What the cluster process is told at its start (`--spec FILE`, mode 0600). */
export const clusterSpecSchema = z.strictObject({
  controlSocket: absolutePathSchema,
  node: z.strictObject({ id: nodeIdSchema, name: nameSchema }),
  peer: z.strictObject({
    id: nodeIdSchema,
    name: nameSchema,
    certificate: z.string().min(1).max(16_384),
  }),
  keyPath: absolutePathSchema,
  networks: networksInputSchema,
  /** What this node does to itself when an application that must end cannot be ended. */
  selfFencing: z.enum(['reboot', 'stop']),
});
export type ClusterSpec = z.infer<typeof clusterSpecSchema>;

/** One group as the service hands it to the cluster process. */
export interface GroupHandover {
  readonly groupId: string;
  readonly config: MachineConfig;
  readonly arbiter: ArbiterSettings;
  readonly addresses: AddressOptions | null;
  readonly fence: FenceSettings | null;
  readonly watchdogPath: string | null;
  /** Lease cells on tmpfs. */
  readonly leaseFile: string;
  /** Memo and life of the machine. */
  readonly memoFile: string;
  /** This node's data is the group's data when there is no memo yet. */
  readonly isCreator: boolean;
  readonly copy: CopyState;
  readonly position: Position;
  /** The group process that survived a machine; null: none, or not as primary. */
  readonly running: {
    readonly epoch: number;
    readonly runsApplication: boolean;
  } | null;
}

export type ClusterNotice =
  | { readonly kind: 'effect'; readonly groupId: string; readonly effect: OuterEffect }
  | { readonly kind: 'view'; readonly groupId: string; readonly view: MachineView }
  | NetworkEvent;

export const groupRefSchema = z.object({ groupId: id128Schema });

/** Answer to `add` and `outstanding`. */
export interface GroupStanding {
  readonly groupId: string;
  readonly view: MachineView | null;
  /** Effects to carry out, oldest first. */
  readonly effects: readonly OuterEffect[];
}
