// The sender: brings the records of the shared ring to the standby, in order, as soon as they come.
//
// It lives on a thread with an event loop. One frame is under way at a time; meanwhile records
// gather and make up the next frame, so batches grow with the load and a single record does not
// wait. Nothing is allocated per record.
import { setTimeout as sleep } from 'node:timers/promises';
import { RingProducer, type RingMemory } from '../core/byte-ring.ts';
import { type Clock, systemClock } from '../core/clock.ts';
import { type Logger, silentLogger } from '../core/logger.ts';
import type { ScanPace } from '../core/scan-pace.ts';
import { KiB } from '../core/units.ts';
import {
  type Ack,
  type CopyState,
  FRAME_HEADER_BYTES,
  frameType,
  LINK_VERSION,
  RECORDS_BODY_BYTES_MAX,
  writeFrameHeader,
} from './link/frame.ts';
import { LinkClient, type LinkState } from './link/link-client.ts';
import {
  type CommitsWaitFor,
  encodeMessage,
  type Hello,
  type Need,
  type NeedRange,
  type Ping,
  type ScanWish,
  type StreamPosition,
  type Welcome,
} from './link/messages.ts';
import { pack, PACKED_HEADER_BYTES, packSync, writePackedHeader } from './link/packed.ts';
import type { LinkIdentity } from './link/tls.ts';
import { type DrainLevel, type DrainPatience, DrainWaiters } from './drain-waiters.ts';
import { Backlog, type BacklogSuccession } from './sender-backlog.ts';
import { TakenNeeds } from './sender-needs.ts';
import { type DiskSpace, type SpaceAlert, SpaceGuard } from './disk-space.ts';
import { type Compression, LINK_SAMPLE_BYTES_MIN, Packer, type PackerStatus } from './packer.ts';
import { Throttle } from './throttle.ts';

export interface SenderOptions {
  readonly ring: RingMemory;
  /** The standby's address and its pinned certificate (PEM). */
  readonly peer: { readonly host: string; readonly port: number; readonly certificate: string };
  readonly identity: LinkIdentity;
  readonly group: string;
  readonly groupId: string;
  readonly node: { readonly id: string; readonly name: string };
  readonly epoch: number;
  readonly streamId: string;
  /** Sequence of the first record that will be in the ring. */
  readonly firstSequence: number;
  /** The clean end of another stream from which this one carries on; its sequence is one lower. */
  readonly base: StreamPosition | null;
  /** Lets another process go on with the stream, or goes on with that of another one. */
  readonly succession?: BacklogSuccession | undefined;
  /** Emptied at the start of a stream. */
  readonly spillDirectory: string;
  readonly spillBytesMax: number;
  /** Which acknowledgement of a commit somebody waits for. */
  readonly commitsWaitFor: CommitsWaitFor;
  /** The standby has all that anybody was told is safe: see {@link helloSchema}'s `neededSequence`. */
  readonly isStandbyComplete: () => boolean;
  readonly linkTimeoutMs: number;
  /** Points of which this node has marks, see journal/marks.ts. */
  readonly marks: () => readonly StreamPosition[];
  /** Where a scan learns how far ahead it may be, and tells of needs that it has dealt with. */
  readonly scanPace: ScanPace;
  readonly compression: Compression;
  /** For tests. */
  readonly readDiskSpace?: (path: string) => DiskSpace;
}

export interface SenderTotals {
  /** Taken from the ring, and their bytes. */
  readonly records: number;
  readonly bytes: number;
  /** Bytes of records sent, and what they were on the wire. */
  readonly sentBytes: number;
  readonly wireBytes: number;
}

export interface SenderHandlers {
  /** The standby has come so far. On every welcome too. */
  onAck(ack: Ack): void;
  /**
   * Contents of these ranges differ: read them and put them into the stream as `scanData`. Whoever has dealt with
   * them says so to the {@link ScanPace}.
   */
  onNeed(ranges: readonly NeedRange[]): void;
  /** The standby needs a (new) scan: put a `scanBegin` record into the ring as soon as possible. */
  onScanWanted(wish: ScanWish): void;
  onLink(state: LinkState, reason: string): void;
  /** Records had to be let go: the standby will need a scan. */
  onOverflow(reason: string): void;
  /** The file system that takes what the standby lacks is getting full. */
  onSpaceLow(alert: SpaceAlert): void;
}

