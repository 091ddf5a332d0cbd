// Sender and receiver over real TLS on the loopback: whatever happens to the link, the standby's
// journal is exactly what was produced, in order, nothing missing, nothing twice.
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { CuttingRelay } from '../../test/support/cutting-relay.ts';
import {
  type Identities,
  makeIdentities,
  makeSender,
  produce,
  scratch,
  type SenderRig,
  StandbyRig,
  type StandbyRigOptions,
  STREAM,
  until,
} from '../../test/support/mirror-rig.ts';
import { preciseNow, type ProduceOptions } from '../../test/support/produce-records.ts';
import { UnderstudyError } from '../core/errors.ts';
import { ScanPace } from '../core/scan-pace.ts';
import { recordType } from '../journal/record.ts';
import type { DiskSpace } from './disk-space.ts';
import { NEEDS_AT_ONCE_MAX } from './link/messages.ts';
import type { SenderOptions } from './sender.ts';

const BASE = { streamId: '0f'.repeat(16), sequence: 100 };
const plain = { epoch: 1, payloadBytesMax: 60_000, commitEvery: 25, special: {} };
const MiB = 1024 * 1024;

let identities: Identities;
let directory: ReturnType<typeof scratch>;
const cleanups: (() => Promise<void> | void)[] = [];

beforeAll(async () => {
  identities = await makeIdentities();
});
beforeEach(() => {
  directory = scratch();
});
afterEach(async () => {
  for (const cleanup of cleanups.splice(0).toReversed()) await cleanup();
  directory.remove();
});

async function startStandby(options: Partial<StandbyRigOptions> = {}): Promise<StandbyRig> {
  const rig = new StandbyRig({
    directory: directory.path,
    identity: identities.standby,
    peerCertificate: identities.primary.certificate,
    shape: plain,
    ...options,
  });
  await rig.start();
  return rig;
}

async function withStandby(options: Partial<StandbyRigOptions> = {}): Promise<StandbyRig> {
  const rig = await startStandby(options);
  cleanups.push(async () => rig.stop());
  return rig;
}

async function withRelay(port: number): Promise<{ relay: CuttingRelay; port: number }> {
  const relay = new CuttingRelay(port);
  const own = await relay.listen();
  cleanups.push(async () => relay.close());
  return { relay, port: own };
}

function startSender(
  port: number,
  options: Partial<SenderOptions> = {},
  ringBytes?: number,
): SenderRig {
  const rig = readySender(port, options, ringBytes);
  rig.sender.start();
  return rig;
}

function readySender(port: number, options: Partial<SenderOptions>, ringBytes?: number): SenderRig {
  const rig = makeSender(
    {
      peer: { host: '127.0.0.1', port, certificate: identities.standby.certificate },
      identity: identities.primary,
      spillDirectory: join(directory.path, 'spill'),
      ...options,
    },
    ringBytes,
  );
  cleanups.push(() => rig.sender.destroy());
  return rig;
}

const onBase = { base: BASE, firstSequence: 101 };

/** Nothing is applied, and the journal has no room for more. */
async function withFullJournal() {
  const standby = await withStandby({
    holds: BASE,
    segmentBytes: 1 * MiB,
    journalBytesMax: 4 * MiB,
    idle: true,
  });
  const rig = startSender(standby.port, onBase, 1 * MiB);
  await load(rig, 12_000);
  await until(() => standby.events.includes('JOURNAL_FULL'), 'the journal is full');
  return { standby, rig };
}

function load(rig: SenderRig, count: number, more: Partial<ProduceOptions> = {}): Promise<void> {
  return produce({ ring: rig.ring, ...plain, from: 101, count, pauseMs: 0, ...more });
}

