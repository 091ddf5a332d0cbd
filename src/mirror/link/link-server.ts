// The standby's end of the link: listens, lets in only the paired primary, and hands over one
// connection at a time. A newer connection of the primary replaces the one before: the old one may
// be dead without this side knowing.
//
//   stranger ──TLS, pinned certificate──► peer ──hello──► current ──► replaced, silent or ended
//
// Strangers cost little: a bounded number of them, one deadline from the first byte to the hello,
// and not one frame is looked at before the certificate has proven to be the pinned one. Whoever comes
// beyond that number takes the place of the oldest of the address that has the most: strangers do not
// keep the primary out.
import { createServer, type Server, type Socket } from 'node:net';
import { createSecureContext, type SecureContext, TLSSocket } from 'node:tls';
import type { Clock } from '../../core/clock.ts';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import type { Logger } from '../../core/logger.ts';
import { FrameParser, frameType, primaryFrames } from './frame.ts';
import { pingIntervalMs, SilenceLook } from './keepalive.ts';
import { decodeMessage, encodeMessage, type Hello, helloSchema } from './messages.ts';
import { fingerprintOf, isPinned, type LinkIdentity, tlsOptions } from './tls.ts';

export interface LinkServerOptions {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  readonly peerCertificate: string;
  readonly identity: LinkIdentity;
  /** Without a byte from the primary for so long, the link counts as dead. */
  readonly linkTimeoutMs: number;
}

/** What the owner of the server answers. */
export interface LinkServerHandlers {
  /** The primary has introduced itself on `link`, which is current from now on. */
  onHello(link: ServerLink, hello: Hello): void;
  /** One frame of the current connection, after its hello. A sentence: it broke the rules. */
  onFrame(link: ServerLink, type: number, body: Buffer): string | undefined;
  /** The current connection is over. */
  onDown(link: ServerLink, reason: string): void;
}

const DEADLINE_MS = 5000;
const STRANGERS_MAX = 16;
/** Lines in the log about strangers per minute: a flood must not fill the disk. */
const STRANGER_LOGS_MAX = 20;
const PONG = encodeMessage(frameType.pong, {});

/** One connection of the primary, from its hello to its end. */
export class ServerLink {
  readonly #socket: TLSSocket;
  readonly #end: (link: ServerLink, reason: string) => void;
  #paused = false;

  constructor(socket: TLSSocket, end: (link: ServerLink, reason: string) => void) {
    this.#socket = socket;
    this.#end = end;
  }

  /** Bytes written and not yet with the kernel. */
  get unsentBytes(): number {
    return this.#socket.writableLength;
  }
  /** While nothing is read, silence does not mean that the primary is gone. */
  get isPaused(): boolean {
    return this.#paused;
  }

  write(frame: Buffer): void {
    if (this.#socket.writable) this.#socket.write(frame);
  }

  /** Stops reading: what the primary sends waits in the network, then with the primary. */
  pause(): void {
    this.#paused = true;
    this.#socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#socket.resume();
  }

  /** Tells the primary why, and ends the connection. */
  refuse(code: string, message: string): void {
    this.write(encodeMessage(frameType.refuse, { code, message: message.slice(0, 2000) }));
    this.#socket.destroySoon();
    this.#end(this, `refused: ${code}`);
  }

  /** Ends the connection; the primary will come again. */
  drop(reason: string): void {
    this.#socket.destroy();
    this.#end(this, reason);
  }
}

interface Current {
  readonly link: ServerLink;
  lastByteAt: number;
}

export class LinkServer {
  readonly #options: LinkServerOptions;
  readonly #handlers: LinkServerHandlers;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #context: SecureContext;
  readonly #fingerprint: Buffer;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Those that have not introduced themselves yet, the oldest first, with their addresses. */
  readonly #strangers = new Map<TLSSocket, string | undefined>();
  #current: Current | undefined;
  #timer: NodeJS.Timeout | undefined;
  #lastTickAt = 0;
  readonly #pongIntervalMs: number;
  readonly #silence = new SilenceLook();
  #strangerLogs = 0;
  #strangerLogsSince = 0;

  constructor(
    options: LinkServerOptions,
    handlers: LinkServerHandlers,
    { clock, logger }: { clock: Clock; logger: Logger },
  ) {
    this.#options = options;
    this.#handlers = handlers;
    this.#clock = clock;
    this.#logger = logger;
    this.#context = createSecureContext(tlsOptions(options.identity));
    this.#fingerprint = fingerprintOf(options.peerCertificate);
    this.#pongIntervalMs = pingIntervalMs(options.linkTimeoutMs);
    this.#server = createServer({ noDelay: true }, (socket) => this.#accept(socket));
  }

  /** The connection of the primary, if there is one. */
  get current(): ServerLink | undefined {
    return this.#current?.link;
  }