/** Frames are about so long when there is much to send. */
const FRAME_BYTES_TARGET = 256 * KiB;
/**
 * The same while commits wait: a frame is acknowledged as a whole, and what comes meanwhile is behind it. On a
 * slow line it has to be seen that the standby does confirm.
 */
const FRAME_BYTES_WAITED_FOR = 64 * KiB;
/** Frames are no longer than what the link takes in this time, as far as is known. */
const FRAME_MS_MAX = 100;
/** Longer frames are compressed on another thread; for shorter ones the way there takes longer. */
const PACKED_HERE_BYTES_MAX = 16 * KiB;
/** With a limit, what comes meanwhile waits for one frame no longer than this, unless a record is longer. */
const LIMITED_FRAME_MS = 10;
const FRAME_BYTES_MIN = 16 * KiB;
/** With a limit, a scan is ahead of what was sent by what takes so long to send. */
const SCAN_LEAD_MS = 100;
const SCAN_LEAD_BYTES_MIN = 32 * KiB;
/** Looks at the ring this often after it was empty before sleeping, when commits wait. */
const SPINS = 20;
/**
 * Pause between frames when nobody waits for them, ms: under load they become fewer and larger,
 * and every wake-up spared on both nodes is left to the application.
 */
const PAUSE_MS = 8;
/** The same where so many records came at once: a frame costs both nodes more than its records. */
const PAUSE_BUSY_MS = 16;
const BUSY_RECORDS = 16;

export class Sender {
  readonly #options: SenderOptions;
  readonly #handlers: SenderHandlers;
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #backlog: Backlog;
  readonly #link: LinkClient;
  readonly #throttle: Throttle;
  readonly #packer: Packer;
  /** Where a compressed frame is put together. */
  readonly #packed = Buffer.from(new ArrayBuffer(FRAME_HEADER_BYTES + RECORDS_BODY_BYTES_MAX));
  readonly #frame = Buffer.from(new ArrayBuffer(FRAME_HEADER_BYTES + RECORDS_BODY_BYTES_MAX));
  /** Where a chunk from disk is read to. */
  readonly #body = this.#frame.subarray(FRAME_HEADER_BYTES);
  #linkState: LinkState = 'connecting';
  #linkReason = 'not tried yet';
  /** A frame is being written to the socket; one is being read from disk. */
  #isSending = false;
  #isReading = false;
  /** Grows with each connection, so that the end of a write of an old one is not mistaken. */
  #connection = 0;
  #stopped = false;
  #acked: Ack | undefined;
  readonly #needs: TakenNeeds;
  readonly #drains: DrainWaiters;
  #sentBytes = 0;

