// Limits as people write them, and which one holds at a given minute of the week.
import { describe, expect, test } from 'vitest';
import { formatRate, parseRate } from '../core/units.ts';
import { defineBandwidth, windowFromText } from './bandwidth-input.ts';
import { limitAt, windowText } from './bandwidth.ts';
import { type LimitStatus, PrimaryLimit } from './primary-limit.ts';

const Mbit = 1e6 / 8;
/** Local time in the week of Monday, 5 January 2026. */
const at = (day: number, hour: number, minute = 0): Date =>
  new Date(2026, 0, 5 + day, hour, minute, 30);

describe('a rate', () => {
  test.each([
    ['50Mbit/s', 50 * Mbit],
    ['50 mbit', 50 * Mbit],
    ['1.5 Gbit/s', 1500 * Mbit],
    ['64 kbit/s', 8000],
    ['5 MB/s', 5e6],
    ['2 MiB/s', 2 * 1024 * 1024],
  ])('%s', (text, bytes) => {
    expect(parseRate(text)).toBe(bytes);
  });
  test.each(['50', '50 Mb/s', 'fast', '-1 Mbit/s', '50 Mbit/h', '50 Mbits', ''])(
    'not "%s"',
    (text) => {
      expect(() => parseRate(text)).toThrow(/write for example "50 Mbit\/s"/);
    },
  );
  test('is shown as it was written', () => {
    for (const text of ['50 Mbit/s', '64 kbit/s', '1.5 Gbit/s', '200 Mbit/s', '1 Mbit/s'])
      expect(formatRate(parseRate(text))).toBe(text);
  });
});

describe('a schedule', () => {
  const bandwidth = defineBandwidth(
    {
      default: '200 Mbit/s',
      schedule: [
        { days: 'mon-fri', from: '08:00', to: '18:00', bandwidth: '50 Mbit/s' },
        { days: ['sat', 'sunday'], from: '22:00', to: '06:00', bandwidth: 'unlimited' },
        { days: 'wed', from: '18:00', to: '24:00', bandwidth: '1 Mbit/s' },
      ],
    },
    'test',
  );
  test.each([
    [at(0, 7, 59), 200],
    [at(0, 8), 50],
    [at(4, 17, 59), 50],
    [at(4, 18), 200],
    [at(5, 12), 200],
    [at(5, 22), null],
    [at(6, 5, 59), null],
    [at(6, 6), 200],
    [at(6, 23, 59), null],
    [at(7, 5, 59), null],
    [at(0, 5, 59), null],
    [at(7, 6), 200],
    [at(2, 23, 59), 1],
    [at(3, 0), 200],
  ])('at %s: %s', (time, expected) => {
    expect(limitAt(bandwidth, time).rate).toBe(expected === null ? null : expected * Mbit);
  });

  test('is the same on the command line and in the status', () => {
    const texts = [
      'mon-fri 08:00-18:00 50 Mbit/s',
      'sat,sun 22:00-06:00 unlimited',
      'daily 06:00-07:00 1 Mbit/s',
    ];
    const { schedule } = defineBandwidth({ schedule: texts.map(windowFromText) }, 'test');
    expect(schedule.map(windowText)).toEqual(texts);
    const [night] = defineBandwidth(
      { schedule: [windowFromText('22:00-6:30 1Mbit')] },
      'x',
    ).schedule;
    expect(windowText(night ?? expect.fail())).toBe('daily 22:00-06:30 1 Mbit/s');
  });

  test.each<[unknown, RegExp]>([
    [50, /bandwidth: /],
    ['1 bit/s', /is not between 64 kbit\/s and 1000 Gbit\/s/],
    [{ schedule: [{ from: '8', to: '9:00', bandwidth: '1 Mbit/s' }] }, /"8" is no time of day/],
    [{ schedule: [{ from: '08:00', to: '25:00', bandwidth: '1 Mbit/s' }] }, /"25:00" is no time/],
    [{ schedule: [{ from: '08:00', to: '08:00', bandwidth: '1 Mbit/s' }] }, /no span of time/],
    [{ schedule: [{ from: '24:00', to: '08:00', bandwidth: '1 Mbit/s' }] }, /no span of time/],
    [
      { schedule: [{ days: 'mo-fr', from: '08:00', to: '09:00', bandwidth: '1 Mbit/s' }] },
      /"mo-fr" names no days/,
    ],
    [{ schedule: [{ from: '08:00', to: '09:00', rate: '1 Mbit/s' }] }, /unknown key "rate"/],
    [{ default: '1 Mbit/s' }, /"schedule" is missing/],
    [
      {
        schedule: [
          { days: 'mon', from: '08:00', to: '12:00', bandwidth: '1 Mbit/s' },
          { days: 'mon-tue', from: '11:59', to: '13:00', bandwidth: '2 Mbit/s' },
        ],
      },
      /"mon 08:00-12:00 1 Mbit\/s" and "mon,tue 11:59-13:00 2 Mbit\/s" overlap/,
    ],
    [
      {
        schedule: [
          { days: 'sun', from: '22:00', to: '06:00', bandwidth: '1 Mbit/s' },
          { days: 'mon', from: '05:00', to: '07:00', bandwidth: '2 Mbit/s' },
        ],
      },
      /overlap/,
    ],
  ])('%j is refused', (input, message) => {
    expect(() => defineBandwidth(input, 'test')).toThrow(message);
  });
});

describe('the limit in force', () => {
  const input = {
    default: 'unlimited',
    schedule: [windowFromText('mon-fri 08:00-18:00 50Mbit/s')],
  };
  function begin(): {
    limit: PrimaryLimit;
    rates: (number | null)[];
    told: LimitStatus[];
    clock: { now: Date };
  } {
    const clock = { now: at(0, 7) };
    const rates: (number | null)[] = [];
    const told: LimitStatus[] = [];
    const limit = new PrimaryLimit(
      { ...defineBandwidth(input, 'test'), revision: 1 },
      {
        sender: { setLimit: (rate) => rates.push(rate) },
        onChange: (status) => told.push(status),
        now: () => clock.now,
      },
    );
    return { limit, rates, told, clock };
  }

  test('says why, changes by the clock, and never goes back to an older one', () => {
    const { limit, rates, told, clock } = begin();
    expect(limit.status).toMatchObject({ rate: null, why: 'unlimited, outside of the schedule' });
    clock.now = at(0, 9);
    const newer = { ...defineBandwidth(input, 'test'), revision: 2 };
    limit.change(newer);
    expect(limit.status.why).toBe('50 Mbit/s, by the schedule (mon-fri 08:00-18:00 50 Mbit/s)');
    expect(told).toHaveLength(1);
    limit.change({ rate: 8000, schedule: [], revision: 1 });
    expect(rates).toEqual([null, 50 * Mbit]);
    limit.setShare(10 * Mbit);
    expect(limit.status).toMatchObject({ rate: 10 * Mbit, from: 'node' });
    limit.setShare(60 * Mbit);
    expect(limit.status).toMatchObject({ rate: 50 * Mbit, from: 'schedule' });
    limit.setShare(null);
    expect(rates).toEqual([null, 50 * Mbit, 10 * Mbit, 50 * Mbit]);
  });
});
