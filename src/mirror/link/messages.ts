// Control messages of the link: JSON bodies, checked against a schema before anything is believed.
import { z } from 'zod';
import { MARKS_MAX } from '../../journal/marks.ts';
import { PATH_BYTES_MAX } from '../../journal/record.ts';
import { CONTROL_BODY_BYTES_MAX, COPY_STATES, encodeFrame } from './frame.ts';

const id128 = z.string().regex(/^[0-9a-f]{32}$/);
const epoch = z.int().min(1).max(0xffff_ffff);
const sequence = z.int().min(0).max(Number.MAX_SAFE_INTEGER);
const position = z.strictObject({ streamId: id128, sequence });

/** A point in a stream: everything up to `sequence`. */
export type StreamPosition = z.infer<typeof position>;

/** What an acknowledgement is needed for soonest: nobody waits in mode `async`. */
const commitsWaitForSchema = z.enum(['durable', 'received', 'nothing']);
export type CommitsWaitFor = z.infer<typeof commitsWaitForSchema>;

export const helloSchema = z.strictObject({
  protocol: z.int(),
  group: z.string().max(64),
  groupId: id128,
  node: z.strictObject({ id: z.string().max(64), name: z.string().max(64) }),
  epoch,
  streamId: id128,
  /** First record of the stream. */
  firstSequence: z.int().min(1).max(Number.MAX_SAFE_INTEGER),
  /** Where the stream before this one ended cleanly, when this one carries on from there. */
  base: position.nullable(),
  /** Last record captured so far. */
  headSequence: sequence,
  /**
   * The copy is up to date when it has this record: nobody was told of a later one that it is safe. The last one
   * captured, unless commits wait for this standby.
   */
  neededSequence: sequence,
  /** Oldest record that can still be sent; `headSequence + 1` when none. */
  tailSequence: sequence,
  /** Which acknowledgement of a commit somebody waits for: it is hurried, others are not. */
  commitsWaitFor: commitsWaitForSchema,
  /** Points of which the primary has marks (see journal/marks.ts). */
  marks: z.array(position).max(MARKS_MAX),
  /** The standby process last spoken to (`life` of its welcome), and its needs received so far. */
  life: id128.nullable(),
  needsReceived: z.int().min(0),
});
export type Hello = z.infer<typeof helloSchema>;

/**
 * `full`: contents are sent. `hash`: contents are announced by hashes, what differs is sent. `changed`:
 * so is what either side has changed since a point that both know; the rest is equal.
 */
const SCAN_MODES = ['full', 'hash', 'changed'] as const;
export type ScanMode = (typeof SCAN_MODES)[number];

export const welcomeSchema = z.strictObject({
  epoch,
  /** Changes whenever the standby process starts: numbers of needs begin anew. */
  life: id128,
  position: z
    .strictObject({
      streamId: id128,
      receivedSequence: sequence,
      durableSequence: sequence,
      appliedSequence: sequence,
    })
    .nullable(),
  copy: z.enum(COPY_STATES),
  action: z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('resume'), from: sequence }),
    z.strictObject({
      kind: z.literal('scan'),
      mode: z.enum(SCAN_MODES),
      /** Mode `changed`: what neither side has changed after this point is equal. */
      since: position.nullable(),
    }),
  ]),
});
export type Welcome = z.infer<typeof welcomeSchema>;
/** What the standby wants to be scanned. */
export interface ScanWish {
  readonly mode: ScanMode;
  /** See {@link welcomeSchema}. */
  readonly since: StreamPosition | null;
}

export const refuseSchema = z.strictObject({
  code: z.string().max(64),
  message: z.string().max(2048),
});
export type Refuse = z.infer<typeof refuseSchema>;

/**
 * A range whose contents differ, or, with `compare`, one that may differ: its hashes are wanted first.
 * The path has one character per byte.
 */
export const needRangeSchema = z.strictObject({
  compare: z.boolean(),
  directory: z.int().min(0).max(255),
  path: z
    .string()
    .max(PATH_BYTES_MAX)
    // oxlint-disable-next-line no-control-regex -- a name may have any byte but NUL
    .regex(/^[\x01-\xff]*$/),
  offset: sequence,
  length: sequence,
});
export type NeedRange = z.infer<typeof needRangeSchema>;

/**
 * The standby asks for no more before the primary has dealt with some (`needsReceived` of its pings). It is more than a
 * scanner does between two pings, so nobody waits for the next one.
 */
export const NEEDS_AT_ONCE_MAX = 16_384;

export const needSchema = z.strictObject({
  /** Number of the first range; the others follow. */
  first: z.int().min(0),
  ranges: z.array(needRangeSchema).max(4096),
});
export type Need = z.infer<typeof needSchema>;

export const pingSchema = z.strictObject({
  /** As in the hello, as of now. */
  neededSequence: sequence,
  /** So much was captured that it went to disk. */
  isBehind: z.boolean(),
  /** Of the needs received, those that are dealt with: see {@link NEEDS_AT_ONCE_MAX}. */
  needsReceived: z.int().min(0),
});
export type Ping = z.infer<typeof pingSchema>;

/** The stream ended cleanly: no record follows `sequence`. */
export const closeSchema = z.strictObject({ sequence });

/** Parses a control body; undefined when it is not what the schema says. */
export function decodeMessage<T>(schema: z.ZodType<T>, body: Buffer): T | undefined {
  if (body.length > CONTROL_BODY_BYTES_MAX) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
  const parsed = schema.safeParse(value);
  return parsed.success ? parsed.data : undefined;
}

/** A frame with a JSON body. */
export function encodeMessage(type: number, message: object): Buffer {
  return encodeFrame(type, Buffer.from(JSON.stringify(message)));
}
