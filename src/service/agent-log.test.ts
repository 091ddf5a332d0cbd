// The log of an agent whose application prints without end.
import { existsSync, statSync } from 'node:fs';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { type PoolBed, poolBed } from './fixtures/pool-bed.ts';
import { until } from './fixtures/two-nodes.ts';

const MIB = 1024 * 1024;

let bed: PoolBed;
beforeEach(() => {
  bed = poolBed();
});
afterEach(() => bed.remove());

test('it is kept small while a start that prints is under way', async () => {
  const control = new AbortController();
  const parameters = { start: 'head -c 24M /dev/zero; sleep 60', stop: 'true' };
  const started = bed.pool.invoke({ use: 'command', name: 'loud', parameters }, 'start', {
    role: 'primary',
    directories: [],
    addresses: [],
    timeoutMs: 60_000,
    signal: control.signal,
  });
  const log = bed.pool.logFile('loud');
  try {
    await until('its end is kept', async () => existsSync(`${log}.1`));
    expect(statSync(log).size).toBeLessThan(16 * MIB);
    expect(statSync(`${log}.1`).size).toBeLessThanOrEqual(4 * MIB);
  } finally {
    control.abort();
    await started;
  }
});
