import { expect, test } from 'vitest';
import {
  groupFixture,
  nodeFixture,
  peerFixture,
  scanFixture as scan,
  statusFixture,
  viewFixture,
} from '../fixtures/status.ts';
import { perSecond, Samples, SAMPLES_MAX } from './samples.ts';
import { progressBar, sparkline } from './sparkline.ts';
import { cut, fit, harmless, widthOf, wrap } from './text.ts';
import { watchFrame, type WatchLook, type WatchState } from './view.ts';

const LOOK: WatchLook = { columns: 80, rows: 24, unicode: true };
const NOON = new Date(2026, 0, 2, 12, 0, 0).getTime();

function stateOf(change: Partial<WatchState> = {}): WatchState {
  return {
    status: statusFixture(),
    samples: new Samples(),
    lost: null,
    peerAgeMs: 800,
    nowMs: NOON,
    scroll: 0,
    ...change,
  };
}

function shown(state: WatchState, look = LOOK): string[] {
  const { lines } = watchFrame(state, look);
  return lines.map((line) => line.map(({ text }) => text).join(''));
}

test('a group on 80 columns: its line, its charts, its copy on the way', () => {
  const samples = new Samples();
  for (let second = 0; second < 100; second += 1) {
    const lagMs = second === 99 ? 4000 : 0;
    samples.add([{ name: 'shop', lagMs, wireBytesPerSecond: second < 50 ? null : 1e6 }]);
  }
  const status = statusFixture({ copy: 'syncing', scan, wireBytesPerSecond: 1e6 });
  const lines = shown(stateOf({ status, samples }));
  expect(lines).toHaveLength(24);
  expect(lines.map(widthOf).filter((width) => width > 80)).toEqual([]);
  const [head, , line, lag, sent, copy] = lines.map((text) => text.trimEnd());
  expect(head).toMatch(
    /^node a \(192\.0\.2\.1\), partner b \(192\.0\.2\.2\): reachable +12:00:00$/,
  );
  expect(line).toBe('shop  syncing       a → b  sync  connected  epoch 1');
  expect(lag).toBe(`  lag             3 ms  ${'▁'.repeat(55)}█`);
  expect(sent).toBe(`  sent     976.6 KiB/s  ${' '.repeat(6)}${'█'.repeat(50)}`);
  expect(copy).toBe(
    '  copy    [###---------]   25 %  1.0 GiB of 4.0 GiB  96.0 MiB/s  1 min 33 s left',
  );
  expect(lines.at(-1)).toMatch(/^1 group +q quits$/);
});

test('what has to be known is shown to its end, without what a terminal would obey', () => {
  const seen = {
    at: '',
    state: 'failed',
    sentence: 'no\u001b[2Jport\n',
    ms: 1,
    measures: {},
  } as const;
  const agent = { name: 'web', use: 'http', phase: 'running', fault: null, log: '' } as const;
  const local = { ...viewFixture, agents: [{ ...agent, seen, restarts: 0, restartsMax: 3 }] };
  const status = statusFixture({ troubles: [`a: ${'word '.repeat(30)}END`], alone: true, local });
  const lines = shown(stateOf({ status }));
  expect(lines.map(widthOf).filter((width) => width > 80)).toEqual([]);
  expect(lines.join('')).toBe(harmless(lines.join('')));
  expect(lines.join('\n')).toContain('END');
  expect(lines).toContain('! the primary runs alone, nothing is mirrored');
  expect(lines.join('\n')).toContain('! agent "web" (http) failed: no [2Jport  (1 ms)');
  expect(lines.at(-1)).toMatch(/^1 group, 1 with trouble/);
});

test('a service that is silent, and a partner that is: how old all of it is', () => {
  const peer = { ...peerFixture, reachable: false, fault: 'x', ageMs: 1 };
  const status = { ...statusFixture(), peer };
  const lost = { sinceMs: NOON - 30_000, why: 'ECONNREFUSED' };
  const lines = shown(stateOf({ status, lost, peerAgeMs: 61_000 }), { ...LOOK, columns: 120 });
  expect(lines[0]).toContain('NOT REACHABLE, last heard of 1 min 1 s ago');
  expect(lines[1]).toContain('! the service does not answer since 11:59:30 (ECONNREFUSED)');
});

