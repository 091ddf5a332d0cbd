// What a client was promised: one JSON line per acknowledged transfer.
import { createReadStream } from 'node:fs';
import { createInterface } from 'node:readline';
import type { Transfer } from './ledger.ts';

export interface Acknowledged extends Transfer {
  /** Wall clock, milliseconds since the Unix epoch. */
  readonly at: number;
  readonly latencyMs: number;
  /** Base address of the server that said so. */
  readonly server: string;
  /** Name of the node behind that address, which may move; else the address. */
  readonly node: string;
}

/** Time without any acknowledgement. */
export interface Outage {
  readonly from: number;
  readonly to: number;
  readonly ms: number;
}

/** Reads a log; a last line cut short by the end of the client is left out. */
export async function readLog(file: string): Promise<Acknowledged[]> {
  const entries: Acknowledged[] = [];
  for await (const line of createInterface({ input: createReadStream(file) })) {
    try {
      entries.push(JSON.parse(line) as Acknowledged);
    } catch {
      break;
    }
  }
  return entries;
}

/** Gaps of at least `thresholdMs` between acknowledgements, in order of time. */
export function outagesIn(times: readonly number[], thresholdMs: number): Outage[] {
  const ordered = times.toSorted((one, other) => one - other);
  const outages: Outage[] = [];
  for (const [index, to] of ordered.entries()) {
    const from = ordered[index - 1];
    if (from !== undefined && to - from >= thresholdMs) outages.push({ from, to, ms: to - from });
  }
  return outages;
}
