// docs/failover.md has the timings that the program has, and all keys that the settings know.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { DATAGRAM_BYTES } from './heartbeat/datagram.ts';
import { HEARTBEAT_PORT } from './heartbeat/path-socket.ts';
import { defaultTimings, fastTimings, type Timings } from './machine/timings.ts';

const page = readFileSync(join(import.meta.dirname, '../../docs/failover.md'), 'utf8');

test.each([
  ['heartbeatInterval', 'heartbeatIntervalMs'],
  ['deadAfter', 'deadAfterMs'],
  ['lease', 'leaseMs'],
  ['aloneAfter', 'aloneAfterMs'],
] satisfies [string, keyof Timings][])('%s', (key, field) => {
  const row = page.split('\n').find((line) => line.endsWith(`| \`${key}\` |`));
  expect(row).toContain(`| ${defaultTimings[field]} ms | ${fastTimings[field]} ms |`);
});

test('sizes and ports', () => {
  expect(page).toContain(`UDP port ${HEARTBEAT_PORT}`);
  expect(page).toContain(`one datagram of ${DATAGRAM_BYTES} bytes`);
});
