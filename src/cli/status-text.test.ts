import { expect, test } from 'vitest';
import {
  groupFixture as group,
  nodeFixture as node,
  peerFixture,
  scanFixture as scan,
  statusFixture as status,
  viewFixture as view,
} from './fixtures/status.ts';
import type { VerifyReportData } from '../mirror/verify-report.ts';
import { line } from './node-commands.ts';
import { table } from './output.ts';
import { groupsText, scanText, statusText } from './status-text.ts';
import { verifyText } from './verify-commands.ts';

test('a healthy group is one line under its heading', () => {
  expect(statusText(status({})).split('\n')).toEqual([
    'node a (192.0.2.1), partner b (192.0.2.2): reachable',
    '',
    'GROUP  PRIMARY  STANDBY  MODE  COPY        LINK       LAG   BACKLOG',
    'shop   a        b        sync  up-to-date  connected  3 ms  0 B',
  ]);
});

test('what an operator has to know is said below', () => {
  const text = statusText(
    status({
      limit: '50 Mbit/s',
      compressionRatio: 2.35,
      standby: null,
      link: 'connecting',
      linkReason: 'ECONNREFUSED',
      alone: true,
      lagMs: null,
      backlogBytes: 5_000_000,
      troubles: ['b: the process ended'],
    }),
  );
  expect(text).toContain('! shop: b: the process ended');
  expect(text).toContain('! shop: the primary runs alone, nothing is mirrored');
  expect(text).toContain('! shop: link connecting: ECONNREFUSED');
  expect(text).toMatch(/shop +a +- +sync .* - +4\.8 MiB$/m);
});

test('without partner, without groups', () => {
  expect(statusText({ node, peer: null, groups: [] })).toBe(
    'node a (192.0.2.1), not paired\nno groups',
  );
  const peer = { ...peerFixture, reachable: false, fault: 'x', ageMs: null };
  expect(statusText({ node, peer, groups: [] })).toContain('NOT REACHABLE\n');
  const late = statusText({ node, peer: { ...peer, ageMs: 93_000 }, groups: [] });
  expect(late).toContain('NOT REACHABLE, last heard of 1 min 33 s ago\n');
  const stale = { ...peer, reachable: true, ageMs: 6000 };
  expect(statusText({ node, peer: stale, groups: [] })).toContain(
    'does not answer at present, last heard of 6 s',
  );
});

test('progress with known and unknown totals, and at its ends', () => {
  expect(scanText(scan)).toBe(
    '[########----------------------]  25 %  120/240 files  1.0 GiB of 4.0 GiB  96.0 MiB/s  1 min 33 s left',
  );
  expect(scanText({ ...scan, filesTotal: 0, bytesTotal: 0, secondsLeft: null })).toBe(
    'first copy: 120 files  1.0 GiB  96.0 MiB/s',
  );
  expect(scanText({ ...scan, bytes: 5 * 1024 ** 3 })).toContain('100 %');
  expect(scanText({ ...scan, bytes: 0, bytesTotal: 0, secondsLeft: null })).toContain(' 50 %');
});

test('columns are as wide as their widest cell', () => {
  expect(
    table([
      ['A', 'LONG', 'C'],
      ['xx', 'y', 'z'],
    ]),
  ).toBe('A   LONG  C\nxx  y     z');
});

test('agents of the primary are shown with what their probes saw', () => {
  const seen = { at: '2026-01-01T00:00:00Z', state: 'ok', sentence: 'logged in', ms: 3.1 } as const;
  const base = { use: 'postgresql', phase: 'running', fault: null, log: '/log' } as const;
  const db = { ...base, name: 'db', seen: { ...seen, measures: {} }, restarts: 1, restartsMax: 3 };
  const web = { ...base, name: 'web', seen: null, fault: 'no port', restarts: 0, restartsMax: 3 };
  const local = { ...view, agents: [db, web] };
  const lines = groupsText([{ ...group, local }])
    .split('\n')
    .slice(2);
  expect(lines).toContain(
    '  shop: agent "db" (postgresql) ok: logged in (3 ms); restarted 1 of 3 times',
  );
  expect(lines).toContain('! shop: agent "web" (postgresql) running: no port');
  // A standby says nothing of what it does not run.
  expect(groupsText([{ ...group, local: { ...local, role: 'standby' } }])).not.toContain('agent');
});

test('what applications and names say reaches the terminal as text', () => {
  const evil = 'x\u001b[2J\n2026 INFO all is well\u202e';
  const event = { id: 1, level: 'error', code: 'AGENT_FAILED', details: {} } as const;
  const report: VerifyReportData = {
    version: 1,
    beganAtMs: 0,
    endedAtMs: 1,
    objects: 1,
    bytes: 1,
    state: 'differs',
    count: 1,
    differences: [
      {
        directory: 0,
        path: Buffer.from(evil).toString('latin1'),
        kind: 'contents',
        offset: 0,
        length: 1,
      },
    ],
  };
  const shown = [
    line({ ...event, at: '2026-01-01T00:00:00.000Z', message: evil }),
    groupsText([{ ...group, troubles: [evil] }]),
    verifyText('shop', report),
  ];
  // oxlint-disable-next-line no-control-regex -- these are meant
  for (const text of shown) expect(text).not.toMatch(/[\u0000-\u0009\u000b-\u001f\u202e]/);
  const lines = shown.flatMap((text) => text.split('\n'));
  expect(lines.filter((one) => one.startsWith('2026 INFO'))).toEqual([]);
});