  /** Starts to listen; resolves with the port. Errors: REPLICATION_PORT_UNAVAILABLE. */
  async listen(): Promise<number> {
    const { host, port } = this.#options;
    await new Promise<void>((resolve, reject) => {
      const failed = (cause: Error): void => {
        const why = `cannot listen on ${host}:${port}/tcp for the primary: ${messageOf(cause)}`;
        const way = 'free the port or set another replication port for the group';
        reject(new UnderstudyError('REPLICATION_PORT_UNAVAILABLE', `${why}; ${way}`, { cause }));
      };
      this.#server.once('error', failed);
      this.#server.listen(port, host, () => {
        this.#server.off('error', failed);
        resolve();
      });
    });
    this.#server.on('error', (error) => {
      this.#logger.error({ error: messageOf(error) }, 'replication port failed');
    });
    this.#timer = setInterval(() => this.#tick(), this.#pongIntervalMs);
    const address = this.#server.address();
    return typeof address === 'object' && address !== null ? address.port : port;
  }

  /** Ends all connections and stops listening. */
  async close(): Promise<void> {
    clearInterval(this.#timer);
    this.#silence.cancel();
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#current?.link.drop('the standby stops');
    for (const socket of this.#sockets) socket.destroy();
    await closed;
  }

  #accept(raw: Socket): void {
    const from = raw.remoteAddress;
    const socket = new TLSSocket(raw, {
      isServer: true,
      secureContext: this.#context,
      requestCert: true,
      rejectUnauthorized: false,
    });
    this.#strangers.set(socket, from);
    this.#sockets.add(raw);
    const known = (): void => {
      this.#strangers.delete(socket);
      clearTimeout(deadline);
    };
    const deadline = setTimeout(() => {
      this.#logStranger(from, `no introduction within ${DEADLINE_MS} ms`);
      socket.destroy();
    }, DEADLINE_MS);
    const link = new ServerLink(socket, (ended, reason) => this.#ended(ended, reason));
    socket.on('secure', () => {
      if (!isPinned(socket, this.#fingerprint)) {
        this.#logStranger(from, 'not the certificate of the peer');
        socket.destroy();
        return;
      }
      this.#read(socket, link, known);
    });
    socket.on('error', (error) => {
      if (this.#current?.link !== link) this.#logStranger(from, messageOf(error));
      link.drop(messageOf(error));
    });
    const over = (): void => {
      known();
      this.#sockets.delete(raw);
      link.drop('the connection was closed');
    };
    socket.on('close', over);
    raw.on('close', over);
    if (this.#strangers.size > STRANGERS_MAX) this.#dropStranger();
  }

  #dropStranger(): void {
    const counts = new Map<string | undefined, number>();
    for (const from of this.#strangers.values()) counts.set(from, (counts.get(from) ?? 0) + 1);
    const most = Math.max(...counts.values());
    const [oldest] = [...this.#strangers].filter(([, from]) => counts.get(from) === most);
    if (oldest === undefined) return;
    const [socket, from] = oldest;
    this.#logStranger(from, 'too many unknown connections at once');
    this.#strangers.delete(socket);
    socket.destroy();
  }

  #read(socket: TLSSocket, link: ServerLink, known: () => void): void {
    const parser = new FrameParser(primaryFrames, (type, body) => {
      const fault =
        this.#current?.link === link
          ? this.#handlers.onFrame(link, type, body)
          : this.#hello(link, type, body, known);
      if (fault !== undefined) this.#broke(link, fault);
      return !socket.destroyed;
    });
    socket.on('data', (chunk: Buffer) => {
      if (this.#current?.link === link) this.#current.lastByteAt = this.#clock.monotonicMs();
      const fault = parser.push(chunk);
      if (fault !== undefined) this.#broke(link, fault);
    });
  }

  #hello(link: ServerLink, type: number, body: Buffer, known: () => void): string | undefined {
    if (type !== frameType.hello) return `a frame of type ${type} before its introduction`;
    const hello = decodeMessage(helloSchema, body);
    if (hello === undefined) return 'a malformed introduction';
    known();
    this.#current?.link.drop('the primary has connected anew');
    this.#current = { link, lastByteAt: this.#clock.monotonicMs() };
    this.#handlers.onHello(link, hello);
    return undefined;
  }

  #broke(link: ServerLink, fault: string): void {
    this.#logger.warn({ fault }, 'the primary broke the protocol');
    link.drop(`the primary sent ${fault}`);
  }

  #ended(link: ServerLink, reason: string): void {
    if (this.#current?.link !== link) return;
    this.#current = undefined;
    this.#handlers.onDown(link, reason);
  }

  #tick(): void {
    const now = this.#clock.monotonicMs();
    // When this thread itself was held up, what the primary sent waits in the kernel: look first.
    const late = this.#lastTickAt !== 0 && now - this.#lastTickAt > 2 * this.#pongIntervalMs;
    this.#lastTickAt = now;
    const current = this.#current;
    if (current === undefined) return;
    if (late || current.link.isPaused) current.lastByteAt = now;
    if (this.#isSilent(current)) return;
    const dueMs = current.lastByteAt + this.#options.linkTimeoutMs - now;
    this.#silence.plan(dueMs, this.#pongIntervalMs, () => this.#isSilent(current));
    if (current.link.unsentBytes === 0) current.link.write(PONG);
  }

  /** Ends a connection on which nothing has come for too long. */
  #isSilent(current: Current): boolean {
    const { linkTimeoutMs } = this.#options;
    if (current !== this.#current || current.link.isPaused) return false;
    if (this.#clock.monotonicMs() - current.lastByteAt <= linkTimeoutMs) return false;
    current.link.drop(`silence for ${linkTimeoutMs} ms`);
    return true;
  }

  #logStranger(from: string | undefined, why: string): void {
    const now = this.#clock.monotonicMs();
    if (now - this.#strangerLogsSince > 60_000) {
      this.#strangerLogsSince = now;
      this.#strangerLogs = 0;
    }
    this.#strangerLogs += 1;
    if (this.#strangerLogs > STRANGER_LOGS_MAX) return;
    this.#logger.warn({ from, why }, 'connection to the replication port dropped');
  }
}
