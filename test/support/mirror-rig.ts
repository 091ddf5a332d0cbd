// A sender and a receiver joined by real TLS on the loopback, with a journal on a real file system.
// In place of the applier there is a reader that checks every record the journal gives it.
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { createRing, type RingMemory, RingProducer } from '../../src/core/byte-ring.ts';
import { systemClock } from '../../src/core/clock.ts';
import { silentLogger } from '../../src/core/logger.ts';
import { ScanPace } from '../../src/core/scan-pace.ts';
import { ApplyControl } from '../../src/journal/apply-control.ts';
import { JournalReader } from '../../src/journal/journal-reader.ts';
import type { JournalPosition } from '../../src/journal/journal-recovery.ts';
import { JournalWriter } from '../../src/journal/journal-writer.ts';
import { Marks } from '../../src/journal/marks.ts';
import { recordBytes, sealRecord } from '../../src/journal/record.ts';
import { sequenceAt } from '../../src/journal/segment.ts';
import { firstState, StandbyState } from '../../src/journal/standby-state.ts';
import type { Ack } from '../../src/mirror/link/frame.ts';
import { LinkServer } from '../../src/mirror/link/link-server.ts';
import type { NeedRange, ScanMode, ScanWish } from '../../src/mirror/link/messages.ts';
import type { LinkIdentity } from '../../src/mirror/link/tls.ts';
import { Receiver } from '../../src/mirror/receiver.ts';
import { Sender, type SenderOptions } from '../../src/mirror/sender.ts';
import { type ProduceOptions, producedRecord } from './produce-records.ts';
import { Recorder } from './recorder.ts';
import { layRecord, sampleBytes } from './records.ts';
import { makeLinkIdentity } from './link-identity.ts';

export const GROUP_ID = 'ab'.repeat(16);
export const STREAM = '01'.repeat(16);

type Shape = Pick<ProduceOptions, 'epoch' | 'payloadBytesMax' | 'commitEvery' | 'special'>;

/** Reads a journal as the applier does and checks that it is exactly what was produced. */
export class CheckingFollower {
  readonly control: ApplyControl;
  readonly #reader: JournalReader;
  readonly #shape: Shape;
  readonly #expected = Buffer.from(new ArrayBuffer(2 * 1024 * 1024));
  readonly #view = new DataView(this.#expected.buffer);
  #stopped = false;
  checked = 0;
  failure: Error | undefined;

