import * as fc from 'fast-check';
import { expect, test } from 'vitest';
import { pathOf } from './proxy-routes.ts';

const pieces = fc.constantFrom(
  '/',
  '.',
  '..',
  '%2e',
  '%2F',
  'api',
  'v1',
  'groups',
  '?',
  '#',
  '\\',
  '%00',
  'ü',
  ' ',
  'a=b',
  '&',
  ';',
);

test('whatever a browser asks of the proxy, only routes below /api/v1/ come out of it', () => {
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 12 }), (parts) => {
      const url = `/api/console/nodes/self/${parts.join('')}`;
      let path: string;
      try {
        path = pathOf(url);
      } catch {
        return;
      }
      expect(path.startsWith('/api/v1/')).toBe(true);
      expect(new URL(path, 'https://node').pathname.startsWith('/api/v1/')).toBe(true);
      expect(url.endsWith(path)).toBe(true);
    }),
    { numRuns: 3000 },
  );
});

test('what is meant passes unchanged', () => {
  for (const path of [
    '/api/v1/status',
    '/api/v1/groups/shop/limit',
    '/api/v1/browse?path=%2Fsrv%2F..',
    '/api/v1/events?text=a%20b&count=5',
  ]) {
    expect(pathOf(`/api/console/nodes/0a1b${path}`)).toBe(path);
  }
});
