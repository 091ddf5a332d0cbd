// What a salvage says of itself: `report.json`, for people and programs.
import { z } from 'zod';

/** How something differed from what replaced it. */
export const salvageKinds = ['missing', 'contents', 'other-kind', 'attributes'] as const;
/** In which form it is kept. */
export const salvageForms = ['whole', 'ranges', 'attributes', 'none'] as const;

const bytes = z.number().min(0);

const attributesSchema = z.object({
  /** Octal, with the type. */
  mode: z.string(),
  uid: z.number(),
  gid: z.number(),
  /** ISO 8601, of the last change of contents. */
  modified: z.string(),
  size: bytes,
});

const entrySchema = z.object({
  /** Number of the protected directory. */
  directory: z.int().min(0),
  /** Below that directory. */
  path: z.string(),
  /** The bytes of the path as hex digits, where they are no UTF-8. */
  pathHex: z.string().optional(),
  kind: z.enum(salvageKinds),
  kept: z.enum(salvageForms),
  /** What this node had. */
  own: attributesSchema,
  /** What is there now; null: nothing, or something of another kind. */
  other: attributesSchema.nullable(),
  /** Bytes of this node's version that differ. */
  changedBytes: bytes,
  /** Where they are: from, to; only the first of them when `hasMoreRanges`. */
  ranges: z.array(z.tuple([bytes, bytes])),
  hasMoreRanges: z.boolean(),
});
export type SalvageEntry = z.infer<typeof entrySchema>;

const countsSchema = z.object({
  /** All paths that are listed or would be. */
  paths: z.int(),
  whole: z.int(),
  ranges: z.int(),
  attributes: z.int(),
  /** Not kept, for want of room. */
  none: z.int(),
  /** Bytes of this node's versions that differ. */
  changedBytes: bytes,
  /** What the salvage takes on its disk, about. */
  keptBytes: bytes,
  /** Paths whose contents are older than the point that both nodes know: not kept, not listed. */
  older: z.int(),
});
export type SalvageCounts = z.infer<typeof countsSchema>;

export const reportSchema = z.object({
  version: z.literal(1),
  name: z.string(),
  group: z.string(),
  /** When the scan began that replaced these versions, ISO 8601. */
  at: z.string(),
  /** Of the primary that scanned. */
  epoch: z.int(),
  streamId: z.string(),
  /** The stream that this node wrote or followed before, and up to where at least; null: not known. */
  own: z.object({ streamId: z.string(), sequence: z.number() }).nullable(),
  /** What this node changed before that, the other node had too; null: everything that differs is kept. */
  since: z.string().nullable(),
  directories: z.array(z.string()),
  counts: countsSchema,
  /** Paths beyond those listed in `entries`. */
  notListed: z.int(),
  entries: z.array(entrySchema),
});
export type SalvageReport = z.infer<typeof reportSchema>;
export type SalvageSummary = Omit<SalvageReport, 'entries'>;

/** What is known when the scan begins. */
export type SalvageHead = Pick<
  SalvageReport,
  'name' | 'group' | 'at' | 'epoch' | 'streamId' | 'own' | 'since' | 'directories'
>;

/** Name of a salvage: the time in UTC and the epoch of the scan. */
export function salvageName(atMs: number, epoch: number): string {
  const time = new Date(atMs).toISOString().replaceAll(/[-:]|\.\d+/g, '');
  return `${time}-${epoch}`;
}

const NAME = /^\d{8}T\d{6}Z-\d{1,10}$/;

export const isSalvageName = (name: string): boolean => NAME.test(name);
