// What a group process needs to know to start. The service writes it to a file (mode 0600) and
// starts `node primary-main.ts --spec FILE` or `node standby-main.ts --spec FILE`.
//
// The file is read once, at start. Everything that may change while the process runs goes over the
// control socket instead (control-channel.ts).
import { readFileSync } from 'node:fs';
import { isAbsolute, normalize } from 'node:path';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { isBounded } from '../core/patterns.ts';
import { heldFilterSchema } from './filter-holder.ts';
import { bandwidthSchema, UNLIMITED } from './bandwidth.ts';

/** The record header has one byte for the directory; this is a bound well below it. */
export const DIRECTORIES_MAX = 64;
export const PATTERNS_MAX = 256;

/** Name of a group or node: it becomes part of file names, so nothing but these characters. */
export const NAME_PATTERN = /^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$/;
export const nameSchema = z.string().regex(NAME_PATTERN, {
  error: ({ input }) =>
    `"${String(input)}" is no name: lower-case letters, digits and inner dashes, at most 40 characters`,
});

/** 128 random bits in hex: the identity of a group or of a stream. */
export const id128Schema = z.string().regex(/^[0-9a-f]{32}$/, '32 hex digits');
export const nodeIdSchema = z.string().regex(/^[0-9a-f]{16}$/, '16 hex digits');
export const epochSchema = z.int().min(1).max(0xffff_ffff);
export const sequenceSchema = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
export const portSchema = z.int().min(1).max(65_535);

export const absolutePathSchema = z
  .string()
  .max(4096)
  .refine((path) => isAbsolute(path), 'an absolute path')
  .refine((path) => !path.includes('\0'), 'a path without NUL')
  .refine((path) => path === '/' || normalize(path) === path, 'a path without "..", "." or "//"')
  .refine((path) => path === '/' || !path.endsWith('/'), 'a path without a slash at its end');

export const patternSchema = z.string().min(1).max(1024);
/** What somebody writes now. */
export const newPatternSchema = patternSchema.refine(
  isBounded,
  'must be a wildcard; this is read as a regular expression that may take years for one name',
);

/** One protected directory; its index in the list is the record field `directory`. */
export const specDirectorySchema = z.strictObject({
  dir: absolutePathSchema,
  /** picomatch patterns (dot: true) of paths relative to `dir`; `**` is everything. */
  include: z.array(patternSchema).min(1).max(PATTERNS_MAX),
  exclude: z.array(patternSchema).max(PATTERNS_MAX),
  /** Data that was already on the standby was accepted as a base for the first copy. */
  seed: z.boolean(),
});

export const undoSchema = z.strictObject({
  hours: z.number().min(0).max(100_000),
  diskPercent: z.number().min(0.01).max(80),
});
/** 24 hours or a tenth of the disk, whichever is less. */
export const UNDO_DEFAULT = { hours: 24, diskPercent: 10 } as const;

export const replicationModeSchema = z.enum(['sync', 'memory', 'async']);

export const compressionSchema = z.enum(['off', 'auto', 'on']);

export const specReplicationSchema = z.strictObject({
  mode: replicationModeSchema,
  /** How long a commit may wait for a standby that does not answer. */
  syncTimeoutMs: z.int().min(1).max(3_600_000),
  onStandbyLoss: z.enum(['continue', 'block']),
  /** Without a byte for so long while something is expected, the link counts as dead. */
  linkTimeoutMs: z.int().min(100).max(60_000),
  /** Capacity of the shared ring; a power of two. */
  ringBytes: z
    .int()
    .min(4 * 1024 * 1024)
    .max(1024 * 1024 * 1024)
    .refine((bytes) => (bytes & (bytes - 1)) === 0, 'a power of two'),
  /** Limit of the primary's disk backlog while the standby is away. */
  backlogBytesMax: z.int().min(0),
  /** Limit of the standby's journal. */
  journalBytesMax: z.int().min(64 * 1024 * 1024),
  /** Limit of what a primary sends; it may change while the process runs. */
  bandwidth: bandwidthSchema.default(UNLIMITED),
  /** Of what a primary sends; `auto`: where it saves time. */
  compression: compressionSchema.default('auto'),
  /** What the standby keeps to take its copy back: so many hours (0: nothing), and so much of its disk. */
  undo: undoSchema.default(UNDO_DEFAULT),
});

/** What halts a group before harm is done to the copy: see docs/guard.md. */
export const specSafetySchema = z.strictObject({
  /** Removals that halt the applying on the standby; null: none do. */
  deletions: z
    .strictObject({
      filesMin: z.int().min(1).max(1_000_000_000),
      share: z.number().min(0.01).max(1),
      windowMs: z.int().min(1000).max(3_600_000),
    })
    .nullable(),
  /** What mass encryption does on the standby: nothing, an alarm, or an alarm and a halt. */
  guard: z.enum(['off', 'alarm', 'halt']).default('alarm'),
});
export const SAFETY_DEFAULT: z.infer<typeof specSafetySchema> = {
  deletions: { filesMin: 100, share: 0.5, windowMs: 60_000 },
  guard: 'alarm',
};

