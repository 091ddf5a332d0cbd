// Going on alone: where it has to be known before commits are acknowledged without the standby.
import { expect, test } from 'vitest';
import {
  beatOf,
  DATA,
  primary,
  primaryBeat,
  standby,
  type Subject,
  together,
} from './fixtures/subject.ts';

function wanted(subject: Subject, request = 3): Subject {
  return subject.give({ kind: 'commits', state: 'alone-wanted', request, why: 'silent' });
}

test('gateway: the peer that is heard has to note it first', () => {
  const subject = wanted(primary());
  const { alone } = subject.last('sendBeat').beat;
  expect(alone).not.toBeNull();
  subject.pass(5000, together);
  expect(subject.find('allowAlone')).toBeUndefined();
  subject.hear(beatOf({ aloneSeen: alone, epoch: subject.state.epoch }));
  expect(subject.last('allowAlone')).toEqual({ kind: 'allowAlone', request: 3, recorded: true });
});

test('gateway: a mark of an earlier time is no answer', () => {
  const subject = wanted(primary());
  const old = subject.last('sendBeat').beat.alone;
  subject.give({ kind: 'commits', state: 'together', request: 4, why: 'back' });
  wanted(subject, 5).hear(beatOf({ aloneSeen: old, epoch: subject.state.epoch }));
  expect(subject.find('allowAlone')).toBeUndefined();
});

test('gateway: nobody to tell: goes on after a silence in which the gateway answered, loudly', () => {
  const subject = wanted(primary());
  subject.pass(900, (each) => each.gateway());
  expect(subject.find('allowAlone')).toBeUndefined();
  subject.pass(300, (each) => each.gateway());
  expect(subject.last('allowAlone')).toMatchObject({ recorded: false });
  expect(subject.codes()).toContain('GOES_ON_ALONE_UNRECORDED');
});

test('etcd: written by a request of its own since then, done, and not before', () => {
  const subject = primary({ arbiter: 'etcd' });
  wanted(subject.forget());
  const { request } = subject.last('askArbiter');
  expect(request).toMatchObject({ kind: 'renew', alone: true });
  expect(subject.find('allowAlone')).toBeUndefined();
  together(subject);
  expect(subject.last('allowAlone')).toMatchObject({ recorded: true });
});

test('etcd: a record that still says "alone" from before is not enough', () => {
  const subject = primary({ arbiter: 'etcd' });
  wanted(subject);
  together(subject);
  subject.give({ kind: 'commits', state: 'together', request: 4, why: 'back' });
  // The write that takes "alone" back is on its way, and its answer never comes.
  subject.forget();
  wanted(subject, 5);
  subject.pass(100, (each) => each.hearGrant(beatOf({ epoch: each.state.epoch })));
  expect(subject.state.vote.record?.alone).toBe(true);
  expect(subject.find('allowAlone')).toBeUndefined();
});

test('none: after aloneAfterMs of silence', () => {
  const subject = wanted(primary({ arbiter: 'none' }));
  subject.pass(1900);
  expect(subject.find('allowAlone')).toBeUndefined();
  subject.pass(300);
  expect(subject.last('allowAlone')).toMatchObject({ recorded: false });
});

test('a new primary records it without being asked: it has no standby yet', () => {
  const subject = primary();
  expect(subject.state.alone.mark.epoch).toBe(subject.state.epoch);
});

test('the standby notes the mark durably before it answers, under an engine that votes', () => {
  const mark = { epoch: DATA.epoch, count: 9 };
  const subject = standby({ arbiter: 'etcd' }).hear(primaryBeat({ alone: mark }));
  const { memo, version } = subject.last('persist');
  expect(memo).toMatchObject({ stale: true, aloneSeen: mark });
  expect(subject.last('sendBeat').beat.aloneSeen).toBeNull();
  subject.give({ kind: 'persisted', version });
  expect(subject.last('sendBeat').beat.aloneSeen).toEqual(mark);
});

test('the standby clears the mark when commits wait for it again', () => {
  const subject = standby().hear(primaryBeat({ alone: { epoch: DATA.epoch, count: 9 } }));
  subject.hear(primaryBeat());
  expect(subject.last('persist').memo).toMatchObject({ stale: false, aloneSeen: null });
});
