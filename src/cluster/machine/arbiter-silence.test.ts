// An arbiter that has ceased to answer while both nodes are well and serve by each other's word.
import { expect, test } from 'vitest';
import {
  answerAsOwn,
  beatOf,
  primary,
  primaryBeat,
  recordOf,
  standby,
  type Subject,
} from './fixtures/subject.ts';

const codes = ({ effects }: Subject): string[] =>
  effects.flatMap((effect) =>
    effect.kind === 'emit' && effect.code.startsWith('ARBITER') ? [effect.code] : [],
  );

type Each = (subject: Subject) => void;
const isAsked = ({ state }: Subject): boolean => state.vote.ask !== null;

const cases: readonly [string, () => Subject, heard: Each, silent: Each, answers: Each][] = [
  [
    'etcd, on the primary',
    () => primary({ arbiter: 'etcd' }),
    (each) => each.hearGrant(beatOf({ epoch: each.state.epoch })),
    (each) => isAsked(each) && each.answer('unreachable', null),
    (each) => isAsked(each) && answerAsOwn(each),
  ],
  [
    'etcd, on the standby',
    () => standby({ arbiter: 'etcd' }),
    (each) => each.hear(primaryBeat()),
    (each) => isAsked(each) && each.answer('unreachable', null),
    (each) => isAsked(each) && each.answer('done', recordOf()),
  ],
  [
    'the gateway',
    () => standby(),
    (each) => each.hear(primaryBeat()),
    (each) => each.gateway(false),
    (each) => each.gateway(),
  ],
];

test.each(cases)('%s: told once after half a minute, and when it is over', (...row) => {
  const [, make, heard, silent, answers] = row;
  const both = (one: Each, other: Each): Each => {
    return (each) => {
      one(each);
      other(each);
    };
  };
  const subject = make().pass(5000, both(heard, answers));
  subject.pass(28_000, both(heard, silent));
  expect(codes(subject)).toEqual([]);
  subject.pass(60_000, both(heard, silent));
  expect(codes(subject)).toEqual(['ARBITER_SILENT']);
  expect(subject.state.arbiterSilence.told).toMatch(/^(etcd|the gateway) has not answered alpha/);
  subject.pass(3000, both(heard, answers));
  expect(codes(subject)).toEqual(['ARBITER_SILENT', 'ARBITER_ANSWERS']);
  expect(subject.state.arbiterSilence.told).toBe('');
  subject.pass(60_000, both(heard, answers));
  expect(codes(subject)).toHaveLength(2);
});

test('the reason is told as the arbiter gave it', () => {
  const subject = standby({ arbiter: 'etcd' });
  subject.pass(40_000, (each) => {
    each.hear(primaryBeat());
    if (isAsked(each)) each.answer('unreachable', null);
  });
  expect(subject.state.arbiterSilence.told).toContain('(the certificate has expired)');
});

test('an answer now and then is enough', () => {
  const subject = standby({ arbiter: 'etcd' });
  let asked = 0;
  subject.pass(120_000, (each) => {
    each.hear(primaryBeat());
    if (!isAsked(each)) return;
    asked += 1;
    if (asked % 5 === 0) each.answer('done', recordOf());
    else each.answer('unreachable', null);
  });
  expect(asked).toBeGreaterThan(20);
  expect(codes(subject)).toEqual([]);
});

test('a machine that stood still has not asked', () => {
  const subject = standby({ arbiter: 'etcd' });
  subject.pass(5000, (each) => {
    each.hear(primaryBeat());
    if (isAsked(each)) each.answer('unreachable', null);
  });
  subject.now += 3_600_000;
  subject.pass(5000, (each) => {
    each.hear(primaryBeat());
    if (isAsked(each)) each.answer('unreachable', null);
  });
  expect(codes(subject)).toEqual([]);
});
