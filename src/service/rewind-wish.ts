// A moment that a copy is to be taken back to, as people write it and as programs say it.
import { z } from 'zod';
import { UnderstudyError } from '../core/errors.ts';
import { parseDurationMs } from '../core/units.ts';
import { BOOKMARK_NAME } from '../mirror/bookmarks.ts';
import type { RewindWish } from '../mirror/rewind.ts';
import { sequenceSchema } from './group-spec.ts';

export const rewindWishSchema = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('sequence'), sequence: sequenceSchema }),
  z.strictObject({ kind: z.literal('name'), name: z.string().regex(BOOKMARK_NAME) }),
  z.strictObject({ kind: z.literal('time'), atMs: z.number().min(0).max(1e15) }),
]);

const SEQUENCE = /^\d+$/;
const CLOCK = /^(\d{1,2}):(\d{2})(?::(\d{2}))?$/;
const AGO = /^(.+)\s+ago$/;
/** With a zone: a time without one means something else on each machine. */
const ISO = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:?\d{2})$/;

/**
 * What a person means: a record number, the name of a bookmark, `HH:MM[:SS]` of today here, `10m ago`,
 * or an ISO 8601 time with its zone. Errors: REWIND_TIME_INVALID.
 */
export function parseRewindWish(text: string, now: Date): RewindWish {
  const trimmed = text.trim();
  if (SEQUENCE.test(trimmed)) {
    const sequence = Number(trimmed);
    if (Number.isSafeInteger(sequence)) return { kind: 'sequence', sequence };
    throw invalid(text);
  }
  const ago = AGO.exec(trimmed)?.[1];
  if (ago !== undefined) return { kind: 'time', atMs: now.getTime() - durationOf(ago, text) };
  if (BOOKMARK_NAME.test(trimmed)) return { kind: 'name', name: trimmed };
  const clock = CLOCK.exec(trimmed);
  if (clock !== null) return { kind: 'time', atMs: today(clock, now, text) };
  const atMs = ISO.test(trimmed) ? Date.parse(trimmed) : Number.NaN;
  if (Number.isNaN(atMs)) throw invalid(text);
  return { kind: 'time', atMs };
}

function durationOf(ago: string, text: string): number {
  try {
    return parseDurationMs(ago);
  } catch {
    throw invalid(text);
  }
}

function today(clock: RegExpExecArray, now: Date, text: string): number {
  const [hours, minutes, seconds] = [clock[1], clock[2], clock[3] ?? '0'].map(Number);
  if ((hours ?? 24) > 23 || (minutes ?? 60) > 59 || (seconds ?? 60) > 59) throw invalid(text);
  const at = new Date(now);
  at.setHours(hours ?? 0, minutes ?? 0, seconds ?? 0, 0);
  return at.getTime();
}

function invalid(text: string): UnderstudyError {
  return new UnderstudyError(
    'REWIND_TIME_INVALID',
    `"${text}" is no moment: write a record number, the name of a bookmark, "14:05" or "14:05:30" of today, "10m ago", or a time with its zone such as "2026-03-01T14:05:00+01:00"`,
  );
}