test('more groups than fit: the calm ones shrink to a line, the rest can be scrolled to', () => {
  const groups = Array.from({ length: 40 }, (_, index) => ({
    ...groupFixture,
    name: `group-${index}`,
    alone: index === 7,
  }));
  const status = { node: nodeFixture, peer: null, groups };
  const top = watchFrame(stateOf({ status }), LOOK);
  expect(top.lines).toHaveLength(24);
  const bottom = shown(stateOf({ status, scroll: 1000 }));
  expect(bottom.join('\n')).toContain('group-39 ');
  expect(bottom.at(-1)).toMatch(
    /40 groups, 1 with trouble, lines \d+ to (\d+) of \1 .*↑↓ scrolls$/,
  );
  const all = Array.from({ length: top.scrollMax + 1 }, (_, scroll) =>
    shown(stateOf({ status, scroll })),
  );
  for (let index = 0; index < 40; index += 1) {
    expect(all.flat().some((line) => line.startsWith(`group-${index} `))).toBe(true);
  }
  expect(all.flat()).toContain('! the primary runs alone, nothing is mirrored');
});

test.each([
  [1, 1],
  [2, 10],
  [20, 3],
  [79, 24],
  [500, 100],
])('any size: %i columns, %i rows', (columns, rows) => {
  const status = statusFixture({ scan, verifying: scan, backlogBytes: 5e9, alone: true });
  const lines = shown(stateOf({ status }), { columns, rows, unicode: false });
  expect(lines).toHaveLength(rows);
  expect(lines.join('\n')).not.toMatch(/[▁-█→↑]/);
});

test('bars of known height, gaps for what is not known, the latest at the right', () => {
  const chart = { width: 6, unicode: true, least: 8 };
  expect(sparkline([0, 4, 8], chart)).toBe('   ▁▅█');
  expect(sparkline([9, 9, 9, 0, null, 16, 8, 1, 0], chart)).toBe('▁ █▅▂▁');
  expect(sparkline([0, 8], { ...chart, unicode: false })).toBe('    _#');
  expect(sparkline([1, 2], { ...chart, width: 0 })).toBe('');
  expect(progressBar(0.5, 12)).toBe('[#####-----]');
  expect([progressBar(2, 4), progressBar(-1, 4), progressBar(1, 1)]).toEqual([
    '[##]',
    '[--]',
    '[]',
  ]);
});

test('samples are bounded, forgotten with their group, and preceded by the past', () => {
  const samples = new Samples();
  const sample = { name: 'shop', lagMs: 1, wireBytesPerSecond: null };
  samples.add([sample, { ...sample, name: 'gone' }]);
  for (let count = 0; count < SAMPLES_MAX; count += 1) samples.add([sample]);
  expect(samples.of('shop').lagMs).toHaveLength(SAMPLES_MAX);
  expect(samples.of('gone').lagMs).toEqual([]);

  const young = new Samples();
  young.add([sample]);
  young.precede('shop', { lagMs: [7, null], wireBytesPerSecond: [1, 2] });
  expect(young.of('shop')).toEqual({ lagMs: [7, null, 1], wireBytesPerSecond: [1, 2, null] });

  const span = { fromSeconds: 100, toSeconds: 106, grainSeconds: 2 };
  expect(
    perSecond(
      [
        [98, 9, 0, 0],
        [100, 1, 0, 0],
        [104, 2, 0, 0],
      ],
      span,
    ),
  ).toEqual([1, 1, null, null, 2, 2]);
});

test('widths are those of the screen', () => {
  expect(cut('備援伺服器', 6)).toBe('備援…');
  expect(fit('備援', 6)).toBe('備援  ');
  expect([cut('abc', 3), cut('abcd', 3), cut('abc', 0)]).toEqual(['abc', 'ab…', '']);
  expect(wrap('one two three', 7, '  ')).toEqual(['one two', '  three']);
  expect(wrap('muchtoolong', 5, '  ')).toEqual(['much…']);
  expect(harmless('a\u001b]0;x\u0007\u202eb')).toBe('a ]0;x  b');
});
