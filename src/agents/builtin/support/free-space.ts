// A database on a full disk goes on for a while: rows that fit into pages that are there, log segments that
// are used again. So the space itself is looked at beside the heartbeat row.
import { statfs } from 'node:fs/promises';
import { z } from 'zod';
import { formatBytes, MiB } from '../../../core/units.ts';
import type { ProbeResult } from '../../agent.ts';
import { abortable } from './connection.ts';

export const minFreeParameter = z
  .number()
  .min(0)
  .max(1_000_000)
  .default(16)
  .describe(
    'Less free space (MiB) on the disk of the data directory counts as full: "failed" with heartbeat, otherwise "degraded"',
  );

interface SpaceOptions {
  readonly minFreeMiB: number;
  readonly heartbeat: boolean;
  readonly signal: AbortSignal;
}

/** `result`, or a worse one when the disk of `dataDir` is full. Without a directory here: `result`. */
export async function withSpace(
  result: ProbeResult,
  dataDir: string | undefined,
  { minFreeMiB, heartbeat, signal }: SpaceOptions,
): Promise<ProbeResult> {
  if (dataDir === undefined || result.state === 'failed' || result.state === 'stopped')
    return result;
  let freeBytes: number;
  try {
    const { bavail, bsize } = await abortable(signal, statfs(dataDir));
    freeBytes = bavail * bsize;
  } catch {
    signal.throwIfAborted();
    return result;
  }
  const measures = { ...result.measures, freeMiB: Math.round(freeBytes / MiB) };
  if (freeBytes >= minFreeMiB * MiB) return { ...result, measures };
  const state = heartbeat ? 'failed' : 'degraded';
  const sentence = `the disk of ${dataDir} is full (${formatBytes(freeBytes)} free, ${minFreeMiB} MiB are needed); ${result.sentence}`;
  return { state, sentence, measures };
}
