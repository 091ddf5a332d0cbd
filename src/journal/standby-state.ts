// What the standby remembers across restarts, apart from the records: one small file, replaced as a
// whole and made durable each time.
//
//   copy        empty ──scanBegin──► syncing ──scanEnd applied──► complete ──► diverged
//                                       ▲──────────scanBegin─────────┴────────────┘
//
// A copy that was complete when a scan began is `staged`: usable as it was then, until the new one is
// complete. It is taken back when the scan does not come to its end. Data that were no copy when a scan
// began are a `salvage`: never usable, and kept aside at its end.
//
// `checkpoint`: every record up to it is in the copy and on its disk; the journal is needed from the
// next one on. With an empty copy it only says where the journal would begin. One exception: the copy of
// a primary that has just handed over is as it wrote it, and may still be in the kernel's memory (`unsynced`).
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { decodeChecked, encodeChecked } from './checked-json.ts';
import { replaceFile } from './replace-file.ts';

const id128 = z.string().regex(/^[0-9a-f]{32}$/);
const sequence = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const schema = z.strictObject({
  version: z.literal(1),
  groupId: id128,
  /** Highest epoch that the standby knows of. */
  epoch: z.int().min(0).max(0xffff_ffff),
  copy: z.enum(['empty', 'syncing', 'complete', 'diverged']),
  checkpoint: z.strictObject({
    streamId: id128,
    epoch: z.int().min(0).max(0xffff_ffff),
    sequence,
  }),
  /** Segments of the journal with lower numbers belong to a stream that was given up. */
  firstSegment: z.int().min(1),
  /**
   * The copy is complete as it was seen on these mounts (linux/mount-identity.ts); its disk may lack some of it. Null: it
   * does not.
   */
  unsynced: z.string().max(4096).nullable().default(null),
  /** Where the primary closed the stream of the checkpoint or a later one cleanly. */
  closed: z.strictObject({ streamId: id128, sequence }).nullable(),
  /** Applying is halted (mirror/guard/apply-gate.ts): nothing after `sequence` is applied. */
  halt: z
    .strictObject({
      code: z.enum(['DELETIONS', 'REWRITING']),
      sequence,
      since: z.string().max(40),
      sentence: z.string().max(4096),
    })
    .nullable()
    .default(null),
  /** A person has let everything up to here be applied; of the stream at hand. */
  accepted: sequence.default(0),
  /** The copy was taken back by an operator: no primary may change it before it is one itself. */
  rewound: z.boolean().default(false),
  /**
   * While `syncing`: the state that the copy was complete at before, and that the undo log, which has it
   * as `undo`, leads back to. Null: there was none, or it cannot be reached.
   */
  staged: z
    .strictObject({
      streamId: id128,
      epoch: z.int().min(0).max(0xffff_ffff),
      sequence,
      undo: sequence,
      /** Wall clock of this node when the scan began, in ms. */
      sinceMs: z.number(),
    })
    .nullable()
    .default(null),
  /**
   * Data of this node's own that a scan replaces, to be kept aside when it is complete (mirror/salvage/):
   * the undo log has it as the state `undo`. Null: there is none, or it cannot be kept.
   */
  salvage: z
    .strictObject({
      name: z.string().max(64),
      undo: sequence,
      /** Wall clock of this node when the first scan began, in ms. */
      atMs: z.number(),
      /** What is older the other node had too; null: not known. See applier/trust.ts. */
      ownSinceMs: z.number().nullable(),
      own: z.strictObject({ streamId: id128, sequence }).nullable(),
    })
    .nullable()
    .default(null),
});

export type StandbyStateData = Readonly<z.infer<typeof schema>>;
export type PersistedCopy = StandbyStateData['copy'];

export const STATE_FILE = 'standby.json';
/** Stream id of a standby that holds none. */
export const NO_STREAM = '0'.repeat(32);

/**
 * What holds before anything was received: no copy, or one as of the end of a stream, `holds`, which is on these `mounts` and need
 * not be on their disks.
 */
export function firstState({
  groupId,
  epoch,
  holds,
  mounts,
}: Pick<StandbyStateData, 'groupId' | 'epoch'> & {
  readonly holds: StandbyStateData['closed'];
  readonly mounts: string;
}): StandbyStateData {
  return {
    version: 1,
    groupId,
    epoch,
    copy: holds === null ? 'empty' : 'complete',
    checkpoint: { streamId: NO_STREAM, sequence: 0, ...holds, epoch },
    firstSegment: 1,
    unsynced: holds === null ? null : mounts,
    closed: holds,
    halt: null,
    accepted: 0,
    rewound: false,
    staged: null,
    salvage: null,
  };
}

export class StandbyState {
  readonly #directory: string;
  #data: StandbyStateData;

  private constructor(directory: string, data: StandbyStateData) {
    this.#directory = directory;
    this.#data = data;
  }

  /**
   * Reads the state below `directory`; `initial` is what holds when there is none yet.
   * Errors: STATE_UNREADABLE, STATE_OF_OTHER_GROUP, STATE_IO.
   */
  static open(directory: string, initial: StandbyStateData): StandbyState {
    const path = join(directory, STATE_FILE);
    const data = readState(path);
    if (data === undefined) {
      const state = new StandbyState(directory, initial);
      state.update({});
      return state;
    }
    if (data.groupId !== initial.groupId) {
      throw new UnderstudyError(
        'STATE_OF_OTHER_GROUP',
        `${path} belongs to another group (${data.groupId}): use another state directory`,
      );
    }
    return new StandbyState(directory, data);
  }

  get data(): StandbyStateData {
    return this.#data;
  }

  /** Changes some fields; they are durable when this returns. Errors: STATE_IO. */
  update(change: Partial<StandbyStateData>): void {
    const data = { ...this.#data, ...change };
    replaceFile(join(this.#directory, STATE_FILE), encodeChecked(data));
    this.#data = data;
  }
}

/** Whether this version understands the state below `directory`, if there is one. Errors: STATE_UNREADABLE. */
export function requireReadable(directory: string): void {
  readState(join(directory, STATE_FILE));
}

function readState(path: string): StandbyStateData | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw unreadable(path, messageOf(cause), cause);
  }
  try {
    return schema.parse(decodeChecked(text));
  } catch (cause) {
    throw unreadable(path, messageOf(cause), cause);
  }
}

function unreadable(path: string, why: string, cause: unknown): UnderstudyError {
  return new UnderstudyError(
    'STATE_UNREADABLE',
    `cannot use ${path}: ${why}; remove it to have the group copied anew`,
    { cause },
  );
}
