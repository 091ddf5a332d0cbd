// The part "safety" of a group as people write it.
//
//   safety:
//     deletions: { files: 100, percent: 50, within: 60s }    # or off
//     guard: alarm                                           # off | alarm | halt
import { z } from 'zod';
import { atField, belowField } from '../core/at-field.ts';
import { parseDurationMs } from '../core/units.ts';
import { SAFETY_DEFAULT, specSafetySchema } from './group-spec.ts';
import { parseStrictly } from '../core/strict-config.ts';

export const safetyInputSchema = z.strictObject({
  deletions: z
    .union([
      // YAML 1.1 readers make a boolean of it.
      z.enum(['off']),
      z.literal(false),
      z.strictObject({
        files: z.int().min(1).max(1_000_000_000).optional(),
        percent: z.number().min(1).max(100).optional(),
        within: z.string().max(40).optional(),
      }),
    ])
    .optional(),
  guard: z.union([z.enum(['off', 'alarm', 'halt']), z.literal(false)]).optional(),
});

/** As kept → as written. */
const WRITTEN = { filesMin: 'files', share: 'percent', windowMs: 'within' } as const;

/** Fills in defaults. Errors: GROUP_INVALID, DURATION_INVALID. */
export function defineSafety(
  input: z.infer<typeof safetyInputSchema>,
  origin: string,
): z.infer<typeof specSafetySchema> {
  const { deletions, guard = SAFETY_DEFAULT.guard } = input;
  const safety = { ...SAFETY_DEFAULT, guard: guard === false ? ('off' as const) : guard };
  if (deletions === undefined) return safety;
  if (typeof deletions !== 'object') return { ...safety, deletions: null };
  const { files, percent, within } = deletions;
  const base = SAFETY_DEFAULT.deletions;
  const defined = {
    ...safety,
    deletions: {
      filesMin: files ?? base?.filesMin,
      share: percent === undefined ? base?.share : percent / 100,
      windowMs:
        within === undefined
          ? base?.windowMs
          : atField('safety.deletions.within', () => parseDurationMs(within)),
    },
  };
  return belowField('safety', WRITTEN, () =>
    parseStrictly(specSafetySchema, defined, {
      code: 'GROUP_INVALID',
      origin: `${origin}, safety`,
    }),
  );
}
