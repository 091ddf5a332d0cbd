// CPU, memory and load of this machine, from /proc.
import { readFileSync } from 'node:fs';
import { cpus, loadavg, uptime } from 'node:os';
import { z } from 'zod';
import { once } from '../admin-api/once.ts';

export const processorSchema = once(() =>
  z.object({
    cores: z.number(),
    model: z.string(),
    /** Since the last look, at most a minute ago; null at the first. */
    usedShare: z.number().nullable(),
    waitingForDiskShare: z.number().nullable(),
    load: z.array(z.number()).describe('Over 1, 5 and 15 minutes'),
    uptimeSeconds: z.number(),
  }),
);

export const memorySchema = once(() =>
  z.object({
    totalBytes: z.number(),
    availableBytes: z.number(),
    swapTotalBytes: z.number(),
    swapFreeBytes: z.number(),
  }),
);

interface Ticks {
  readonly total: number;
  readonly idle: number;
  readonly waiting: number;
}

/** Remembers the last look, so that shares are of the time in between. */
export class ProcessorWatch {
  #last: Ticks | undefined;

  look(): z.infer<ReturnType<typeof processorSchema>> {
    const now = parseTicks(readFileSync('/proc/stat', 'latin1'));
    const last = this.#last;
    this.#last = now;
    const spent = last === undefined ? 0 : now.total - last.total;
    const share = (value: number): number | null =>
      spent <= 0 ? null : Math.min(1, Math.max(0, Math.round((value / spent) * 1000) / 1000));
    const idle = last === undefined ? 0 : now.idle + now.waiting - last.idle - last.waiting;
    const all = cpus();
    return {
      cores: all.length,
      model: all[0]?.model ?? '',
      usedShare: share(spent - idle),
      waitingForDiskShare: share(last === undefined ? 0 : now.waiting - last.waiting),
      load: loadavg(),
      uptimeSeconds: Math.round(uptime()),
    };
  }
}

/** First line of proc_stat(5): user nice system idle iowait irq softirq steal … */
export function parseTicks(text: string): Ticks {
  const fields = (text.split('\n')[0] ?? '').trim().split(/\s+/).slice(1, 9).map(Number);
  return {
    total: fields.reduce((sum, value) => sum + value, 0),
    idle: fields[3] ?? 0,
    waiting: fields[4] ?? 0,
  };
}

export function memory(): z.infer<ReturnType<typeof memorySchema>> {
  const text = readFileSync('/proc/meminfo', 'latin1');
  const bytes = (key: string): number =>
    Number(new RegExp(`^${key}:\\s+(\\d+)`, 'm').exec(text)?.[1] ?? 0) * 1024;
  return {
    totalBytes: bytes('MemTotal'),
    availableBytes: bytes('MemAvailable'),
    swapTotalBytes: bytes('SwapTotal'),
    swapFreeBytes: bytes('SwapFree'),
  };
}
