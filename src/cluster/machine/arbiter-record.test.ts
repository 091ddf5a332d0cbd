// The table of arbiter-record.ts, row by row.
import { expect, test } from 'vitest';
import { applyRequest } from './arbiter-record.ts';
import { PEER, recordOf, SELF } from './fixtures/subject.ts';

const own = recordOf({ holder: SELF, epoch: 5, token: '9' });
const taken = { holder: SELF, released: false, epoch: 6, alone: false };

test('read keeps', () => expect(applyRequest(own, { kind: 'read' }, SELF)).toBe('keep'));

test.each([
  ['with the token', recordOf({ token: '9', epoch: 5 }), '9', taken],
  ['with another token', recordOf({ token: '8', epoch: 5 }), '9', 'conflict'],
  ['the first record', null, null, taken],
  ['a record that should not be there', recordOf({ epoch: 5 }), null, 'conflict'],
  ['an epoch that is not above', recordOf({ token: '9', epoch: 6 }), '9', 'conflict'],
] as const)('acquire %s', (_, record, token, outcome) => {
  const request = { kind: 'acquire', epoch: 6, token, alone: false } as const;
  expect(applyRequest(record, request, SELF)).toEqual(outcome);
});

test('seize needs no token, and an epoch above', () => {
  const request = { kind: 'seize', epoch: 6, alone: false } as const;
  expect(applyRequest(recordOf({ epoch: 5 }), request, SELF)).toEqual(taken);
  expect(applyRequest(recordOf({ epoch: 6 }), request, SELF)).toBe('conflict');
});

test.each([
  ['its own', own, { ...taken, epoch: 5, alone: true }],
  ['that was written since', { ...own, token: '10' }, 'conflict'],
  ['of another epoch', { ...own, epoch: 4 }, 'conflict'],
  ['of the peer', { ...own, holder: PEER }, 'conflict'],
  ['it has released', { ...own, released: true }, 'conflict'],
  ['that is not there', null, 'conflict'],
] as const)('renew a record %s', (_, record, outcome) => {
  const request = { kind: 'renew', epoch: 5, token: '9', alone: true } as const;
  expect(applyRequest(record, request, SELF)).toEqual(outcome);
});

test('release leaves the holder in it: its data is the newest', () => {
  const request = { kind: 'release', epoch: 5, token: '9', alone: true } as const;
  expect(applyRequest(own, request, SELF)).toEqual({
    ...taken,
    epoch: 5,
    alone: true,
    released: true,
  });
  expect(applyRequest({ ...own, token: '8' }, request, SELF)).toBe('conflict');
});
