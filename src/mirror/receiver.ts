// The receiver: takes records from the primary into the journal, tells the applier how far it may
// go, and tells the primary how far everything has come.
//
//   frame → check every record → journal (page cache) → fdatasync, one for many → tail of the applier
//             │ a fault, a gap or a repeat: nothing of the frame after it is kept, the link is reset
//
// Which stream it takes is decided once per connection, at the hello:
//
//   stream held, next record still there            resume
//   another stream that carries on from ours        resume, in a new segment
//   anything else                                   scan: nothing is taken until `scanBegin`
import { randomBytes } from 'node:crypto';
import type { Clock } from '../core/clock.ts';
import { UnderstudyError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { MiB } from '../core/units.ts';
import type { JournalWriter } from '../journal/journal-writer.ts';
import { checkRecord, field, recordType } from '../journal/record.ts';
import { sequenceAt } from '../journal/segment.ts';
import { commonPoint, type Marks } from '../journal/marks.ts';
import type { StandbyState } from '../journal/standby-state.ts';
import type { ApplierHost } from './applier-host.ts';
import type { ApplyGate } from './guard/apply-gate.ts';
import { GroupCommit } from './group-commit.ts';
import { type CopyState, encodeAck, frameType } from './link/frame.ts';
import type { LinkServerHandlers, ServerLink } from './link/link-server.ts';
import {
  closeSchema,
  decodeMessage,
  encodeMessage,
  type Hello,
  type NeedRange,
  pingSchema,
  type ScanWish,
  type Welcome,
} from './link/messages.ts';
import { unpack } from './link/packed.ts';
import { NeedQueue } from './receiver-needs.ts';
import { decideStream, type Decision, type StandbyView } from './stream-decision.ts';

export interface ReceiverOptions {
  readonly group: string;
  readonly groupId: string;
  /** Reading stops when the journal has this size, until a checkpoint frees some of it. */
  readonly journalBytesMax: number;
}

export interface ReceiverParts {
  readonly journal: JournalWriter;
  readonly state: StandbyState;
  readonly marks: Marks;
  readonly applier: Pick<ApplierHost, 'control' | 'hasAllNeeds'>;
  /** Says how far may be applied; without one, everything that is durable. */
  readonly gate?: ApplyGate | undefined;
}

/** Where the journal begins anew, and what the scan may trust of the copy (see applier/trust.ts). */
export interface ScanStart {
  readonly position: {
    readonly streamId: string;
    readonly epoch: number;
    readonly sequence: number;
  };
  readonly trustedSinceMs: number;
}

export type EventDetails = Readonly<Record<string, string | number | boolean>>;
export type EventLevel = 'info' | 'warning' | 'error';

export interface ReceiverHandlers {
  /** True when the protected directories have nothing in them: then hashes are of no use. */
  isEmpty(): boolean;
  /**
   * A scan begins behind `sequence` of another stream or after a loss: end the applier and begin
   * the journal, the state and the applier anew. Resolves when records may be appended; with false
   * when the copy is not to be replaced after all.
   */
  onScanBegin(scan: ScanStart): Promise<boolean>;
  /** The end of a scan is applied: make the copy complete, unless another scan has begun. */
  onScanApplied(): void;
  /** The journal needs a checkpoint to be able to free something. */
  onCheckpointWanted(): void;
  onEvent(level: EventLevel, code: string, message: string, details: EventDetails): void;
  /** The process cannot be trusted to go on. */
  onFatal(error: unknown): void;
}

/** A copy that diverges again within this time after the last time is not scanned again at once. */
const DIVERGED_RETRY_MS = 60_000;
const UNSENT_BYTES_MAX = 4 * MiB;
/** What a paused link may still deliver. */
const HELD_BYTES_MAX = 16 * MiB;

type Acceptance = Exclude<Decision, { kind: 'refuse' }>;

interface Session {
  readonly link: ServerLink;
  readonly hello: Hello;
  /** `taking`: records are taken. `awaiting`: only a scanBegin. `beginning`: it is being dealt with. */
  phase: 'taking' | 'awaiting' | 'beginning';
  /** The copy is up to date when it has received this record. */
  target: number;
  /** Frames that came while a scan's beginning is dealt with. */
  held: Buffer[];
  /** See {@link ScanStart}; NaN when no scan was asked for. */
  readonly trustedSinceMs: number;
}

export class Receiver implements LinkServerHandlers {
  readonly #options: ReceiverOptions;
  readonly #parts: ReceiverParts;
  readonly #handlers: ReceiverHandlers;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #needs = new NeedQueue();
  readonly #commit: GroupCommit;
  #life = newLife();
  #session: Session | undefined;
  #isCaughtUp = false;
  /** The copy is complete once this record, a scanEnd, is applied. */
  #scanEnd: number | undefined;
  /** A scan that began in another life of this process cannot be completed by this one. */
  #scanIsOurs = false;
  #scanCount = 0;
  /** Record of the `scanBegin` that the copy was prepared for. */
  #preparedScan: number | undefined;
  /** Last applied sequence whose needs are all with the primary. */
  #appliedConfirmed: number;
  /** The same when the primary had last dealt with all of them. */
  #appliedSettled: number;
  #divergedAt = Number.NEGATIVE_INFINITY;
  #noScanBefore = Number.NEGATIVE_INFINITY;
  #isFull = false;
  /** What the primary is told while the journal's disk has no room; null: it has, as far as is known. */
  #lacksSpace: Decision | null = null;
  /** While the copy is prepared for a scan. */
  #beginning: Promise<void> | undefined;
  /** Why no primary is taken at present. */
  #held: string | null = null;
  #stopped = false;
  #receivedBytes = 0;

  constructor(
    options: ReceiverOptions,
    parts: ReceiverParts,
    handlers: ReceiverHandlers,
    { clock, logger }: { clock: Clock; logger: Logger },
  ) {
    this.#options = options;
    this.#parts = parts;
    this.#handlers = handlers;
    this.#clock = clock;
    this.#logger = logger;
    this.#appliedConfirmed = parts.state.data.checkpoint.sequence;
    this.#appliedSettled = this.#appliedConfirmed;
    const onDurable = (sequence: number): void => this.#durable(sequence);
    const onFatal = (error: unknown): void => handlers.onFatal(error);
    this.#commit = new GroupCommit(parts.journal, { onDurable, onFatal }, clock);
  }

  /** Copy state as shown: what there would be to promote. */
  get copy(): CopyState {
    const { copy, staged } = this.#parts.state.data;
    return copy === 'syncing' && staged !== null ? 'catching-up' : this.#streamCopy;
  }

  /**
   * Copy state as the primary is told: of the copy that its stream leads to. What it sends during a scan
   * is not in the state that would be promoted, so no commit may count on it.
   */
  get #streamCopy(): CopyState {
    const { copy } = this.#parts.state.data;
    if (copy !== 'complete') return copy;
    if (this.#halted !== null) return 'halted';
    return this.#isCaughtUp ? 'up-to-date' : 'catching-up';
  }

  get #halted(): string | null {
    return this.#parts.gate?.halted?.sentence ?? null;
  }

  get isConnected(): boolean {
    return this.#session !== undefined;
  }

  /** Bytes of records received since the start. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** True while the primary has to wait for room in the journal. */
  get isFull(): boolean {
    return this.#isFull;
  }

  /** Scans begun so far. */
  get scanCount(): number {
    return this.#scanCount;
  }

  /** Everything received is durable when this resolves. Call it when nothing comes any more. */
  async settle(): Promise<void> {
    await this.#commit.settle();
  }

  /** The copy is being prepared for a scan: nobody else may do anything with it. */
  get isBeginning(): boolean {
    return this.#beginning !== undefined;
  }

  /** Resolves when the copy is prepared for the scan that began, if one did. */
  async untilBegun(): Promise<void> {
    await this.#beginning;
  }

  /** Takes no primary until it is called with null; one that is there is let go. */
  hold(reason: string | null): void {
    this.#held = reason;
    if (reason === null) return;
    this.#isCaughtUp = false;
    this.#session?.link.drop(reason);
  }

  /** The copy was taken back: it, and the journal, are at `sequence` now. */
  movedTo(sequence: number): void {
    this.#appliedConfirmed = sequence;
    this.#appliedSettled = sequence;
    this.#scanEnd = undefined;
    this.#scanIsOurs = false;
    this.#isCaughtUp = false;
    this.#beginLife(true);
  }

  get isOpen(): boolean {
    return !this.#stopped;
  }

  /** Takes nothing more. */
  stop(): void {
    this.#stopped = true;
  }

  /** The journal has freed something. */
  roomMade(): void {
    if (this.#noteRoom() && !this.isBeginning) this.#session?.link.resume();
  }

  #noteRoom(): boolean {
    if (!this.#isFull || this.#parts.journal.bytes >= this.#options.journalBytesMax) return false;
    this.#isFull = false;
    this.#handlers.onEvent('info', 'JOURNAL_HAS_ROOM', 'the journal has room again', {});
    return true;
  }

  /** The applier found ranges that differ. */
  needed(ranges: readonly NeedRange[]): void {
    this.#needs.add(ranges);
    if (this.#session?.phase === 'taking') this.#needs.send(this.#session.link);
  }

  /** The applier has come further (or its needs have arrived). */
  applied(): void {
    const { applier, state } = this.#parts;
    // A process that still writes what is kept aside has not started its applier, but has its checkpoint.
    const applied = Math.max(applier.control.applied, state.data.checkpoint.sequence);
    const session = this.#session;
    if (session?.phase === 'taking') this.#needs.send(session.link);
    if (!applier.hasAllNeeds || !this.#needs.isSent) return;
    this.#appliedConfirmed = applied;
    this.#noteSettled();
    if (this.#scanEnd !== undefined && applier.control.moment >= this.#scanEnd) {
      this.#scanEnd = undefined;
      this.#handlers.onScanApplied();
    }
    this.#acknowledge();
  }

  #noteSettled(): void {
    if (this.#needs.length === 0) this.#appliedSettled = this.#appliedConfirmed;
  }

  /** The applier cannot apply record `sequence`: the copy does not fit the stream. */
  diverged(sequence: number, message: string): void {
    const { state, marks } = this.#parts;
    const { group } = this.#options;
    const what = `the copy of ${group} does not fit the stream at record ${sequence}`;
    // First: on a full disk the process ends with what it has to write down.
    this.#handlers.onEvent('error', 'COPY_DIVERGED', `${what}: ${message}`, { sequence });
    state.update({ copy: 'diverged' });
    // Whatever led to this, what is known of the copy may be wrong.
    marks.clear();
    // Once, a scan repairs it by itself. Twice in a row means that a scan does not help.
    const now = this.#clock.monotonicMs();
    if (now - this.#divergedAt < DIVERGED_RETRY_MS) this.#noScanBefore = now + DIVERGED_RETRY_MS;
    this.#divergedAt = now;
    this.#isCaughtUp = false;
    this.#scanEnd = undefined;
    this.#session?.link.drop('the copy has diverged');
  }

  onHello(link: ServerLink, hello: Hello): void {
    const refusal = this.#refusal();
    const found = refusal ?? decideStream(hello, this.#view());
    // A scan would bring what was halted for.
    const isHalted = found.kind === 'scan' && this.#halted !== null;
    const decision = isHalted ? refuse('COPY_HALTED', this.#halted ?? '') : this.#unlessFull(found);
    if (decision.kind === 'refuse') {
      this.#logger.warn({ code: decision.code, reason: decision.message }, 'primary refused');
      link.refuse(decision.code, decision.message);
      return;
    }
    try {
      this.#accept(link, hello, decision);
    } catch (error) {
      // A full disk, for one: the primary comes again, and by then there may be room.
      if (!(error instanceof UnderstudyError)) throw error;
      this.#handlers.onEvent('error', error.code, error.message, {});
      link.refuse(error.code, error.message);
    }
  }

  /** Without room for it, a stream would be sent again and again only to be thrown away. A scan begins with an empty journal. */
  #unlessFull(found: Decision): Decision {
    if (this.#lacksSpace === null || found.kind === 'scan') return found;
    return this.#parts.journal.hasRoom ? found : this.#lacksSpace;
  }

  #accept(link: ServerLink, hello: Hello, decision: Acceptance): void {
    const { journal, state } = this.#parts;
    if (hello.epoch > state.data.epoch) state.update({ epoch: hello.epoch });
    if (decision.kind === 'continue') journal.continueAs(hello.streamId, hello.epoch);
    const isScan = decision.kind === 'scan';
    // Needs of this process that the primary has not confirmed go out again with the new link.
    const sameLife = hello.life === this.#life && !isScan;
    if (!sameLife || !this.#needs.rewind(hello.needsReceived)) this.#beginLife(isScan);
    // Those that were lost with the old link come behind the welcome: a scan would end without them.
    if (!this.#needs.isSent) this.#appliedConfirmed = this.#appliedSettled;
    const phase = isScan ? 'awaiting' : 'taking';
    const wish = isScan ? this.#scanWish(hello) : undefined;
    const trustedSinceMs = this.#trustedSince(hello, wish);
    const target = hello.neededSequence;
    this.#session = { link, hello, phase, target, held: [], trustedSinceMs };
    this.#isCaughtUp = !isScan && journal.position.sequence >= target;
    const welcome = this.#welcome(decision, wish);
    this.#logger.info(
      { from: hello.node.name, decision, head: hello.headSequence, needed: target },
      'primary came',
    );
    link.write(encodeMessage(frameType.welcome, welcome));
    // A scan begins with an empty journal.
    if (this.#isFull && !isScan) link.pause();
    this.applied();
  }

  onFrame(link: ServerLink, type: number, body: Buffer): string | undefined {
    const session = this.#session;
    if (session?.link !== link) return undefined;
    if (session.phase === 'beginning') return hold(session, type, body);
    if (type === frameType.records) return this.#take(session, body);
    if (type === frameType.packed) {
      const records = unpack(body);
      return typeof records === 'string' ? records : this.#take(session, records);
    }
    if (type === frameType.ping) return this.#ping(session, body);
    if (type === frameType.close) return this.#close(session, body);
    return `a second introduction`;
  }

  onDown(link: ServerLink, reason: string): void {
    if (this.#session?.link !== link) return;
    this.#session = undefined;
    this.#logger.info({ reason }, 'primary gone');
  }

  /** Names of copy and position in one line of `status`. */
  #view(): StandbyView {
    const { journal, state } = this.#parts;
    const { copy, epoch } = state.data;
    const { streamId, sequence } = journal.position;
    const { group, groupId } = this.#options;
    return {
      group,
      groupId,
      epoch,
      position: copy === 'empty' ? null : { streamId, sequence },
      copy:
        copy === 'complete'
          ? 'usable'
          : copy === 'syncing' && this.#scanIsOurs
            ? 'scanning'
            : 'broken',
    };
  }

  #refusal(): Decision | undefined {
    if (this.#stopped) return refuse('STANDBY_STOPPING', 'the standby is being stopped');
    if (this.#held !== null) return refuse('STANDBY_BUSY', this.#held);
    if (this.isBeginning) return refuse('STANDBY_BUSY', 'the standby is preparing for a scan');
    if (this.#clock.monotonicMs() >= this.#noScanBefore) return undefined;
    return refuse('COPY_DIVERGED', 'the copy has diverged again soon after its last scan');
  }

  /** Two copies that fit each other need only be compared where either has changed since. */
  #scanWish({ marks }: Hello): ScanWish {
    if (this.#handlers.isEmpty()) return { mode: 'full', since: null };
    const isSound = this.#parts.state.data.copy !== 'diverged';
    const since = isSound ? commonPoint(this.#parts.marks.all, marks) : undefined;
    return since === undefined ? { mode: 'hash', since: null } : { mode: 'changed', since };
  }

  /** See applier/trust.ts. */
  #trustedSince({ streamId }: Hello, wish: ScanWish | undefined): number {
    if (wish === undefined || wish.since === null) return Number.NaN;
    const { position } = this.#parts.journal;
    // The primary knows of every change of this very stream: nothing here is of its own. But a copy that was
    // taken back is not as of a later moment.
    const isOfStream = position.streamId === streamId && position.sequence >= wish.since.sequence;
    if (isOfStream && this.#parts.state.data.copy === 'complete') return Number.POSITIVE_INFINITY;
    return this.#parts.marks.upTo(wish.since)?.wallMs ?? Number.NaN;
  }

  #welcome(decision: Acceptance, wish: ScanWish | undefined): Welcome {
    const { journal, state } = this.#parts;
    const { epoch } = state.data;
    const { streamId, sequence } = journal.position;
    const position =
      state.data.copy === 'empty'
        ? null
        : {
            streamId,
            receivedSequence: sequence,
            durableSequence: journal.durableSequence,
            appliedSequence: this.#appliedConfirmed,
          };
    const action: Welcome['action'] =
      decision.kind === 'scan'
        ? { kind: 'scan', mode: 'hash', since: null, ...wish }
        : { kind: 'resume', from: decision.from };
    return { epoch, life: this.#life, position, copy: this.#streamCopy, action };
  }

  /** Numbers of needs begin anew. What an earlier scan still needed matters only to that scan. */
  #beginLife(isScan: boolean): void {
    this.#life = newLife();
    if (isScan) this.#needs.clear();
    else this.#needs.renumber();
  }

  /** Takes the records of one frame, all or nothing. */
  #take(session: Session, body: Buffer): string | undefined {
    const view = new DataView(body.buffer, body.byteOffset, body.length);
    if (session.phase === 'awaiting') return this.#takeScanBegin(session, body, view);
    const { journal, gate } = this.#parts;
    const { epoch } = session.hello;
    let sequence = journal.position.sequence;
    let urgent = false;
    let scanBegins = false;
    let scanEnd = this.#scanEnd;
    for (let at = 0; at < body.length;) {
      const total = checkRecord(body, view, at, body.length - at);
      if (typeof total !== 'number') return `a record with a fault: ${total}`;
      const found = sequenceAt(view, at);
      if (found !== sequence + 1) return `record ${found} instead of ${sequence + 1}`;
      if (view.getUint32(at + field.epoch, true) !== epoch)
        return `record ${found} of another epoch`;
      sequence = found;
      const type = view.getUint8(at + field.type);
      if (type === recordType.scanBegin && this.#parts.state.data.copy === 'complete') {
        return this.#takeUpToScan(session, body, { view, at, sequence: found - 1 });
      }
      gate?.note(body, view, at);
      if (type === recordType.commit) urgent = true;
      if (type === recordType.scanEnd) scanEnd = found;
      if (type === recordType.scanBegin) {
        // One that was prepared for is no news.
        scanBegins = found !== this.#preparedScan;
        scanEnd = undefined;
      }
      at += total;
    }
    if (scanBegins && this.#halted !== null) {
      session.link.refuse('COPY_HALTED', this.#halted);
      return undefined;
    }
    if (scanBegins) this.#rescanBegins();
    this.#scanEnd = scanEnd;
    this.#append(session, body, view, urgent);
    return undefined;
  }

  /** A scan within the stream is to replace a complete copy: it is prepared like one of another. */
  #takeUpToScan(
    session: Session,
    body: Buffer,
    { view, at, sequence }: { view: DataView; at: number; sequence: number },
  ): undefined {
    if (at > 0) this.#append(session, body.subarray(0, at), view, true);
    // Without room the link was reset, and the primary comes again.
    if (this.#parts.journal.position.sequence !== sequence) return;
    if (this.#halted !== null) {
      session.link.refuse('COPY_HALTED', this.#halted);
      return;
    }
    const { streamId, epoch } = session.hello;
    const rest = body.subarray(at);
    this.#beginHeld(session, rest, {
      position: { streamId, epoch, sequence },
      trustedSinceMs: Number.NaN,
    });
  }

  #append(session: Session, body: Buffer, view: DataView, urgent: boolean): void {
    const { journal } = this.#parts;
    try {
      journal.append(body, view, 0, body.length);
    } catch (error) {
      this.#appendFailed(session, error);
      return;
    }
    this.#lacksSpace = null;
    this.#receivedBytes += body.length;
    if (!this.#isCaughtUp && journal.position.sequence >= session.target) this.#isCaughtUp = true;
    const { commitsWaitFor } = session.hello;
    if (urgent && commitsWaitFor === 'received') this.#acknowledge();
    this.#commit.appended(urgent && commitsWaitFor === 'durable');
    if (journal.bytes >= this.#options.journalBytesMax) this.#full(session);
  }

  #appendFailed(session: Session, error: unknown): void {
    if (!(error instanceof UnderstudyError) || error.code !== 'JOURNAL_NO_SPACE') {
      this.#handlers.onFatal(error);
      return;
    }
    if (this.#lacksSpace === null) {
      this.#handlers.onEvent('error', error.code, error.message, {});
    }
    this.#lacksSpace = refuse(error.code, error.message);
    this.#handlers.onCheckpointWanted();
    session.link.refuse(error.code, error.message);
  }

  #full(session: Session): void {
    session.link.pause();
    this.#handlers.onCheckpointWanted();
    if (this.#isFull) return;
    this.#isFull = true;
    const bytes = this.#options.journalBytesMax;
    const message = `the journal has reached its limit of ${bytes} bytes: the primary has to wait`;
    this.#handlers.onEvent('warning', 'JOURNAL_FULL', message, { bytes });
  }

  /** The primary scans again within the stream. */
  #rescanBegins(): void {
    this.#parts.state.update({ copy: 'syncing' });
    this.#parts.applier.control.trustedSinceMs = Number.NaN;
    this.#scanIsOurs = true;
    this.#scanCount += 1;
    this.#logger.info({ to: 'syncing', reason: 'the primary scans' }, 'copy');
  }

  #takeScanBegin(session: Session, body: Buffer, view: DataView): string | undefined {
    const total = checkRecord(body, view, 0, body.length);
    if (typeof total !== 'number') return `a record with a fault: ${total}`;
    const sequence = sequenceAt(view, 0);
    const { streamId, epoch, headSequence } = session.hello;
    if (view.getUint8(field.type) !== recordType.scanBegin || sequence <= headSequence) {
      return `record ${sequence} instead of the beginning of a scan`;
    }
    const position = { streamId, epoch, sequence: sequence - 1 };
    this.#beginHeld(session, body, { position, trustedSinceMs: session.trustedSinceMs });
    return undefined;
  }

  /** Holds what comes until the scan that begins with `body` can be taken. */
  #beginHeld(session: Session, body: Buffer, scan: ScanStart): void {
    session.phase = 'beginning';
    session.link.pause();
    hold(session, frameType.records, body);
    // The end of one before it, applied meanwhile, completes nothing.
    this.#scanCount += 1;
    this.#scanEnd = undefined;
    this.#beginning = this.#beginScan(session, scan);
  }

  async #beginScan(session: Session, scan: ScanStart): Promise<void> {
    let isBegun = false;
    try {
      await this.#commit.settle();
      isBegun = await this.#handlers.onScanBegin(scan);
    } catch (error) {
      this.#handlers.onFatal(error);
      return;
    } finally {
      this.#beginning = undefined;
    }
    if (!isBegun) return this.#endNotBegun(session);
    this.#noteRoom();
    this.#preparedScan = scan.position.sequence + 1;
    this.#appliedConfirmed = scan.position.sequence;
    this.#appliedSettled = this.#appliedConfirmed;
    this.#scanIsOurs = true;
    if (session !== this.#session) return;
    session.phase = 'taking';
    for (const frame of session.held.splice(0)) {
      const fault = this.onFrame(session.link, frame.readUInt8(0), frame.subarray(1));
      if (fault !== undefined) {
        session.link.drop(`the primary sent ${fault}`);
        return;
      }
    }
    if (session === this.#session && !this.#isFull) session.link.resume();
  }

  /** The same scan is offered again by the next connection. */
  #endNotBegun(session: Session): void {
    if (session !== this.#session) return;
    if (this.#halted === null) session.link.drop('the copy is not replaced now');
    else session.link.refuse('COPY_HALTED', this.#halted);
  }

  #ping(session: Session, body: Buffer): string | undefined {
    const ping = decodeMessage(pingSchema, body);
    if (ping === undefined) return 'a malformed ping';
    if (session.phase !== 'taking') return undefined;
    if (!this.#needs.confirm(ping.needsReceived)) return 'a confirmation of needs never sent';
    this.#noteSettled();
    // The link may have been too full for all of them before.
    if (!this.#needs.isSent) this.applied();
    if (ping.isBehind) {
      session.target = ping.neededSequence;
      this.#isCaughtUp = this.#parts.journal.position.sequence >= ping.neededSequence;
    }
    return undefined;
  }

  #close(session: Session, body: Buffer): string | undefined {
    const close = decodeMessage(closeSchema, body);
    if (close === undefined) return 'a malformed close';
    const { streamId, sequence } = this.#parts.journal.position;
    if (session.phase === 'taking' && close.sequence === sequence) {
      this.#parts.state.update({ closed: { streamId, sequence } });
      this.#handlers.onEvent('info', 'STREAM_CLOSED', 'the primary ended its stream cleanly', {
        sequence,
      });
    }
    session.link.drop('the primary ended its stream');
    return undefined;
  }

  #durable(sequence: number): void {
    const { gate, applier } = this.#parts;
    if (gate === undefined) applier.control.publishTail(sequence);
    else gate.durable(sequence);
    this.#acknowledge();
  }

  #acknowledge(): void {
    const session = this.#session;
    // A primary that does not read gets no more of them until it does; the next one says it all.
    if (session?.phase !== 'taking' || session.link.unsentBytes > UNSENT_BYTES_MAX) return;
    const { journal } = this.#parts;
    const ack = encodeAck({
      receivedSequence: journal.position.sequence,
      durableSequence: journal.durableSequence,
      appliedSequence: this.#appliedConfirmed,
      copy: this.#streamCopy,
    });
    session.link.write(ack);
  }
}

/** Keeps a frame for later: one byte of type, then the body. */
function hold(session: Session, type: number, body: Buffer): string | undefined {
  const bytes = session.held.reduce((sum, frame) => sum + frame.length, 0);
  if (bytes > HELD_BYTES_MAX) return 'more than it may before it is let go on';
  session.held.push(Buffer.concat([Buffer.from([type]), body]));
  return undefined;
}

function refuse(code: string, message: string): Decision {
  return { kind: 'refuse', code, message };
}

function newLife(): string {
  return randomBytes(16).toString('hex');
}
