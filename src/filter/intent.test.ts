// What a successor concludes from the notes of a process that died at any point of a request.
import { beforeEach, describe, expect, it } from 'vitest';
import { sys } from '../linux/libc.ts';
import { Request } from './channel.ts';
import { Intent } from './intent.ts';
import { SharedState } from './shared-state.ts';

let state: SharedState;
beforeEach(() => {
  if (state !== undefined) sys.close(state.fd);
  state = SharedState.create('test', 4096);
});

/** A request with this number, for the second time or for the first. */
function request(unique: number, isResent: boolean): Request {
  const bytes = new Uint8Array(new ArrayBuffer(64));
  const view = new DataView(bytes.buffer);
  view.setUint32(8, unique, true);
  view.setUint32(12, isResent ? 0x8000_0000 : 0, true);
  const made = new Request(bytes, view);
  made.load(0, 64);
  return made;
}

/** The notes as another process finds them when record `sequence` is the last one in the ring. */
function succeed(sequence: number): Intent {
  const next = new Intent(state, 3);
  next.inherit(sequence);
  return next;
}

describe('a request that was begun behind record 10', () => {
  beforeEach(() => new Intent(state, 3).begin(request(7, false), 10, { a: 2 ** 40, b: 5, c: 1 }));

  it('is not recorded when 10 is still the last one', () => {
    const noted = succeed(10).resume(request(7, true), 10);
    expect(noted).toEqual({ a: 2 ** 40, b: 5, c: 1, recorded: false, partial: false });
  });

  it('is recorded when there are more', () => {
    expect(succeed(12).resume(request(7, true), 12)).toMatchObject({ recorded: true });
  });

  it('is resumed once, by the same request only, and only when that comes again', () => {
    const next = succeed(10);
    expect(next.resume(request(8, true), 10)).toBeUndefined();
    expect(next.resume(request(7, false), 10)).toBeUndefined();
    expect(next.resume(request(7, true), 10)).toBeDefined();
    expect(next.resume(request(7, true), 10)).toBeUndefined();
  });

  it('is forgotten when another one is begun: it was answered', () => {
    const next = succeed(11);
    next.begin(request(9, false), 11);
    expect(next.resume(request(7, true), 11)).toBeUndefined();
  });

  it('stays unrecorded though others were recorded before a second death', () => {
    succeed(10);
    expect(succeed(14).resume(request(7, true), 14)).toMatchObject({ recorded: false });
  });

  it('stays recorded over a second death', () => {
    succeed(11);
    expect(succeed(15).resume(request(7, true), 15)).toMatchObject({ recorded: true });
  });

  it('resumed behind 14 and recorded, it is recorded at the second death, otherwise not', () => {
    succeed(10).resume(request(7, true), 14);
    expect(succeed(14).resume(request(7, true), 14)).toMatchObject({ recorded: false });
    expect(succeed(15).resume(request(7, true), 15)).toMatchObject({ recorded: true });
  });

  it('recorded in part, it needs a scan; not recorded at all, it does not', () => {
    new Intent(state, 3).notePartial();
    const none = succeed(10);
    expect(none.resume(request(7, true), 10)).toMatchObject({ partial: false });
    expect(none.needsScan).toBe(false);
    new Intent(state, 3).notePartial();
    const some = succeed(11);
    expect(some.resume(request(7, true), 11)).toMatchObject({ recorded: true, partial: true });
    expect(some.needsScan).toBe(true);
  });
});

it('directories have notes of their own', () => {
  new Intent(state, 2).begin(request(7, false), 10);
  expect(succeed(10).resume(request(7, true), 10)).toBeUndefined();
});

it('the note of a process is the last one that was complete', () => {
  expect(state.note).toBeUndefined();
  state.note = { stream: 'a' };
  state.note = { stream: 'b', long: 'x'.repeat(5000) };
  expect(SharedState.open(state.fd).note).toMatchObject({ stream: 'b' });
});
