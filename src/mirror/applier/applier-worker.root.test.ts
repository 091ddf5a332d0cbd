// The applier's thread behind a real journal: two directories, a full disk, a divergence, restarts.
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { mountLoopImage, unmountLazily } from '../../../test/support/loop-image.ts';
import { Random } from '../../../test/support/random.ts';
import { randomOperation } from '../../../test/support/recorder-ops.ts';
import { Recorder } from '../../../test/support/recorder.ts';
import { compareTrees } from '../../../test/support/tree.ts';
import { ApplyControl } from '../../journal/apply-control.ts';
import { JournalWriter } from '../../journal/journal-writer.ts';
import type { ApplierMessage, ApplierWorkerData } from './applier-messages.ts';

const GROUP_ID = 'ab'.repeat(16);
const STREAM_ID = 'cd'.repeat(16);
const MiB = 1 << 20;
const WAIT_MS = 20_000;

let base = '';
let journal: JournalWriter;
let control = ApplyControl.create(0, 1);
let ended: Promise<unknown> = Promise.resolve();
let messages: ApplierMessage[] = [];
const recorders: Recorder[] = [];
const copies: { fd: number; label: string }[] = [];
let sequence = 0;

const directory = (name: string): string => join(base, name);

beforeEach(() => {
  base = fs.mkdtempSync(join(tmpdir(), 'applier-worker-'));
  fs.mkdirSync(directory('journal'));
  journal = new JournalWriter({
    directory: directory('journal'),
    groupId: GROUP_ID,
    segmentBytes: 4 * MiB,
    checkpoint: { streamId: STREAM_ID, epoch: 1, sequence: 0 },
    firstSegment: 1,
  });
  messages = [];
  sequence = 0;
});

afterEach(async () => {
  await stop();
  await journal.close();
  for (const recorder of recorders.splice(0)) recorder.close();
  for (const { fd } of copies.splice(0)) fs.closeSync(fd);
  unmountLazily(directory('small'));
  fs.rmSync(base, { recursive: true, force: true });
});

/** A source with its recorder; the records go to the journal. */
function protect(name: string, copy = directory(`${name}-copy`)): Recorder {
  fs.mkdirSync(directory(name), { mode: 0o755 });
  fs.mkdirSync(copy, { recursive: true, mode: 0o755 });
  const recorder = new Recorder(directory(name), append, 1, recorders.length);
  recorders.push(recorder);
  copies.push({ fd: fs.openSync(copy, 'r'), label: copy });
  return recorder;
}

/** Records of all directories share one sequence. */
function append(record: Buffer): void {
  sequence += 1;
  for (const recorder of recorders) recorder.sequence = sequence;
  journal.append(record, new DataView(record.buffer, record.byteOffset), 0, record.length);
}

function start(checkpoint = 0): void {
  control = ApplyControl.create(checkpoint, journal.segmentOf(checkpoint + 1));
  control.publishTail(Math.max(checkpoint, journal.durableSequence));
  const workerData: ApplierWorkerData = {
    undo: null,
    directories: copies,
    journalDirectory: directory('journal'),
    groupId: GROUP_ID,
    segment: control.readerSegment,
    checkpoint,
    control: control.memory,
  };
  const worker = new Worker(new URL('applier-worker.ts', import.meta.url), { workerData });
  ended = new Promise((resolve) => worker.once('exit', resolve));
  worker.on('message', (message: ApplierMessage) => {
    if (message.type !== 'stopped') messages.push(message);
  });
  worker.on('error', (error) => {
    throw error;
  });
}

async function stop(): Promise<void> {
  control.requestStop();
  await ended;
}

async function publish(): Promise<void> {
  await journal.flush();
  control.publishTail(journal.durableSequence);
}

