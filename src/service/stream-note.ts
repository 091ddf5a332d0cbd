// What a primary group process leaves to its successor besides the filter's own state: which stream
// this is, and where the rule about commits stands. A note in the filter's shared memory.
import { z } from 'zod';
import { UnderstudyError } from '../core/errors.ts';
import type { Filter } from '../filter/filter.ts';
import {
  epochSchema,
  type GroupProcessSpec,
  id128Schema,
  positionSchema,
  sequenceSchema,
} from './group-spec.ts';

const wishSchema = z.strictObject({
  state: z.enum(['alone-wanted', 'together']),
  request: z.int(),
  why: z.string(),
});

const streamNoteSchema = z.strictObject({
  groupId: id128Schema,
  epoch: epochSchema,
  streamId: id128Schema,
  firstSequence: z.int().min(1),
  base: positionSchema.nullable(),
  commits: z.strictObject({
    state: z.enum(['alone', 'together']),
    wasTogether: z.boolean(),
    /** Last record captured when the group went on alone. */
    aloneAt: sequenceSchema,
    wish: wishSchema.nullable(),
    isAllowed: z.boolean(),
  }),
});
export type StreamNote = z.infer<typeof streamNoteSchema>;

/**
 * The note of the process that `filter` takes over from. Errors: TAKEOVER_IMPOSSIBLE when it is not of
 * this group and epoch: then nobody may go on with its mounts.
 */
export function readStreamNote(filter: Filter, spec: GroupProcessSpec): StreamNote {
  const note = streamNoteSchema.safeParse(filter.state.note);
  if (note.success && note.data.groupId === spec.groupId && note.data.epoch === spec.epoch)
    return note.data;
  throw new UnderstudyError(
    'TAKEOVER_IMPOSSIBLE',
    `what the process before left is not of group ${spec.group} in epoch ${spec.epoch}: the directories are mounted anew`,
  );
}
