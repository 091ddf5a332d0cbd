// A sender's backlog is gone on with by another process: what was held is held, in the ring and on disk.
import { mkdtempSync, readdirSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { createRing, type RingMemory, RingProducer } from '../core/byte-ring.ts';
import { MiB } from '../core/units.ts';
import { layRecord, sampleBytes } from '../../test/support/records.ts';
import { sequenceAt } from '../journal/segment.ts';
import { recordBytes } from '../journal/record.ts';
import { Backlog } from './sender-backlog.ts';

let ring: RingMemory;
let producer: RingProducer;
let dir: string;
const spillIndex = new ArrayBuffer(MiB);
let published = 0;
beforeEach(() => {
  ring = createRing(4 * MiB);
  producer = new RingProducer(ring);
  dir = mkdtempSync(join(tmpdir(), 'succession-'));
  published = 0;
});
afterEach(() => rmSync(dir, { recursive: true }));

function backlog(resumes: boolean): Backlog {
  return new Backlog(
    {
      ring,
      firstSequence: 1,
      spillDirectory: join(dir, 'spill'),
      spillBytesMax: 64 * MiB,
      succession: { spillIndex, resumes },
      onLost: (reason) => expect.unreachable(reason),
    },
    'holding',
  );
}

function publish(count: number): void {
  for (let i = 0; i < count; i += 1) {
    published += 1;
    const sample = { sequence: published, epoch: 1, path: 'file', payloadBytes: 20_000 };
    const bytes = sampleBytes(sample);
    const at = producer.reserve(bytes);
    expect(at).toBeGreaterThanOrEqual(0);
    layRecord(producer.bytes, producer.view, at, sample);
    producer.commit(bytes);
  }
}

/** Publishes more than the ring holds; the older part goes to disk. */
async function fill(of: Backlog): Promise<void> {
  for (let round = 0; round < 8; round += 1) {
    publish(60);
    while (of.advance());
    while (of.isCrowded) await of.spillSome();
  }
}

/** Sequences of everything that is sent from now on. */
async function drain(of: Backlog): Promise<number[]> {
  const target = Buffer.alloc(2 * MiB);
  const view = new DataView(target.buffer, target.byteOffset);
  const sequences: number[] = [];
  while (of.hasNext) {
    let range: { from: number; to: number } | undefined;
    if (of.nextChunk === undefined) range = { from: 0, to: of.take(target, 0, MiB) };
    else range = await of.takeSpilled(target);
    for (let at = range?.from ?? 0; at < (range?.to ?? 0); at += recordBytes(view, at))
      sequences.push(sequenceAt(view, at));
  }
  return sequences;
}

const upTo = (from: number, to: number): number[] =>
  Array.from({ length: to - from + 1 }, (_, index) => from + index);

it('records on disk and in the ring are offered and sent as before', async () => {
  const first = backlog(false);
  await fill(first);
  expect(first.spilledBytes).toBeGreaterThan(MiB);
  await drain(first);
  first.acknowledge(17);
  publish(5);
  const tail = first.tailSequence;
  const next = backlog(true);
  // A chunk on disk is held as a whole.
  expect(next.tailSequence).toBeLessThanOrEqual(tail);
  expect(next.headSequence).toBe(published);
  expect(next.mode).toBe('holding');
  expect(next.rewind(30)).toBe(true);
  expect(await drain(next)).toEqual(upTo(30, published));
  next.acknowledge(published);
  expect(next.heldBytes).toBe(0);
  expect(readdirSync(join(dir, 'spill')).length).toBeLessThanOrEqual(1);
  expect(backlog(true).tailSequence).toBe(published + 1);
});

it('what is being read from disk when the link changes is sent over the new one, too', async () => {
  const subject = backlog(false);
  await fill(subject);
  const read = subject.takeSpilled(Buffer.alloc(2 * MiB));
  expect(subject.rewind(1)).toBe(true);
  expect(await read).toBeUndefined();
  expect(await drain(subject)).toEqual(upTo(1, published));
});

it('an empty ring goes on behind what was released', () => {
  const first = backlog(false);
  publish(3);
  while (first.advance());
  first.acknowledge(0);
  first.rewind(4);
  first.acknowledge(3);
  const next = backlog(true);
  expect([next.tailSequence, next.headSequence, next.nextSequence]).toEqual([4, 3, 4]);
});

it('a chunk that was written and not yet taken from the ring counts once', async () => {
  const first = backlog(false);
  publish(120);
  while (first.advance());
  const { released } = first.ring;
  await first.spillSome();
  // As if the process had died before it released the ring.
  first.ring.release(released);
  const next = backlog(true);
  expect(next.tailSequence).toBe(1);
  expect(await drain(next)).toEqual(upTo(1, 120));
});

it('files that are missing: the rest is offered, and the standby will ask for a scan', async () => {
  const first = backlog(false);
  await fill(first);
  for (const name of readdirSync(join(dir, 'spill'))) rmSync(join(dir, 'spill', name));
  const next = backlog(true);
  expect(next.tailSequence).toBeGreaterThan(1);
  expect(await drain(next)).toEqual(upTo(next.tailSequence, published));
});

it('files that were cut are noticed when they are read', async () => {
  const first = backlog(false);
  await fill(first);
  for (const name of readdirSync(join(dir, 'spill'))) truncateSync(join(dir, 'spill', name), 1000);
  let lost = '';
  const next = new Backlog(
    {
      ring,
      firstSequence: 1,
      spillDirectory: join(dir, 'spill'),
      spillBytesMax: 64 * MiB,
      succession: { spillIndex, resumes: true },
      onLost: (reason) => (lost = reason),
    },
    'holding',
  );
  await drain(next);
  expect(lost).toContain('cannot be read');
});

it('a stream that nobody could use stays so', () => {
  const first = backlog(false);
  publish(3);
  while (first.advance());
  first.awaitScan();
  publish(2);
  const next = backlog(true);
  expect(next.mode).toBe('dropping');
  expect(next.headSequence).toBe(5);
  // A standby that has all five is not to wait for the sixth.
  expect(next.tailSequence).toBe(7);
  expect(next.hasNext).toBe(false);
});