  constructor(directory: string, shape: Shape, applied: number, segment: number) {
    this.control = ApplyControl.create(applied, segment);
    this.#shape = shape;
    this.#reader = new JournalReader({
      directory,
      groupId: GROUP_ID,
      segment,
      sequence: applied + 1,
    });
  }

  /** Reads what is there; `onApplied` after each batch. */
  step(): void {
    if (this.#stopped || this.failure !== undefined) return;
    const { tail } = this.control;
    while (this.#reader.nextSequence <= tail) {
      const outcome = this.#reader.next(1024 * 1024, tail);
      if (outcome !== 'records') {
        this.failure = new Error(`journal: ${outcome} ${this.#reader.why}`);
        return;
      }
      this.#check();
      this.control.readerSegment = this.#reader.segment;
      this.control.publishApplied(this.#reader.batch.lastSequence);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.#reader.close();
  }

  #check(): void {
    const { batch } = this.#reader;
    for (let at = batch.at; at < batch.end; at += recordBytes(batch.view, at)) {
      const sequence = sequenceAt(batch.view, at);
      const sample = producedRecord(this.#shape, sequence);
      const bytes = sampleBytes(sample);
      layRecord(this.#expected, this.#view, 0, sample);
      // The time of capture is the producer's.
      for (let i = 64; i < 72; i += 1) this.#expected[i] = batch.bytes[at + i] ?? 0;
      sealRecord(this.#expected, this.#view, 0);
      const found = Buffer.from(batch.bytes.buffer, batch.bytes.byteOffset + at, bytes);
      if (!found.equals(this.#expected.subarray(0, bytes))) {
        this.failure = new Error(`record ${sequence} is not what was produced`);
      }
      this.checked += 1;
    }
  }
}

export interface StandbyRigOptions {
  readonly directory: string;
  readonly identity: LinkIdentity;
  readonly peerCertificate: string;
  readonly shape: Shape;
  readonly port?: number;
  readonly holds?: { readonly streamId: string; readonly sequence: number };
  readonly segmentBytes?: number;
  readonly journalBytesMax?: number;
  /** Do not read the journal: nothing is applied. */
  readonly idle?: boolean;
}

/** Receiver, journal and state of a standby, with a follower instead of an applier. */
export class StandbyRig {
  readonly #options: StandbyRigOptions;
  readonly journal: JournalWriter;
  readonly state: StandbyState;
  readonly marks: Marks;
  readonly receiver: Receiver;
  readonly server: LinkServer;
  readonly events: string[] = [];
  /** Completions of scans. */
  completed = 0;
  /** Before the copy is prepared for a scan. */
  beforeScan: () => Promise<void> = async () => undefined;
  fatal: unknown;
  follower: CheckingFollower;
  port = 0;
  scans = 0;
  #timer: NodeJS.Timeout | undefined;
  #checkpointEvery = 0;
  #isIdle: boolean;
  #isCheckpointWanted = false;

  constructor(options: StandbyRigOptions) {
    this.#options = options;
    this.#isIdle = options.idle ?? false;
    const { directory, holds } = options;
    const initial = firstState({ groupId: GROUP_ID, epoch: 1, holds: holds ?? null, mounts: '' });
    this.state = StandbyState.open(directory, { ...initial, closed: null });
    this.marks = Marks.open(join(directory, 'marks.json'), GROUP_ID, systemClock);
    const { checkpoint, firstSegment } = this.state.data;
    const segmentBytes = options.segmentBytes ?? 4 * 1024 * 1024;
    const journalDirectory = join(directory, 'journal');
    this.journal = new JournalWriter({
      directory: journalDirectory,
      groupId: GROUP_ID,
      checkpoint,
      firstSegment,
      segmentBytes,
    });
    this.follower = this.#follow(checkpoint.sequence);
    const control = (): ApplyControl => this.follower.control;
    this.receiver = new Receiver(
      {
        group: 'test',
        groupId: GROUP_ID,
        journalBytesMax: options.journalBytesMax ?? 1024 * 1024 * 1024,
      },
      {
        journal: this.journal,
        state: this.state,
        marks: this.marks,
        applier: {
          get control() {
            return control();
          },
          hasAllNeeds: true,
        },
      },
      {
        isEmpty: () => true,
        onScanBegin: async ({ position }) => {
          await this.#beginScan(position);
          return true;
        },
        onScanApplied: () => {
          this.completed += 1;
          this.state.update({ copy: 'complete' });
          this.receiver.applied();
        },
        onCheckpointWanted: () => {
          this.#isCheckpointWanted = true;
        },
        onEvent: (_level, code) => this.events.push(code),
        onFatal: (error) => {
          this.fatal = error;
        },
      },
      { clock: systemClock, logger: silentLogger },
    );
    this.server = new LinkServer(
      {
        host: '127.0.0.1',
        port: options.port ?? 0,
        peerCertificate: options.peerCertificate,
        identity: options.identity,
        linkTimeoutMs: 2000,
      },
      this.receiver,
      { clock: systemClock, logger: silentLogger },
    );
  }

  async start(): Promise<number> {
    this.port = await this.server.listen();
    this.#timer = setInterval(() => this.#tick(), 1);
    return this.port;
  }

  /** Reads the journal from now on. */
  wake(): void {
    this.#isIdle = false;
  }

  /** Reads it no more for now. */
  sleep(): void {
    this.#isIdle = true;
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.receiver.stop();
    await this.server.close();
    await this.receiver.settle();
    this.follower.stop();
    await this.journal.close();
  }

  #follow(applied: number): CheckingFollower {
    const directory = join(this.#options.directory, 'journal');
    const segment = this.journal.segmentOf(applied + 1);
    const follower = new CheckingFollower(directory, this.#options.shape, applied, segment);
    follower.control.publishTail(this.journal.durableSequence);
    return follower;
  }

  #tick(): void {
    if (this.#isIdle) return;
    const before = this.follower.control.applied;
    this.follower.step();
    if (this.follower.control.applied === before) return;
    this.receiver.applied();
    this.#checkpointEvery += 1;
    if (this.#isCheckpointWanted || this.#checkpointEvery % 20 === 0) this.#checkpoint();
  }

  #checkpoint(): void {
    const { applied, readerSegment } = this.follower.control;
    const { streamId, epoch } = this.journal.position;
    this.state.update({ checkpoint: { streamId, epoch, sequence: applied } });
    this.journal.free(applied, readerSegment);
    this.receiver.roomMade();
    this.#isCheckpointWanted = this.receiver.isFull;
  }

  async #beginScan(position: JournalPosition): Promise<void> {
    this.scans += 1;
    await this.beforeScan();
    this.follower.stop();
    const firstSegment = await this.journal.reset(position);
    this.state.update({ copy: 'syncing', checkpoint: position, firstSegment });
    this.follower = this.#follow(position.sequence);
  }
}

export interface SenderRig {
  readonly sender: Sender;
  readonly ring: RingMemory;
  readonly acks: Ack[];
  readonly needs: NeedRange[];
  readonly scansWanted: ScanMode[];
  readonly overflows: string[];
  readonly spaceAlerts: number[];
  readonly links: string[];
  readonly wishes: ScanWish[];
  /** What the standby asks for is dealt with at once. */
  takesNeeds: boolean;
  onScanWanted: (mode: ScanMode) => void;
  onAck: (ack: Ack) => void;
}

/** A sender that notes what it is told. */
export function makeSender(
  options: Partial<SenderOptions> & Pick<SenderOptions, 'peer' | 'identity' | 'spillDirectory'>,
  ringBytes = 4 * 1024 * 1024,
): SenderRig {
  const ring = options.ring ?? createRing(ringBytes);
  const rig: Omit<SenderRig, 'sender'> = {
    ring,
    acks: [],
    needs: [],
    scansWanted: [],
    wishes: [],
    overflows: [],
    spaceAlerts: [],
    links: [],
    takesNeeds: true,
    onScanWanted: () => undefined,
    onAck: () => undefined,
  };
  const scanPace = options.scanPace ?? new ScanPace();
  const sender = new Sender(
    {
      group: 'test',
      groupId: GROUP_ID,
      node: { id: '0123456789abcdef', name: 'a' },
      epoch: 1,
      streamId: STREAM,
      firstSequence: 1,
      base: null,
      spillBytesMax: 1024 * 1024 * 1024,
      commitsWaitFor: 'durable',
      isStandbyComplete: () => false,
      linkTimeoutMs: 2000,
      marks: () => [],
      compression: 'off',
      ...options,
      scanPace,
      ring,
    },
    {
      onAck: (ack) => {
        rig.acks.push(ack);
        rig.onAck(ack);
      },
      onNeed: (ranges) => {
        rig.needs.push(...ranges);
        if (rig.takesNeeds) scanPace.needsTaken(ranges.length);
      },
      onScanWanted: (wish) => {
        rig.wishes.push(wish);
        rig.scansWanted.push(wish.mode);
        rig.onScanWanted(wish.mode);
      },
      onLink: (state, reason) => rig.links.push(`${state}: ${reason}`),
      onOverflow: (reason) => rig.overflows.push(reason),
      onSpaceLow: ({ percent }) => rig.spaceAlerts.push(percent),
    },
  );
  return Object.assign(rig, { sender });
}

/**
 * A recorder whose records of changes in `source` go into the ring of a sender. The sender is on this
 * thread: the ring must have room.
 */
export function recordInto({ ring }: SenderRig, source: string, firstSequence: number): Recorder {
  const producer = new RingProducer(ring);
  const publish = (record: Buffer): void => {
    const at = producer.reserve(record.length);
    if (at < 0) throw new Error('the ring of the test is too small');
    producer.bytes.set(record, at);
    producer.commit(record.length);
    producer.wake();
  };
  return new Recorder(source, publish, firstSequence);
}

/** Starts a producer thread; resolves when it has produced everything. */
export async function produce(options: ProduceOptions): Promise<void> {
  const worker = new Worker(new URL('produce-records.ts', import.meta.url), {
    workerData: options,
  });
  await new Promise<void>((resolve, reject) => {
    worker.once('error', reject);
    worker.once('exit', () => resolve());
  });
}

/** Resolves when `condition` holds; rejects with `what` after `timeoutMs`. */
export async function until(
  condition: () => boolean,
  what: string | (() => string),
  timeoutMs = 10_000,
): Promise<void> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) {
      throw new Error(`not within ${timeoutMs} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await new Promise((resolve) => {
      setTimeout(resolve, 5);
    });
  }
}

export interface Identities {
  readonly primary: LinkIdentity;
  readonly standby: LinkIdentity;
  readonly stranger: LinkIdentity;
}

export async function makeIdentities(): Promise<Identities> {
  const [primary, standby, stranger] = await Promise.all([
    makeLinkIdentity('primary'),
    makeLinkIdentity('standby'),
    makeLinkIdentity('stranger'),
  ]);
  return { primary, standby, stranger };
}

/** A directory that is removed by `remove`. */
export function scratch(): { path: string; remove(): void } {
  const path = mkdtempSync(join(tmpdir(), 'mirror-'));
  return { path, remove: () => rmSync(path, { recursive: true, force: true }) };
}
