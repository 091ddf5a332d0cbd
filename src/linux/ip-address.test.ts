import { expect, test } from 'vitest';
import { formatAddress, formatMac, parseAddress, sameNetwork } from './ip-address.ts';

test.each([
  ['192.0.2.10', '192.0.2.10'],
  ['::', '::'],
  ['::1', '::1'],
  ['2001:DB8:0:0:1:0:0:1', '2001:db8::1:0:0:1'],
  ['fe80::1:2', 'fe80::1:2'],
  ['::ffff:192.0.2.1', '::ffff:c000:201'],
  ['1:2:3:4:5:6:7:8', '1:2:3:4:5:6:7:8'],
  ['1:0:3:4:5:6:7:8', '1:0:3:4:5:6:7:8'],
])('%s is written %s', (text, canonical) => {
  const bytes = parseAddress(text);
  expect(bytes).toBeDefined();
  expect(formatAddress(bytes ?? new Uint8Array())).toBe(canonical);
});

test.each(['', '192.0.2', '192.0.2.256', 'fe80::1%eth0', ':::', 'host', '1:2:3:4:5:6:7:8:9'])(
  '"%s" is no address',
  (text) => expect(parseAddress(text)).toBeUndefined(),
);

function parsed(text: string): Uint8Array {
  return parseAddress(text) ?? new Uint8Array();
}

test('networks', () => {
  expect(sameNetwork(parsed('10.1.2.3'), parsed('10.1.2.250'), 24)).toBe(true);
  expect(sameNetwork(parsed('10.1.2.3'), parsed('10.1.3.3'), 24)).toBe(false);
  expect(sameNetwork(parsed('10.1.2.3'), parsed('10.1.3.3'), 23)).toBe(true);
  expect(sameNetwork(parsed('10.1.2.3'), parsed('11.0.0.0'), 0)).toBe(true);
  expect(sameNetwork(parsed('fd00::1'), parsed('fd00::2'), 127)).toBe(false);
  expect(sameNetwork(parsed('fd00::2'), parsed('fd00::3'), 127)).toBe(true);
  expect(sameNetwork(parsed('fd00::2'), parsed('10.0.0.1'), 0)).toBe(false);
  expect(formatMac(Uint8Array.of(2, 77, 0, 1, 0, 255))).toBe('02:4d:00:01:00:ff');
});