async function until(what: string, condition: () => boolean): Promise<void> {
  const deadline = Date.now() + WAIT_MS;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error(`not in time: ${what}: ${JSON.stringify(messages)}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}

const allApplied = (): Promise<void> => until('all applied', () => control.applied === sequence);

describe('the applier thread', () => {
  it('applies records of two directories in one order, also across restarts', async () => {
    const recorderA = protect('a');
    const recorderB = protect('b');
    const random = new Random(1);
    start();
    let checkpoint = 0;
    for (let round = 0; round < 8; round += 1) {
      for (let i = 0; i < 60; i += 1) randomOperation(random.pick([recorderA, recorderB]), random);
      await publish();
      if (round % 2 === 0) continue;
      // In the middle of what it is at.
      await until('some applied', () => control.applied > checkpoint);
      await stop();
      // Anything up to what was published may be the checkpoint.
      checkpoint += random.below(control.applied - checkpoint + 1);
      start(checkpoint);
    }
    await allApplied();
    expect(compareTrees(directory('a'), directory('a-copy'))).toEqual([]);
    expect(compareTrees(directory('b'), directory('b-copy'))).toEqual([]);
    expect(messages).toEqual([]);
  });

  it('waits while the disk is full, says so once, and goes on when there is room', async () => {
    mountLoopImage({ image: directory('small.img'), dir: directory('small'), bytes: 24 * MiB });
    const recorder = protect('a', join(directory('small'), 'copy'));
    const ballast = join(directory('small'), 'ballast');
    fs.writeFileSync(ballast, Buffer.alloc(12 * MiB, 1));
    start();
    recorder.mkdir('dir');
    for (let i = 0; i < 16; i += 1) {
      recorder.create(`dir/file-${i}`);
      recorder.write(`dir/file-${i}`, 0, Buffer.alloc(900_000, i));
    }
    await publish();
    await until('blocked', () => messages.length > 0);
    expect(messages).toMatchObject([
      { type: 'fault', fault: { kind: 'blocked', code: 'APPLY_BLOCKED' } },
    ]);
    expect(JSON.stringify(messages)).toContain('ENOSPC');
    const stuckAt = control.applied;
    expect(stuckAt).toBeGreaterThan(1);
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(control.applied).toBe(stuckAt);
    expect(messages.length).toBe(1);
    fs.rmSync(ballast);
    await allApplied();
    await until('recovered', () => messages.some(({ type }) => type === 'recovered'));
    expect(compareTrees(directory('a'), join(directory('small'), 'copy'))).toEqual([]);
  });

  it('can be stopped while it waits for room, and goes on after a restart', async () => {
    mountLoopImage({ image: directory('small.img'), dir: directory('small'), bytes: 24 * MiB });
    const recorder = protect('a', join(directory('small'), 'copy'));
    const ballast = join(directory('small'), 'ballast');
    fs.writeFileSync(ballast, Buffer.alloc(16 * MiB, 1));
    start();
    recorder.create('file');
    for (let i = 0; i < 12; i += 1) recorder.write('file', i * 900_000, Buffer.alloc(900_000, i));
    await publish();
    await until('blocked', () => messages.length > 0);
    await stop();
    fs.rmSync(ballast);
    start(control.applied);
    await allApplied();
    expect(compareTrees(directory('a'), join(directory('small'), 'copy'))).toEqual([]);
  });

  it('stops at a record that does not fit, with everything before it applied', async () => {
    const recorder = protect('a');
    start();
    recorder.create('one');
    recorder.create('two');
    await publish();
    await allApplied();
    fs.rmSync(join(directory('a-copy'), 'two'));
    recorder.create('three');
    recorder.rename('two', 'four');
    recorder.create('five');
    await publish();
    await until('diverged', () => messages.length > 0);
    expect(messages).toMatchObject([
      {
        type: 'fault',
        fault: { kind: 'diverged', code: 'RECORD_NOT_APPLICABLE', sequence: 4 },
      },
    ]);
    expect(JSON.stringify(messages)).toContain('a-copy/two');
    expect(control.applied).toBe(3);
    expect(fs.readdirSync(directory('a-copy')).sort()).toEqual(['one', 'three']);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(control.applied).toBe(3);
  });

  it('accepts nothing but a scan when the copy is marked by a record that its journal lacks', async () => {
    const recorder = protect('a');
    start();
    for (let i = 0; i < 5; i += 1) recorder.create(`file-${i}`);
    await publish();
    await allApplied();
    await stop();
    // The journal of another life: shorter, and of another epoch.
    await journal.reset({ streamId: 'ef'.repeat(16), epoch: 1, sequence: 0 });
    sequence = 0;
    recorder.sequence = 0;
    start();
    recorder.create('other');
    await publish();
    await until('refused', () => messages.length > 0);
    expect(messages).toMatchObject([
      { type: 'fault', fault: { kind: 'diverged', code: 'MARKER_UNKNOWN' } },
    ]);
    expect(fs.existsSync(join(directory('a-copy'), 'other'))).toBe(false);
  });
});
