// The primary's end of the link: connects, again and again, introduces itself, and watches that the
// other side is alive. What is sent and why is the sender's business.
//
//   waiting ──time──► connecting ──TLS, pin──► greeting ──welcome──► up
//      ▲                  │                       │ refuse           │ silence, error, end
//      └──────────────────┴───────────────────────┴──────────────────┘
import { connect, type TLSSocket } from 'node:tls';
import { assert } from '../../core/assert.ts';
import type { Clock } from '../../core/clock.ts';
import { messageOf } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import type { Throttle } from '../throttle.ts';
import { type Ack, decodeAck, FrameParser, frameType, standbyFrames } from './frame.ts';
import { pingIntervalMs, SilenceLook } from './keepalive.ts';
import {
  decodeMessage,
  encodeMessage,
  type Hello,
  type Need,
  needSchema,
  type Ping,
  type Refuse,
  refuseSchema,
  type Welcome,
  welcomeSchema,
} from './messages.ts';
import { fingerprintOf, isPinned, type LinkIdentity, tlsOptions } from './tls.ts';

export type LinkState = 'connecting' | 'connected' | 'refused';

export interface LinkClientOptions {
  readonly host: string;
  readonly port: number;
  /** PEM of the only certificate that is accepted. */
  readonly peerCertificate: string;
  readonly identity: LinkIdentity;
  /** Without a byte from the peer for so long, the link counts as dead. */
  readonly linkTimeoutMs: number;
  /** The bandwidth limit. */
  readonly throttle: Throttle;
}

/** What the link asks its owner and tells it. */
export interface LinkClientHandlers {
  /** The introduction, as things stand now. */
  hello(): Hello;
  ping(): Ping;
  /** The link is up. False: the welcome makes no sense, drop the link. */
  onWelcome(welcome: Welcome): boolean;
  onAck(ack: Ack): void;
  onNeed(need: Need): void;
  /** The link is not up any more, or could not come up. Once per attempt. */
  onDown(state: 'connecting' | 'refused', reason: string): void;
}

export const RETRY_MIN_MS = 100;
export const RETRY_MAX_MS = 2000;
const CONNECT_TIMEOUT_MS = 5000;

export class LinkClient {
  readonly #options: LinkClientOptions;
  readonly #handlers: LinkClientHandlers;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #fingerprint: Buffer;
  #socket: TLSSocket | undefined;
  #isUp = false;
  /** The connection that has a frame under way, of which part is not written yet. */
  #pacing: TLSSocket | undefined;
  #paceTimer: NodeJS.Timeout | undefined;
  /** The connection that has a ping under way. */
  #pinging: TLSSocket | undefined;
  #stopped = false;
  #retryMs = RETRY_MIN_MS;
  #retryTimer: NodeJS.Timeout | undefined;
  #watchTimer: NodeJS.Timeout | undefined;
  #lastByteAt = 0;
  #lastTickAt = 0;
  readonly #pingIntervalMs: number;
  readonly #silence = new SilenceLook();
  #attemptSince = 0;

  constructor(
    options: LinkClientOptions,
    handlers: LinkClientHandlers,
    { clock, logger }: { clock: Clock; logger: Logger },
  ) {
    this.#options = options;
    this.#handlers = handlers;
    this.#clock = clock;
    this.#logger = logger;
    this.#fingerprint = fingerprintOf(options.peerCertificate);
    this.#pingIntervalMs = pingIntervalMs(options.linkTimeoutMs);
  }

  /** True between welcome and the end of the connection. */
  get isUp(): boolean {
    return this.#isUp;
  }

  start(): void {
    this.#connect();
    this.#watchTimer = setInterval(() => this.#tick(), this.#pingIntervalMs);
  }

