// The deep check of databases: a row (or key) of the agent's own is written and read back, the way of every commit
// down to the disk. Whatever the database, it is told in the same words.
import { messageOf } from '../../../core/errors.ts';
import type { ProbeResult } from '../../agent.ts';
import { abortable, since } from './connection.ts';

export interface HeartbeatRow {
  /** `PostgreSQL at 127.0.0.1:5432` */
  readonly who: string;
  readonly kind?: 'row' | 'key';
  readonly signal: AbortSignal;
  /** Writes `stamp`, and resolves with what is read then. */
  exchange(stamp: string): Promise<unknown>;
  /** The login may not write: it serves others. */
  isForbidden(failure: unknown): boolean;
  /** From what was asked before. */
  readonly measures: Readonly<Record<string, number>>;
  /** `12 sessions`, behind the sentence. */
  readonly more?: string;
}

export async function beat(row: HeartbeatRow): Promise<ProbeResult> {
  const { who, kind = 'row', signal, measures, more } = row;
  const from = performance.now();
  const stamp = `${Date.now()}-${process.pid}`;
  let read: unknown;
  try {
    read = await abortable(signal, row.exchange(stamp));
  } catch (failure) {
    signal.throwIfAborted();
    const sentence = `${who} answers but does not take its heartbeat ${kind}: ${messageOf(failure)}`;
    return { state: row.isForbidden(failure) ? 'degraded' : 'failed', sentence, measures };
  }
  if (read !== stamp) {
    const sentence = `${who} did not give back the heartbeat ${kind} that it took`;
    return { state: 'failed', sentence, measures };
  }
  const sentence = `${who} wrote and read its heartbeat ${kind}${more === undefined ? '' : `; ${more}`}`;
  return { state: 'ok', sentence, measures: { ...measures, heartbeatMs: since(from) } };
}