  constructor(
    options: SenderOptions,
    handlers: SenderHandlers,
    { clock, logger }: { clock: Clock; logger: Logger } = {
      clock: systemClock,
      logger: silentLogger,
    },
  ) {
    this.#options = options;
    this.#handlers = handlers;
    this.#logger = logger;
    this.#clock = clock;
    this.#needs = new TakenNeeds(options.scanPace);
    this.#drains = new DrainWaiters(options.group, this);
    const { ring, firstSequence, spillDirectory, spillBytesMax, succession } = options;
    this.#throttle = new Throttle(clock);
    this.#packer = new Packer(options.compression);
    const onLost = (reason: string): void => this.#lost(reason);
    // Without a base no standby can make use of what comes before its scan.
    const mode = options.base === null ? 'dropping' : 'holding';
    const onAlert = (alert: SpaceAlert): void => handlers.onSpaceLow(alert);
    const space = new SpaceGuard({ path: spillDirectory, onAlert, read: options.readDiskSpace });
    const backlogOptions = {
      ring,
      space,
      firstSequence,
      spillDirectory,
      spillBytesMax,
      succession,
      onLost,
    };
    this.#backlog = new Backlog(backlogOptions, mode);
    this.#link = new LinkClient(
      {
        host: options.peer.host,
        port: options.peer.port,
        peerCertificate: options.peer.certificate,
        identity: options.identity,
        linkTimeoutMs: options.linkTimeoutMs,
        throttle: this.#throttle,
      },
      {
        hello: () => this.#hello(),
        ping: () => this.#ping(),
        onWelcome: (welcome) => this.#welcome(welcome),
        onAck: (ack) => this.#ack(ack),
        onNeed: (need) => this.#need(need),
        onDown: (state, reason) => this.#setLink(state, reason),
      },
      { clock, logger },
    );
  }

  /** Begins to connect and to take records out of the ring. */
  start(): void {
    this.#link.start();
    void this.#watchRing();
  }

  /** Limits the bytes on the wire per second from now on; null: no limit. */
  setLimit(bytesPerSecond: number | null): void {
    this.#throttle.setRate(bytesPerSecond);
    this.#packer.setLimit(bytesPerSecond);
    const lead = this.#throttle.bytesIn(SCAN_LEAD_MS);
    const isLimited = this.#throttle.isLimited;
    this.#options.scanPace.setLead(isLimited ? Math.max(SCAN_LEAD_BYTES_MIN, lead) : 0);
    this.#publishPace();
  }

  get link(): { readonly state: LinkState; readonly reason: string } {
    return { state: this.#linkState, reason: this.#linkReason };
  }
  /** What the standby said last about this stream; undefined before it has taken any part of it. */
  get acked(): Ack | undefined {
    return this.#acked;
  }
  get copy(): CopyState | undefined {
    return this.#acked?.copy;
  }
  /** Last record seen in the ring. */
  get headSequence(): number {
    return this.#backlog.headSequence;
  }
  /** False while nobody can use what is captured: no standby, or it needs a scan first. */
  get isHolding(): boolean {
    return this.#backlog.mode === 'holding';
  }
  /** Bytes that the standby does not have on disk yet. */
  get backlogBytes(): number {
    return this.#backlog.heldBytes;
  }
  /** Part of {@link backlogBytes} that is on this node's disk. */
  get spilledBytes(): number {
    return this.#backlog.spilledBytes;
  }
  get compression(): PackerStatus {
    return this.#packer.status;
  }
  /** Since the start. */
  get totals(): SenderTotals {
    const { records, bytes } = this.#backlog;
    return { records, bytes, sentBytes: this.#sentBytes, wireBytes: this.#throttle.spentBytes };
  }
  /** Age of the oldest record that the standby does not have on disk. */
  get lagMs(): number {
    const capturedAt = this.#backlog.oldestCapturedAt;
    return capturedAt === 0 ? 0 : Math.max(0, this.#clock.wallMs() - capturedAt / 1000);
  }

  /**
   * Resolves when the standby has everything up to `sequence` on disk, or applied. A link that is down for `linkPatienceMs`
   * ends the wait too. Errors: DRAIN_TIMEOUT, DRAIN_STOPPED.
   */
  async drain(sequence: number, level: DrainLevel, patience: DrainPatience): Promise<void> {
    await this.#drains.until(sequence, level, patience);
  }

  /** After a drain: tells the standby that the stream ends here, cleanly, and stops. */
  close(): void {
    if (this.#link.isWritable) {
      const sequence = this.#backlog.headSequence;
      this.#link.write(encodeMessage(frameType.close, { sequence }), () => undefined);
    }
    this.#stop(true);
  }

  /** Stops at once. */
  destroy(): void {
    this.#stop(false);
  }

  #stop(flush: boolean): void {
    if (this.#stopped) return;
    this.#stopped = true;
    this.#link.stop(flush);
    this.#backlog.close();
    // Lets the loop over the ring see that it is over.
    new RingProducer(this.#options.ring).wake();
    this.#drains.stop();
  }

  async #watchRing(): Promise<void> {
    const { ring } = this.#backlog;
    while (!this.#stopped) {
      const seen = ring.head;
      const { records } = this.#backlog;
      if (this.#pump()) {
        await immediate();
        continue;
      }
      if (this.#isPaced) await sleep(this.#pauseAfter(this.#backlog.records - records));
      if (!(await this.#spin(seen))) await ring.waitForItem(seen, FOREVER_MS);
    }
  }

  #pauseAfter(records: number): number {
    return records >= BUSY_RECORDS ? PAUSE_BUSY_MS : PAUSE_MS;
  }

  get #isPaced(): boolean {
    return this.#options.commitsWaitFor === 'nothing';
  }

  /**
   * Looks a few times whether something came after `seen` before it is worth sleeping: in a stream
   * of commits this spares most of the wake-ups.
   */
  async #spin(seen: number): Promise<boolean> {
    if (this.#isPaced) return this.#backlog.ring.head !== seen;
    for (let spin = 0; spin < SPINS; spin += 1) {
      if (this.#backlog.ring.head !== seen || this.#stopped) return true;
      await immediate();
    }
    return false;
  }

  /** Does what can be done now; true when the ring has more than was looked at. */
  #pump(): boolean {
    if (this.#stopped) return false;
    const more = this.#backlog.advance();
    if (this.#backlog.isCrowded) void this.#spill();
    if (!this.#isSending) this.#publishPace();
    this.#send();
    return more;
  }

  async #spill(): Promise<void> {
    if (await this.#backlog.spillSome()) this.#pump();
  }

  #send(): void {
    const backlog = this.#backlog;
    if (this.#isSending || this.#isReading || !this.#link.isUp || !backlog.hasNext) return;
    if (this.#needs.isLate) this.#link.ping();
    if (backlog.nextChunk !== undefined) {
      void this.#sendSpilled();
      return;
    }
    let length = 0;
    const target = this.#frameBytes;
    while (length < target && backlog.hasNext && backlog.nextChunk === undefined) {
      const room = target - length;
      length += backlog.take(this.#frame, FRAME_HEADER_BYTES + length, room);
    }
    this.#write(this.#frame, length);
  }

  get #frameBytes(): number {
    const limited = this.#throttle.bytesIn(LIMITED_FRAME_MS);
    const taken = Math.min(limited, this.#packer.bytesIn(FRAME_MS_MAX));
    const target = this.#isPaced ? FRAME_BYTES_TARGET : FRAME_BYTES_WAITED_FOR;
    return Math.min(target, Math.max(FRAME_BYTES_MIN, taken));
  }

  /** Nothing is under way: everything before the next record to send has left. */
  #publishPace(): void {
    const { sentPosition, nextChunk } = this.#backlog;
    this.#options.scanPace.publish(sentPosition, nextChunk !== undefined);
  }

  async #sendSpilled(): Promise<void> {
    const connection = this.#connection;
    this.#isReading = true;
    const range = await this.#backlog.takeSpilled(this.#body);
    this.#isReading = false;
    if (this.#stopped) return;
    if (range === undefined || connection !== this.#connection || !this.#link.isUp) {
      this.#pump();
      return;
    }
    // The header goes right before the records, which may begin within what was read.
    this.#write(this.#frame.subarray(range.from), range.to - range.from);
  }

  /** Sends `length` bytes of records that lie behind room for a header in `frame`. */
  #write(frame: Buffer, length: number): void {
    this.#isSending = true;
    this.#sentBytes += length;
    const records = frame.subarray(FRAME_HEADER_BYTES, FRAME_HEADER_BYTES + length);
    if (!this.#packer.wants(length)) this.#transmitPlain(frame, length);
    else if (length > PACKED_HERE_BYTES_MAX) void this.#packElsewhere(frame, records);
    else {
      const from = this.#clock.monotonicMs();
      this.#packedIs(packSync(records), frame, { length, from });
    }
  }

  /** Long ones take milliseconds: meanwhile acknowledgements are to be handled. */
  async #packElsewhere(frame: Buffer, records: Buffer): Promise<void> {
    const connection = this.#connection;
    const from = this.#clock.monotonicMs();
    // Without memory for it, for one, the records still have to go.
    const packed = await pack(records).catch(() => undefined);
    if (connection !== this.#connection || !this.#link.isUp || this.#stopped) return;
    if (packed === undefined) this.#transmitPlain(frame, records.length);
    else this.#packedIs(packed, frame, { length: records.length, from });
  }

  #packedIs(packed: Buffer, frame: Buffer, raw: { length: number; from: number }): void {
    const { length } = raw;
    const bytes = PACKED_HEADER_BYTES + packed.length;
    if (!this.#packer.packed(length, bytes, this.#clock.monotonicMs() - raw.from)) {
      this.#transmitPlain(frame, length);
      return;
    }
    writeFrameHeader(this.#packed, frameType.packed, bytes);
    writePackedHeader(this.#packed, FRAME_HEADER_BYTES, length);
    this.#packed.set(packed, FRAME_HEADER_BYTES + PACKED_HEADER_BYTES);
    this.#transmit(this.#packed.subarray(0, FRAME_HEADER_BYTES + bytes), length);
  }

  #transmitPlain(frame: Buffer, length: number): void {
    writeFrameHeader(frame, frameType.records, length);
    this.#transmit(frame.subarray(0, FRAME_HEADER_BYTES + length), length);
  }

  #transmit(frame: Buffer, recordsBytes: number): void {
    const connection = this.#connection;
    const from = this.#clock.monotonicMs();
    const sentBytes = frame.length - FRAME_HEADER_BYTES;
    // What the kernel takes at once says nothing of the link, however long this thread is held up: then
    // the write is done before the event loop has gone round once.
    let isAtOnce = true;
    if (sentBytes >= LINK_SAMPLE_BYTES_MIN) {
      setImmediate(() => {
        isAtOnce = false;
      });
    }
    this.#link.write(frame, () => {
      if (connection !== this.#connection) return;
      const waitedMs = isAtOnce ? 0 : this.#clock.monotonicMs() - from;
      this.#packer.sent(recordsBytes, sentBytes, waitedMs);
      this.#isSending = false;
      this.#publishPace();
      if (this.#isPaced) this.#send();
      else this.#pump();
    });
  }

  /** See {@link helloSchema}. */
  get #neededSequence(): number {
    const { headSequence, tailSequence } = this.#backlog;
    const { isStandbyComplete, commitsWaitFor } = this.#options;
    if (!isStandbyComplete()) return headSequence;
    if (commitsWaitFor === 'received') return this.#acked?.receivedSequence ?? headSequence;
    // A process that goes on for another one knows what is not kept any more, as it was confirmed.
    return this.#acked?.durableSequence ?? tailSequence - 1;
  }

  #hello(): Hello {
    const { group, groupId, node, epoch, streamId, firstSequence, base, commitsWaitFor, marks } =
      this.#options;
    this.#backlog.advance();
    return {
      protocol: LINK_VERSION,
      group,
      groupId,
      node,
      epoch,
      streamId,
      firstSequence,
      base,
      headSequence: this.#backlog.headSequence,
      neededSequence: this.#neededSequence,
      tailSequence: this.#backlog.tailSequence,
      commitsWaitFor,
      marks: marks().map(({ streamId: id, sequence }) => ({ streamId: id, sequence })),
      life: this.#needs.life,
      needsReceived: this.#needs.received,
    };
  }

  #ping(): Ping {
    return {
      neededSequence: this.#neededSequence,
      isBehind: this.#backlog.nextChunk !== undefined,
      needsReceived: this.#needs.tell(),
    };
  }

  #welcome(welcome: Welcome): boolean {
    this.#needs.begin(welcome.life);
    const { action, position, copy } = welcome;
    if (action.kind === 'scan') {
      this.#acked = undefined;
      this.#backlog.awaitScan();
      this.#setLink('connected', `scan wanted (${action.mode})`);
      this.#handlers.onScanWanted(action);
      return true;
    }
    if (!this.#backlog.rewind(action.from)) return false;
    this.#setLink('connected', `resumed at record ${action.from}`);
    if (position !== null) this.#ack({ ...position, copy });
    this.#pump();
    return true;
  }

  #ack(ack: Ack): void {
    // Until the scan that was asked for begins, the standby may speak of another stream.
    if (!this.isHolding) return;
    if (ack.receivedSequence >= this.#backlog.nextSequence) {
      this.#link.reset('the standby acknowledged what was never sent');
      return;
    }
    this.#acked = ack;
    this.#backlog.acknowledge(ack.durableSequence);
    this.#handlers.onAck(ack);
    this.#drains.acked(ack);
  }

  #need(need: Need): void {
    const taken = this.#needs.take(need);
    if (typeof taken === 'string') this.#link.reset(taken);
    else if (taken.length > 0) this.#handlers.onNeed(taken);
  }

  #lost(reason: string): void {
    this.#acked = undefined;
    this.#logger.warn({ group: this.#options.group, reason }, 'backlog let go');
    this.#handlers.onOverflow(reason);
    this.#link.reset(`a scan is needed: ${reason}`);
  }

  #setLink(state: LinkState, reason: string): void {
    this.#connection += 1;
    this.#isSending = false;
    const changed = state !== this.#linkState || reason !== this.#linkReason;
    if (state !== this.#linkState) {
      const { group } = this.#options;
      this.#logger.info({ group, from: this.#linkState, to: state, reason }, 'link');
    }
    this.#linkState = state;
    this.#linkReason = reason;
    if (changed) this.#handlers.onLink(state, reason);
  }
}

/** No limit: a wait without a timer. */
const FOREVER_MS = Number.POSITIVE_INFINITY;

async function immediate(): Promise<void> {
  await new Promise<void>((resolve) => {
    setImmediate(resolve);
  });
}
