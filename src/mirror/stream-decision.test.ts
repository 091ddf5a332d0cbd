// Every answer to a hello that matters, one by one.
import { describe, expect, it } from 'vitest';
import { LINK_VERSION } from './link/frame.ts';
import type { Hello } from './link/messages.ts';
import { decideStream, type StandbyView } from './stream-decision.ts';

const ours = '01'.repeat(16);
const other = '02'.repeat(16);
const groupId = 'ab'.repeat(16);

const hello: Hello = {
  protocol: LINK_VERSION,
  group: 'shop',
  groupId,
  node: { id: '0123456789abcdef', name: 'a' },
  epoch: 4,
  streamId: ours,
  firstSequence: 1,
  base: null,
  headSequence: 900,
  neededSequence: 900,
  tailSequence: 500,
  commitsWaitFor: 'durable',
  life: null,
  needsReceived: 0,
  marks: [],
};
const view: StandbyView = {
  group: 'shop',
  groupId,
  epoch: 4,
  position: { streamId: ours, sequence: 700 },
  copy: 'usable',
};

const scan = (reason: RegExp): unknown => ({ kind: 'scan', reason: expect.stringMatching(reason) });
const refuse = (code: string): unknown => expect.objectContaining({ kind: 'refuse', code });

describe('the stream that is held', () => {
  it('goes on at the next record, as long as that is kept', () => {
    expect(decideStream(hello, view)).toEqual({ kind: 'resume', from: 701 });
    const at = (sequence: number): unknown =>
      decideStream(hello, { ...view, position: { streamId: ours, sequence } });
    expect(at(499)).toEqual({ kind: 'resume', from: 500 });
    expect(at(498)).toEqual(scan(/not kept/));
    expect(at(900)).toEqual({ kind: 'resume', from: 901 });
    expect(at(901)).toEqual(scan(/does not know/));
  });

  it('goes on within a scan, but not after a scan was lost', () => {
    expect(decideStream(hello, { ...view, copy: 'scanning' })).toEqual({
      kind: 'resume',
      from: 701,
    });
    expect(decideStream(hello, { ...view, copy: 'broken' })).toEqual(scan(/not complete/));
  });
});

describe('another stream', () => {
  const next: Hello = {
    ...hello,
    epoch: 5,
    streamId: other,
    base: { streamId: ours, sequence: 700 },
    firstSequence: 701,
    headSequence: 800,
    tailSequence: 701,
  };

  it('is carried on with when it began exactly where the copy stands', () => {
    expect(decideStream(next, view)).toEqual({ kind: 'continue', from: 701 });
  });

  it('needs a scan when anything does not fit', () => {
    const wrong: Partial<Hello>[] = [
      { base: null },
      { base: { streamId: ours, sequence: 699 }, firstSequence: 700 },
      { base: { streamId: ours, sequence: 701 }, firstSequence: 702 },
      { base: { streamId: other, sequence: 700 } },
      { firstSequence: 702 },
      { tailSequence: 702 },
    ];
    for (const change of wrong) {
      expect(decideStream({ ...next, ...change }, view)).toEqual(scan(/another stream/));
    }
    expect(decideStream(next, { ...view, copy: 'scanning' })).toEqual(scan(/another stream/));
    expect(decideStream(next, { ...view, copy: 'broken' })).toEqual(scan(/not complete/));
    expect(decideStream(next, { ...view, position: null })).toEqual(scan(/no copy yet/));
  });
});

describe('a primary that is not ours to follow', () => {
  it('is refused with the reason', () => {
    expect(decideStream({ ...hello, epoch: 3 }, view)).toEqual(refuse('STALE_EPOCH'));
    const stranger = { ...hello, groupId: 'cd'.repeat(16) };
    expect(decideStream(stranger, view)).toEqual(refuse('UNKNOWN_GROUP'));
    expect(decideStream({ ...hello, protocol: LINK_VERSION + 1 }, view)).toEqual(
      refuse('PROTOCOL_MISMATCH'),
    );
  });
});
