import { describe, expect, it } from 'vitest';
import { alarmEvent } from '../mirror/standby-events.ts';
import { parseRewindWish } from './rewind-wish.ts';

const NOW = new Date('2026-03-01T12:00:00Z');

describe('a moment to go back to', () => {
  it.each([
    ['12345', { kind: 'sequence', sequence: 12_345 }],
    ['before-release', { kind: 'name', name: 'before-release' }],
    ['10m ago', { kind: 'time', atMs: NOW.getTime() - 600_000 }],
    ['2h ago', { kind: 'time', atMs: NOW.getTime() - 7_200_000 }],
    ['2026-03-01T11:00:00Z', { kind: 'time', atMs: NOW.getTime() - 3_600_000 }],
    ['2026-03-01T12:00:00+01:00', { kind: 'time', atMs: NOW.getTime() - 3_600_000 }],
    ['2026-03-01T11:59:59.5Z', { kind: 'time', atMs: NOW.getTime() - 500 }],
  ])('%s', (text, wish) => expect(parseRewindWish(text, NOW)).toEqual(wish));

  it('may be a time of today', () => {
    const wish = parseRewindWish('14:05:30', NOW);
    const at = new Date(wish.kind === 'time' ? wish.atMs : 0);
    expect([at.getHours(), at.getMinutes(), at.getSeconds(), at.getDate()]).toEqual([
      14,
      5,
      30,
      NOW.getDate(),
    ]);
  });

  it('is named by an alarm, as a command: the last millisecond before it began', () => {
    const alarm = { what: '25 files', since: '2026-03-01T11:00:00.000Z' };
    const [, , message, details] = alarmEvent('shop', { ...alarm, isKept: true });
    const named = [...message.matchAll(/"understudy rewind (\w+) shop --at (\S+) [^"]+"/g)];
    expect(named.map(([, command]) => command)).toEqual(['browse', 'restore']);
    for (const [, , at = ''] of named) {
      const atMs = NOW.getTime() - 3_600_001;
      expect(parseRewindWish(at, NOW)).toEqual({ kind: 'time', atMs });
      expect(details).toEqual({ since: alarm.since, rewindTo: at });
    }
    const [, , without] = alarmEvent('shop', { ...alarm, isKept: false });
    expect(without).not.toContain('rewind');
  });

  it.each([
    '',
    '25:00',
    '14:60',
    '14:05:60',
    '5 moons ago',
    '2026-03-01T11:00:00',
    '2026-13-01T00:00Z',
    '-5',
    '1'.repeat(20),
    'a b',
    '%',
  ])('is not %s', (text) => {
    const parse = (): unknown => parseRewindWish(text, NOW);
    expect(parse).toThrow(/is no moment/);
  });
});