  /** Ends for good; the last bytes written are still delivered when `flush` is set. */
  stop(flush: boolean): void {
    this.#stopped = true;
    clearInterval(this.#watchTimer);
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#paceTimer);
    this.#silence.cancel();
    const socket = this.#socket;
    this.#socket = undefined;
    this.#isUp = false;
    if (flush) socket?.end(() => socket.destroy());
    else socket?.destroy();
  }

  /** False while part of a frame is not written yet: another one has to wait. */
  get isWritable(): boolean {
    return this.#isUp && this.#pacing === undefined;
  }

  /**
   * Writes one frame, no faster than the limit allows; `done` is called when it is with the kernel, or
   * never when the link ends. Only while {@link isWritable}.
   */
  write(frame: Buffer, done: () => void): void {
    const socket = this.#socket;
    if (socket === undefined) return;
    assert(this.#pacing === undefined, 'frames are written one after another');
    if (this.#options.throttle.isLimited) {
      this.#pacing = socket;
      this.#writeSlice(socket, { frame, at: 0, done });
      return;
    }
    this.#options.throttle.spend(frame.length);
    socket.write(frame, (error) => {
      if (error === undefined || error === null) done();
    });
  }

  #writeSlice(socket: TLSSocket, written: { frame: Buffer; at: number; done: () => void }): void {
    if (socket !== this.#socket) return;
    const { throttle } = this.#options;
    const waitMs = throttle.waitMs();
    if (waitMs > 0) {
      this.#paceTimer = setTimeout(() => this.#writeSlice(socket, written), waitMs);
      return;
    }
    const { frame, at } = written;
    const end = Math.min(frame.length, at + throttle.sliceBytes);
    written.at = end;
    throttle.spend(end - at);
    if (end === frame.length) this.#pacing = undefined;
    socket.write(frame.subarray(at, end), (error) => {
      if (error !== undefined && error !== null) return;
      if (end === frame.length) written.done();
      else this.#writeSlice(socket, written);
    });
  }

  /** Ends this connection; another attempt follows. */
  reset(reason: string): void {
    if (this.#socket !== undefined) this.#down(this.#socket, 'connecting', reason);
  }

  #connect(): void {
    if (this.#stopped) return;
    const { host, port, identity } = this.#options;
    this.#attemptSince = this.#clock.monotonicMs();
    const socket = connect({
      ...tlsOptions(identity),
      host,
      port,
      checkServerIdentity: () => undefined,
      ALPNProtocols: [],
    });
    this.#socket = socket;
    socket.setNoDelay(true);
    const parser = new FrameParser(standbyFrames, (type, body) =>
      this.#receive(socket, type, body),
    );
    socket.on('secureConnect', () => this.#introduce(socket));
    socket.on('data', (chunk: Buffer) => {
      this.#lastByteAt = this.#clock.monotonicMs();
      const fault = socket === this.#socket ? parser.push(chunk) : undefined;
      if (fault !== undefined) this.#down(socket, 'connecting', `the standby sent ${fault}`);
    });
    socket.on('error', (error) => this.#down(socket, 'connecting', messageOf(error)));
    socket.on('close', () => this.#down(socket, 'connecting', 'the connection was closed'));
  }

  #introduce(socket: TLSSocket): void {
    if (socket !== this.#socket) return;
    if (!isPinned(socket, this.#fingerprint)) {
      this.#down(socket, 'refused', 'the other end does not have the certificate of the peer');
      return;
    }
    this.#lastByteAt = this.#clock.monotonicMs();
    socket.write(encodeMessage(frameType.hello, this.#handlers.hello()));
  }

  /** Handles one frame; false stops the parser. */
  #receive(socket: TLSSocket, type: number, body: Buffer): boolean {
    // Also in the middle of the stream: a disk that is full, a copy that was halted.
    if (type === frameType.refuse) {
      this.#refused(socket, body);
      return false;
    }
    const fault = this.#isUp ? this.#receiveUp(type, body) : this.#receiveGreeting(type, body);
    if (fault !== undefined) this.#down(socket, 'connecting', fault);
    return socket === this.#socket;
  }

  #refused(socket: TLSSocket, body: Buffer): void {
    const refuse: Refuse | undefined = decodeMessage(refuseSchema, body);
    const reason = refuse === undefined ? 'no reason given' : `${refuse.code}: ${refuse.message}`;
    this.#down(socket, 'refused', reason);
  }

  #receiveGreeting(type: number, body: Buffer): string | undefined {
    if (type === frameType.pong) return undefined;
    if (type !== frameType.welcome) return `the standby sent a frame of type ${type} too early`;
    const welcome = decodeMessage(welcomeSchema, body);
    if (welcome === undefined) return 'the standby sent a malformed welcome';
    this.#isUp = true;
    this.#retryMs = RETRY_MIN_MS;
    if (!this.#handlers.onWelcome(welcome))
      return 'the standby asked for what is not held any more';
    return undefined;
  }

  #receiveUp(type: number, body: Buffer): string | undefined {
    if (type === frameType.pong) return undefined;
    if (type === frameType.ack) {
      const ack = decodeAck(body);
      if (ack === undefined) return 'the standby sent a malformed acknowledgement';
      this.#handlers.onAck(ack);
      return undefined;
    }
    if (type === frameType.need) {
      const need = decodeMessage(needSchema, body);
      if (need === undefined) return 'the standby sent a malformed need';
      this.#handlers.onNeed(need);
      return undefined;
    }
    return `the standby sent an unexpected frame of type ${type}`;
  }

  #tick(): void {
    const now = this.#clock.monotonicMs();
    // When this thread itself was held up, what the peer sent waits in the kernel: look first.
    const late = this.#lastTickAt !== 0 && now - this.#lastTickAt > 2 * this.#pingIntervalMs;
    this.#lastTickAt = now;
    const socket = this.#socket;
    if (socket === undefined) return;
    if (late) this.#lastByteAt = now;
    if (!this.#isUp) {
      if (now - this.#attemptSince > CONNECT_TIMEOUT_MS) {
        this.#down(socket, 'connecting', `no answer within ${CONNECT_TIMEOUT_MS} ms`);
      }
      return;
    }
    if (this.#isSilent(socket)) return;
    const dueMs = this.#lastByteAt + this.#options.linkTimeoutMs - now;
    this.#silence.plan(dueMs, this.#pingIntervalMs, () => this.#isSilent(socket));
    // The slices of a frame are as good as a ping.
    if (this.#pacing !== socket) this.ping();
  }

  /** Says at once what else is said every now and then. Only while {@link isWritable}. */
  ping(): void {
    const socket = this.#socket;
    // One behind a frame that is stuck is enough.
    if (socket === undefined || this.#pinging === socket) return;
    this.#pinging = socket;
    const ping = encodeMessage(frameType.ping, this.#handlers.ping());
    this.#options.throttle.spend(ping.length);
    socket.write(ping, () => {
      if (this.#pinging === socket) this.#pinging = undefined;
    });
  }

  /** Ends a connection on which nothing has come for too long. */
  #isSilent(socket: TLSSocket): boolean {
    const { linkTimeoutMs } = this.#options;
    if (socket !== this.#socket || !this.#isUp) return false;
    if (this.#clock.monotonicMs() - this.#lastByteAt <= linkTimeoutMs) return false;
    this.#down(socket, 'connecting', `silence for ${linkTimeoutMs} ms`);
    return true;
  }

  #down(socket: TLSSocket, state: 'connecting' | 'refused', reason: string): void {
    if (socket !== this.#socket) return;
    this.#socket = undefined;
    this.#isUp = false;
    this.#pacing = undefined;
    clearTimeout(this.#paceTimer);
    this.#silence.cancel();
    socket.destroy();
    const delayMs =
      (state === 'refused' ? RETRY_MAX_MS : this.#retryMs) * (0.5 + Math.random() / 2);
    this.#retryMs = Math.min(RETRY_MAX_MS, this.#retryMs * 2);
    this.#logger.debug({ state, reason, delayMs }, 'link down');
    this.#retryTimer = setTimeout(() => this.#connect(), delayMs);
    this.#handlers.onDown(state, reason);
  }
}
