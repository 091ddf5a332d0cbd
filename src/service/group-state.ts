// What this node remembers of a group across restarts of the service and of the machine.
import { z } from 'zod';
import {
  absolutePathSchema,
  epochSchema,
  type Position,
  positionSchema,
  sequenceSchema,
} from './group-spec.ts';
import { roleSchema } from './node-protocol.ts';

/** Sequences skipped after an unclean end, half of them at least, so that no sequence can ever be used twice. */
const SEQUENCE_GAP = 10_000_000;

export const groupStateSchema = z.strictObject({
  role: roleSchema,
  epoch: epochSchema,
  /** Counts changes of role and starts of a primary here; each has a fresh state directory. */
  generation: z.int().min(1),
  /**
   * Where the data here is known to stand: a clean end of a stream. For a primary it is forgotten
   * as soon as its process is started, since from then on the data moves on. After another start of the machine it proves
   * nothing: the kernel need not have written everything.
   */
  position: positionSchema.nullable(),
  /** The boot (linux/boot-id.ts) in which `position` was noted. */
  positionBoot: z.string().max(64).nullable().default(null),
  /** Highest sequence seen in the status of the group process; it may have gone further. */
  lastSequence: sequenceSchema,
  /**
   * A primary that handed over and does not know yet whether the other node took it: it must not
   * start again on its own before it has asked.
   */
  handedOverTo: epochSchema.nullable(),
  /** All agents were started over the present mounts, and no stop of them was begun. */
  agentsStarted: z.boolean(),
  /**
   * Agents were begun to be started in this boot (linux/boot-id.ts), over the mounts of this generation, and not all of them were
   * stopped since: what of them runs may use mounts that are gone.
   */
  agentsBegun: z
    .strictObject({ boot: z.string().max(64), generation: z.int().min(1) })
    .nullable()
    .default(null),
  /**
   * Managed groups: the data here is what this node wrote as primary with this epoch, up to about this
   * sequence, and nobody else has written to it since. Null: it follows another primary.
   */
  own: z.strictObject({ epoch: epochSchema, sequence: sequenceSchema }).nullable().default(null),
  /**
   * Managed groups: the copy here had everything at this position, which its own process does not know after a start. It does as
   * long as nobody goes on from there, and in this boot (linux/boot-id.ts).
   */
  completeAt: z
    .strictObject({ epoch: epochSchema, sequence: sequenceSchema, boot: z.string().max(64) })
    .nullable()
    .default(null),
  /** Where this generation's state directory is (journal-place.ts); null: below the group's own directory. */
  journals: absolutePathSchema.nullable().default(null),
  /** Directories that were made for this group here; removed with it when they are empty. */
  createdDirectories: z.array(z.string()).max(64),
});
/** See the schema. */
export type GroupState = z.infer<typeof groupStateSchema>;

export function initialState(role: GroupState['role'], epoch: number): GroupState {
  return {
    role,
    epoch,
    generation: 1,
    position: null,
    positionBoot: null,
    lastSequence: 0,
    handedOverTo: null,
    agentsStarted: false,
    agentsBegun: null,
    own: null,
    completeAt: null,
    journals: null,
    createdDirectories: [],
  };
}

/** First sequence of a new stream, given what is known of the last one. */
export function firstSequenceAfter(base: Position | null, lastSequence: number): number {
  if (base !== null) return base.sequence + 1;
  if (lastSequence === 0) return 1;
  // What was noted last may be some seconds old: a round number just behind it may have been passed.
  return (Math.floor(lastSequence / SEQUENCE_GAP + 0.5) + 1) * SEQUENCE_GAP + 1;
}