/** Position in a stream that ended cleanly, from which a new stream may go on without a scan. */
export const positionSchema = z.strictObject({ streamId: id128Schema, sequence: sequenceSchema });
export type Position = z.infer<typeof positionSchema>;

export const groupProcessSpecSchema = z
  .strictObject({
    group: nameSchema,
    groupId: id128Schema,
    role: z.enum(['primary', 'standby']),
    epoch: epochSchema,
    node: z.strictObject({ id: nodeIdSchema, name: nameSchema }),
    /** `null`: the group has no standby (yet); a primary then runs alone. */
    peer: z
      .strictObject({
        id: nodeIdSchema,
        name: nameSchema,
        host: z.string().min(1).max(255),
        /** PEM; the only certificate that the process may speak to. */
        certificate: z.string().min(1).max(16_384),
      })
      .nullable(),
    identity: z.strictObject({
      certificatePath: absolutePathSchema,
      keyPath: absolutePathSchema,
    }),
    /** Address on which the standby listens. */
    replicationHost: z.string().min(1).max(255),
    replicationPort: portSchema,
    controlSocket: absolutePathSchema,
    /** Journal, spill and state files of this process are below it. */
    stateDirectory: absolutePathSchema,
    /** What is known of the data (journal/marks.ts); outlives `stateDirectory`. */
    marksFile: absolutePathSchema,
    directories: z.array(specDirectorySchema).min(1).max(DIRECTORIES_MAX),
    replication: specReplicationSchema,
    safety: specSafetySchema.default(SAFETY_DEFAULT),
    /** Shared cells with the lease (see cluster/thread); null: this node may always write. */
    leaseFile: absolutePathSchema.nullable().default(null),
    /** Standby only: where data is kept that only this node has; null: it has none. */
    salvageDirectory: absolutePathSchema.nullable().default(null),
    /** Standby only: what is there before its first copy is a base by the operator's word, and not kept aside. */
    dataIsBase: z.boolean().default(false),
    /** What is known of the directories (safety-identity.ts); null: they are taken as they are. */
    safetyFile: absolutePathSchema.nullable().default(null),
    /**
     * Primary only. Number of the mirror's first wish about commits in a managed group, above all
     * earlier ones of the same epoch; null: the group is not managed, the mirror decides for itself.
     */
    firstCommitRequest: z.int().min(1).nullable().default(null),
    /** Primary only. */
    start: z
      .strictObject({ firstSequence: z.int().min(1), base: positionSchema.nullable() })
      .optional(),
    /**
     * Primary only: who holds the mounts of the process before, to go on with them; `start` then does not
     * count, since the stream goes on as well. null: mount.
     */
    takeOver: heldFilterSchema.nullable().default(null),
    /**
     * Standby only: where the data underneath is known to stand, because this node was a primary
     * that handed over cleanly at this position. It counts only while `stateDirectory` holds no
     * state of a standby yet (every change of role gets a fresh, empty `stateDirectory`). With
     * neither, nothing is known about the data and the primary has to scan.
     */
    holds: positionSchema.nullable().optional(),
  })
  .refine((spec) => spec.role === 'standby' || spec.start !== undefined, {
    message: 'a primary needs "start"',
    path: ['start'],
  });

/** Everything a group process is told at its start; see the schema for units and bounds. */
export type GroupProcessSpec = z.infer<typeof groupProcessSpecSchema>;

/** Checks an unknown value; throws SPEC_INVALID naming the first wrong field. */
export function parseSpec(value: unknown, origin: string): GroupProcessSpec {
  const parsed = groupProcessSpecSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw new UnderstudyError(
    'SPEC_INVALID',
    `${origin} is not a group process specification: ${z.prettifyError(parsed.error)}`,
    { cause: parsed.error },
  );
}

/** Reads the file named by `--spec` in `argv` (without node and script). Errors: SPEC_INVALID. */
export function readSpec(argv: readonly string[]): GroupProcessSpec {
  const path = specPath(argv);
  let value: unknown;
  try {
    value = JSON.parse(readFileSync(path, 'utf8'));
  } catch (cause) {
    throw new UnderstudyError(
      'SPEC_INVALID',
      `cannot read the specification ${path}: ${messageOf(cause)}`,
      { cause },
    );
  }
  return parseSpec(value, path);
}

function specPath(argv: readonly string[]): string {
  const usage = 'group processes are started by understudyd as: node FILE --spec SPEC.json';
  try {
    const { values } = parseArgs({ args: [...argv], options: { spec: { type: 'string' } } });
    if (values.spec !== undefined) return values.spec;
  } catch (cause) {
    throw new UnderstudyError('SPEC_INVALID', `${usage} (${messageOf(cause)})`, { cause });
  }
  throw new UnderstudyError('SPEC_INVALID', usage);
}