/** Waits until everything up to `sequence` is applied on the standby and acknowledged. */
async function settled(rig: SenderRig, standby: StandbyRig, sequence: number): Promise<void> {
  const state = (): string =>
    `applied ${standby.follower.control.applied}, durable ${standby.journal.durableSequence}, ` +
    `received ${standby.journal.position.sequence} of ${sequence}; link ${rig.links.at(-1)}; ` +
    `events ${standby.events.join(' ')}`;
  const isThere = (): boolean =>
    standby.follower.failure !== undefined ||
    standby.fatal !== undefined ||
    rig.sender.acked?.appliedSequence === sequence;
  await until(isThere, state, 25_000);
  expect(standby.fatal).toBeUndefined();
  expect(standby.follower.failure).toBeUndefined();
}

describe('link', () => {
  it('carries a stream on from a clean end without a scan', async () => {
    const standby = await withStandby({ holds: BASE });
    const rig = startSender(standby.port, onBase);
    await load(rig, 5000);
    await settled(rig, standby, 5100);
    expect(rig.scansWanted).toEqual([]);
    expect(standby.follower.checked).toBe(5000);
    expect(standby.journal.position).toEqual({ streamId: STREAM, epoch: 1, sequence: 5100 });
    expect(standby.receiver.copy).toBe('up-to-date');
    await rig.sender.drain(5100, 'applied', { timeoutMs: 1000 });
    expect(rig.sender.backlogBytes).toBe(0);
    rig.sender.close();
    await until(() => standby.state.data.closed?.sequence === 5100, 'the stream is closed');
  });

  it.each(['nothing', 'durable'] as const)(
    'delivers all of what came at once, though nothing follows (commits wait for %s)',
    async (commitsWaitFor) => {
      const standby = await withStandby({ holds: BASE });
      const rig = readySender(standby.port, { ...onBase, commitsWaitFor }, 64 * MiB);
      await load(rig, 20_000);
      rig.sender.start();
      await settled(rig, standby, 20_100);
      expect(standby.receiver.receivedBytes).toBeGreaterThan(20 * MiB);
    },
  );

  it('asks for a scan when nothing is known, and drops what comes before it', async () => {
    const shape = { ...plain, special: { 31: recordType.scanBegin, 90: recordType.scanEnd } };
    const standby = await withStandby({ shape });
    const rig = startSender(standby.port);
    await load(rig, 30, { from: 1, ...shape });
    await until(() => rig.scansWanted.length === 1, 'a scan is asked for');
    expect(rig.scansWanted).toEqual(['full']);
    await load(rig, 200, { from: 31, ...shape });
    await settled(rig, standby, 230);
    expect(standby.follower.checked).toBe(200);
    expect(standby.scans).toBe(1);
    await until(() => rig.sender.copy === 'up-to-date', 'the copy is complete');
    expect(standby.state.data.copy).toBe('complete');
  });

  it('delivers everything exactly once over a link that is cut at random bytes', async () => {
    const standby = await withStandby({ holds: BASE });
    const { relay, port } = await withRelay(standby.port);
    relay.budget = () => 3000 + Math.random() * Math.random() * 4 * MiB;
    const rig = startSender(port, onBase);
    await load(rig, 12_000, { pauseMs: 1 });
    relay.budget = () => Number.POSITIVE_INFINITY;
    relay.cut();
    relay.mend();
    await settled(rig, standby, 12_100);
    expect(relay.cuts).toBeGreaterThan(3);
    expect(rig.scansWanted).toEqual([]);
    expect(rig.overflows).toEqual([]);
    expect(standby.follower.checked).toBe(12_000);
  });

  it('delivers everything compressed, over a link that is cut at random bytes and limited', async () => {
    const standby = await withStandby({ holds: BASE });
    const { relay, port } = await withRelay(standby.port);
    // Less than is sent in all.
    relay.budget = () => 3000 + Math.random() * Math.random() * (MiB / 8);
    const rig = startSender(port, { ...onBase, compression: 'on' });
    rig.sender.setLimit(8 * MiB);
    await load(rig, 12_000, { pauseMs: 1 });
    relay.budget = () => Number.POSITIVE_INFINITY;
    relay.cut();
    relay.mend();
    rig.sender.setLimit(null);
    await settled(rig, standby, 12_100);
    expect(relay.cuts).toBeGreaterThan(0);
    expect(rig.scansWanted).toEqual([]);
    expect(standby.follower.checked).toBe(12_000);
    const { recordsBytes, sentBytes, packedFrames } = rig.sender.compression;
    expect(packedFrames).toBeGreaterThan(20);
    expect(sentBytes).toBeLessThan(recordsBytes / 3);
  });

  it('keeps the producer going on disk while the standby is away, and catches up in order', async () => {
    const standby = await withStandby({ holds: BASE });
    const { relay, port } = await withRelay(standby.port);
    relay.cut();
    const rig = startSender(port, onBase, 1 * MiB);
    await load(rig, 10_000);
    expect(rig.sender.spilledBytes).toBeGreaterThan(2 * MiB);
    relay.mend();
    await load(rig, 2000, { from: 10_101 });
    await settled(rig, standby, 12_100);
    expect(rig.overflows).toEqual([]);
    expect(rig.sender.spilledBytes).toBe(0);
    expect(standby.follower.checked).toBe(12_000);
  });

  it.each([
    ['what commits wait for, is up to date', true, 'up-to-date'],
    ['not all that was let go, catches up', false, 'catching-up'],
  ])('a standby that comes back with %s', async (_, isStandbyComplete, copy) => {
    const standby = await withStandby({ holds: BASE });
    const { relay, port } = await withRelay(standby.port);
    const rig = startSender(port, { ...onBase, isStandbyComplete: () => isStandbyComplete });
    await load(rig, 100);
    await settled(rig, standby, 200);
    relay.cut();
    await load(rig, 2000, { from: 201 });
    rig.sender.setLimit(64 * 1024);
    const ups = (): number => rig.links.filter((link) => link.startsWith('connected')).length;
    const before = ups();
    relay.mend();
    await until(() => ups() > before, 'the standby is back');
    expect(standby.journal.position.sequence).toBeLessThan(2200);
    expect(standby.receiver.copy).toBe(copy);
    rig.sender.setLimit(null);
    await settled(rig, standby, 2200);
    expect(standby.receiver.copy).toBe('up-to-date');
  });

  it('asks for a scan when the backlog was let go', async () => {
    const shape = { ...plain, special: { 9000: recordType.scanBegin, 9050: recordType.scanEnd } };
    const standby = await withStandby({ holds: BASE, shape });
    const { relay, port } = await withRelay(standby.port);
    relay.cut();
    const rig = startSender(port, { ...onBase, spillBytesMax: 4 * MiB }, 1 * MiB);
    await load(rig, 8899, { ...shape });
    expect(rig.overflows).toHaveLength(1);
    expect(rig.overflows[0]).toContain('limit');
    expect(rig.sender.spilledBytes).toBe(0);
    relay.mend();
    await until(() => rig.scansWanted.length > 0, 'a scan is asked for');
    await load(rig, 500, { from: 9000, ...shape });
    await settled(rig, standby, 9499);
    expect(standby.scans).toBe(1);
    await until(() => rig.sender.copy === 'up-to-date', 'the copy is complete');
  });

  it('asks for a scan also when the standby has everything that there was when it was let go', async () => {
    const standby = await withStandby({ holds: BASE });
    // Nothing is held, and nothing is recorded before the scan: the next record is of no use.
    const { streamId } = BASE;
    const rig = startSender(standby.port, { streamId, firstSequence: 101, base: null });
    await until(() => rig.scansWanted.length > 0, 'a scan is asked for');
    expect(standby.receiver.copy).not.toBe('up-to-date');
  });

  it('leaves the disk to others, warns before, and lets the backlog go', async () => {
    const shape = { ...plain, special: { 9000: recordType.scanBegin, 9050: recordType.scanEnd } };
    const standby = await withStandby({ holds: BASE, shape });
    const { relay, port } = await withRelay(standby.port);
    relay.cut();
    const totalBytes = 100 * MiB;
    const isUsed = { bytes: 65 * MiB };
    const readDiskSpace = (): DiskSpace => ({ totalBytes, freeBytes: totalBytes - isUsed.bytes });
    const rig = startSender(port, { ...onBase, readDiskSpace }, 1 * MiB);
    await load(rig, 1000, { ...shape });
    expect(rig.spaceAlerts).toEqual([]);
    // Somebody else fills the disk.
    let from = 1101;
    for (const bytes of [75 * MiB, 83 * MiB, 84 * MiB, 91 * MiB]) {
      isUsed.bytes = bytes;
      await new Promise((resolve) => {
        setTimeout(resolve, 1050);
      });
      await load(rig, 1000, { ...shape, from });
      from += 1000;
    }
    expect(rig.spaceAlerts).toEqual([30, 20, 10]);
    expect(rig.overflows).toHaveLength(1);
    expect(rig.overflows[0]).toContain('too little left for others');
    expect(rig.sender.spilledBytes).toBe(0);
  });

  it('lets the primary wait while the journal is full, and goes on when it has room', async () => {
    const { standby, rig } = await withFullJournal();
    expect(standby.journal.bytes).toBeLessThanOrEqual(6 * MiB);
    const received = standby.journal.position.sequence;
    expect(received).toBeLessThan(12_100);
    // Longer than the link's timeout: a full journal is no dead link.
    await new Promise((resolve) => {
      setTimeout(resolve, 2600);
    });
    expect(rig.links.filter((line) => line.startsWith('connecting'))).toEqual([]);
    expect(standby.journal.position.sequence).toBe(received);
    standby.wake();
    await settled(rig, standby, 12_100);
    expect(standby.follower.checked).toBe(12_000);
  });

  it('says why a standby whose disk is full takes nothing, once, and does not send it everything again and again', async () => {
    const standby = await withStandby({ holds: BASE });
    const full = new UnderstudyError('JOURNAL_NO_SPACE', 'no space: free some');
    vi.spyOn(standby.journal, 'append').mockImplementation(() => {
      throw full;
    });
    vi.spyOn(standby.journal, 'hasRoom', 'get').mockReturnValue(false);
    const rig = startSender(standby.port, onBase, 1 * MiB);
    await load(rig, 100);
    await until(() => rig.links.some((line) => line.startsWith('refused')), 'it is refused');
    // Long enough for several attempts.
    await new Promise((resolve) => {
      setTimeout(resolve, 4500);
    });
    expect(rig.links.filter((line) => line.startsWith('connected'))).toHaveLength(1);
    expect(rig.links.at(-1)).toBe('refused: JOURNAL_NO_SPACE: no space: free some');
    expect(standby.events.filter((code) => code === 'JOURNAL_NO_SPACE')).toHaveLength(1);
    vi.restoreAllMocks();
    await settled(rig, standby, 200);
  });

  it('resumes after restarts of the standby at any moment', async () => {
    let standby = await startStandby({ holds: BASE });
    cleanups.push(async () => standby.stop());
    const { port } = standby;
    const rig = startSender(port, onBase);
    const loading = load(rig, 8000, { pauseMs: 1 });
    for (let i = 0; i < 6; i += 1) {
      await new Promise((resolve) => {
        setTimeout(resolve, 100 + Math.random() * 150);
      });
      await standby.stop();
      standby = await startStandby({ port });
    }
    await loading;
    await settled(rig, standby, 8100);
    expect(rig.scansWanted).toEqual([]);
  });

  it('is refused by a standby that knows a later epoch, and says why', async () => {
    const standby = await withStandby({ holds: BASE });
    standby.state.update({ epoch: 5 });
    const rig = startSender(standby.port, onBase);
    await until(() => rig.sender.link.state === 'refused', 'refused');
    expect(rig.sender.link.reason).toMatch(/^STALE_EPOCH: /);
  });

  it('acknowledges what is in memory at once when asked to', async () => {
    const standby = await withStandby({ holds: BASE, shape: { ...plain, commitEvery: 1 } });
    const rig = startSender(standby.port, { ...onBase, commitsWaitFor: 'received' });
    await load(rig, 1000, { commitEvery: 1, pauseMs: 1 });
    await settled(rig, standby, 1100);
    const ahead = rig.acks.filter((ack) => ack.receivedSequence > ack.durableSequence);
    expect(ahead.length).toBeGreaterThan(100);
  });

  it('brings every need to the primary, in order, over a link that is cut', async () => {
    const shape = { ...plain, special: { 31: recordType.scanBegin } };
    const standby = await withStandby({ shape });
    const { relay, port } = await withRelay(standby.port);
    const rig = startSender(port);
    await load(rig, 30, { from: 1, ...shape });
    await until(() => rig.scansWanted.length === 1, 'a scan is asked for');
    await load(rig, 100, { from: 31, ...shape });
    await until(() => rig.sender.acked?.appliedSequence === 130, 'the scan has begun');
    relay.budget = () => 20_000 + Math.random() * 100_000;
    relay.cut();
    relay.mend();
    const ranges = Array.from({ length: 20_000 }, (_, number) => ({
      directory: 0,
      path: `dir\xff\x01/${number}`,
      offset: number * 65_536,
      length: 65_536,
      compare: false,
    }));
    for (let i = 0; i < ranges.length; i += 500) {
      standby.receiver.needed(ranges.slice(i, i + 500));
      await new Promise((resolve) => {
        setTimeout(resolve, 10);
      });
    }
    const state = (): string => `${rig.needs.length} needs came, ${relay.cuts} cuts`;
    await until(() => rig.needs.length >= ranges.length, state, 25_000);
    expect(relay.cuts).toBeGreaterThan(2);
    expect(rig.needs).toEqual(ranges);
    expect(rig.scansWanted).toEqual(['full']);
  });

  it('tells of nothing as applied whose needs were lost on the way, before it has told of them again', async () => {
    const shape = { ...plain, special: { 31: recordType.scanBegin } };
    const standby = await withStandby({ shape });
    const { relay, port } = await withRelay(standby.port);
    const rig = startSender(port);
    await load(rig, 30, { from: 1, ...shape });
    await until(() => rig.scansWanted.length === 1, 'a scan is asked for');
    await load(rig, 100, { from: 31, ...shape });
    await until(() => rig.sender.acked?.appliedSequence === 130, 'the scan has begun');
    relay.isMute = true;
    const range = { directory: 0, path: 'file', offset: 0, length: 65_536, compare: false };
    standby.receiver.needed([range]);
    await load(rig, 10, { from: 131, ...shape });
    await until(() => standby.follower.control.applied === 140, 'all is applied');
    const told: string[] = [];
    rig.onAck = ({ appliedSequence }) => told.push(`applied ${appliedSequence}`);
    rig.needs.push = (...ranges) => told.push(...ranges.map(({ path }) => `need ${path}`));
    relay.cut();
    relay.isMute = false;
    relay.mend();
    await until(() => told.includes('applied 140'), 'it is told', 10_000);
    expect(told.indexOf('need file')).toBeGreaterThanOrEqual(0);
    expect(told.indexOf('applied 140')).toBeGreaterThan(told.indexOf('need file'));
  });

  it('begins a scan though the journal is full of what nobody applies', async () => {
    const { standby, rig } = await withFullJournal();
    rig.sender.close();
    const shape = { ...plain, special: { 31: recordType.scanBegin } };
    const other = startSender(standby.port, { streamId: 'cd'.repeat(16) });
    await load(other, 30, { from: 1, ...shape });
    await until(() => other.scansWanted.length === 1, 'a scan is asked for');
    await load(other, 100, { from: 31, ...shape });
    await until(() => standby.scans === 1, 'the scan has begun', 10_000);
    await until(() => standby.journal.position.sequence === 130, 'its records come', 10_000);
  });

  it('completes no copy by the end of a scan that comes while the next one is being prepared', async () => {
    const shape = { ...plain, special: { 31: recordType.scanBegin, 90: recordType.scanEnd } };
    const standby = await withStandby({ shape });
    const rig = startSender(standby.port);
    await load(rig, 30, { from: 1, ...shape });
    await until(() => rig.scansWanted.length === 1, 'a scan is asked for');
    await load(rig, 58, { from: 31, ...shape });
    await until(() => standby.follower.control.applied === 88, 'the scan goes on');
    standby.sleep();
    await load(rig, 12, { from: 89, ...shape });
    await until(() => standby.journal.durableSequence === 100, 'its end is there');
    rig.sender.close();
    const next = startSender(standby.port, { streamId: 'cd'.repeat(16) });
    standby.beforeScan = async () => {
      standby.wake();
      await until(() => standby.follower.control.applied === 100, 'the end is applied');
    };
    await load(next, 30, { from: 1, ...shape });
    await until(() => next.scansWanted.length === 1, 'another scan is asked for');
    await load(next, 100, { from: 31, ...shape });
    await until(() => standby.follower.control.applied === 130, 'it has come to its end');
    expect(standby.scans).toBe(2);
    expect(standby.completed).toBe(1);
  });

  it('asks for no more at once than the primary takes, and for all in the end', async () => {
    const shape = { ...plain, special: { 31: recordType.scanBegin } };
    const standby = await withStandby({ shape });
    const scanPace = new ScanPace();
    const rig = startSender(standby.port, { scanPace });
    rig.takesNeeds = false;
    await load(rig, 30, { from: 1, ...shape });
    await until(() => rig.scansWanted.length === 1, 'a scan is asked for');
    await load(rig, 100, { from: 31, ...shape });
    await until(() => rig.sender.acked?.appliedSequence === 130, 'the scan has begun');
    const before = rig.links.length;
    const count = 100_000;
    for (let from = 0; from < count; from += 500) {
      standby.receiver.needed(
        Array.from({ length: 500 }, (_, at) => ({
          directory: 0,
          path: `dir/${from + at}`,
          offset: 0,
          length: 65_536,
          compare: false,
        })),
      );
    }
    let taken = 0;
    let waitingMax = 0;
    const takeSome = (): boolean => {
      const waiting = rig.needs.length - taken;
      waitingMax = Math.max(waitingMax, waiting);
      const some = Math.min(waiting, 300);
      scanPace.needsTaken(some);
      taken += some;
      return taken === count;
    };
    await until(takeSome, () => `${taken} of ${count} came`, 25_000);
    expect(waitingMax).toBeLessThanOrEqual(NEEDS_AT_ONCE_MAX);
    expect(rig.needs.map(({ path }) => path)).toEqual(
      Array.from({ length: count }, (_, at) => `dir/${at}`),
    );
    expect(rig.links.slice(before)).toEqual([]);
  });

  it('tells how long a commit takes', async () => {
    const shape = { ...plain, payloadBytesMax: 8192, commitEvery: 2 };
    const standby = await withStandby({ holds: BASE, shape });
    const rig = startSender(standby.port, onBase);
    const times: number[] = [];
    const stamps = new SharedArrayBuffer(8 * 2000);
    const captured = new Float64Array(stamps);
    let next = 102;
    rig.onAck = (ack) => {
      const now = preciseNow();
      for (; next <= ack.durableSequence; next += 2) times.push(now - (captured[next - 101] ?? 0));
    };
    await load(rig, 2000, { ...shape, pauseMs: 2, stamps });
    await settled(rig, standby, 2100);
    times.sort((a, b) => a - b);
    const at = (part: number): string => (times[Math.floor(times.length * part)] ?? 0).toFixed(2);
    process.stdout.write(
      `commit to acknowledgement (durable): p50 ${at(0.5)} ms, p99 ${at(0.99)} ms\n`,
    );
    expect(times.length).toBeGreaterThan(100);
  });
});
