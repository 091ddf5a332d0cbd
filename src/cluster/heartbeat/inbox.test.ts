import { expect, test } from 'vitest';
import { HeartbeatBoard } from './board.ts';
import { datagram } from './fixtures/beats.ts';
import { Inbox } from './inbox.ts';

function inbox(): { board: HeartbeatBoard; inbox: Inbox } {
  const board = new HeartbeatBoard();
  return { board, inbox: new Inbox({ board, slot: 0, ownLife: 2 }) };
}

test('the same heartbeat on a second network is no news, but is measured', () => {
  const { board, inbox: box } = inbox();
  expect(box.accept(datagram(), 0, 5000)).toMatchObject({ life: 3, sentAtMs: 1000.5 });
  expect(box.accept(datagram(), 1, 5001)).toBeUndefined();
  expect(board.path(0, 'received')).toBe(1);
  expect(board.path(1, 'received')).toBe(1);
  expect(board.group(0, 'lastHeardMs')).toBe(5000);
});

test('repeated and late heartbeats are no news', () => {
  const { board, inbox: box } = inbox();
  box.accept(datagram({ sequence: 10 }), 0, 5000);
  expect(box.accept(datagram({ sequence: 10 }), 0, 5100)).toBeUndefined();
  expect(box.accept(datagram({ sequence: 9 }), 0, 5200)).toBeUndefined();
  expect(board.path(0, 'late')).toBe(2);
  expect(board.group(0, 'lastHeardMs')).toBe(5000);
});

test('a new life starts anew; the old one is not heard again', () => {
  const { inbox: box } = inbox();
  box.accept(datagram({ sequence: 10 }), 0, 5000);
  expect(box.accept(datagram({ life: 4, sequence: 1 }), 0, 5100)).toMatchObject({ life: 4 });
  expect(box.accept(datagram({ life: 3, sequence: 11 }), 0, 5200)).toBeUndefined();
});

test('what was heard of a former life of ours is not heard back', () => {
  const { inbox: box } = inbox();
  expect(box.accept(datagram({ heardLife: 1 }), 0, 1)?.heardBackMs).toBeNull();
  expect(box.accept(datagram({ heardLife: 0, sequence: 2 }), 0, 2)?.heardBackMs).toBeNull();
  expect(box.accept(datagram({ heardLife: 2, sequence: 3 }), 0, 3)?.heardBackMs).toBe(900.25);
});

test('loss, gaps, jitter and round trip are measured per network', () => {
  const { board, inbox: box } = inbox();
  const beat = (sequence: number, sentAtMs: number, arrivedMs: number): void => {
    const echo = { heardAtMs: 4000, echoMs: arrivedMs - 30, echoAgeUs: 28_000 };
    box.accept(datagram({ sequence, sentAtMs, ...echo }), 0, arrivedMs);
  };
  beat(1, 1000, 5000);
  beat(2, 1100, 5100);
  expect(board.path(0, 'jitterMs')).toBe(0);
  beat(3, 1200, 5216);
  expect(board.path(0, 'jitterMs')).toBe(1);
  beat(6, 1500, 5500);
  expect(board.path(0, 'lost')).toBe(2);
  expect(board.path(0, 'gapMaxMs')).toBe(284);
  expect(board.path(0, 'roundTripMs')).toBeCloseTo(2, 6);
  expect(board.measurements(0)).toMatchObject({ received: 4, lost: 2, late: 0 });
});

test('the echo tells what arrived, on any network and on this one', () => {
  const { inbox: box } = inbox();
  expect(box.echo(0, 1)).toEqual({ heardLife: 0, heardAtMs: 0, echoMs: 0, echoAgeUs: 0 });
  box.accept(datagram({ sequence: 1, sentAtMs: 1000 }), 0, 5000);
  box.accept(datagram({ sequence: 2, sentAtMs: 1100 }), 1, 5100);
  expect(box.echo(0, 5150)).toEqual({
    heardLife: 3,
    heardAtMs: 1100,
    echoMs: 1000,
    echoAgeUs: 150_000,
  });
});
