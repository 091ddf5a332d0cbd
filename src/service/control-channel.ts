// Control channel: JSON lines over a Unix socket, between the service and its group processes and
// between the command line and the service.
//
//   client → server   {"id":1,"method":"status","params":{}}
//   server → client   {"id":1,"result":…}   or   {"id":1,"error":{"code","message","details"}}
//   server → client   {"event":{"at","level","code","message","details"}}      at any time, for people
//   server → client   {"notice":…}                                             at any time, for the program
//
// Rules: a line is at most LINE_BYTES_MAX long, longer ones end the connection; the socket file has
// mode 0600, so only root speaks; a client that does not read is cut off instead of buffered for; one that asks for too much at once
// waits; what the server says is heard in its order, also by whoever waits for an answer.
import { once } from 'node:events';
import { chmodSync, lstatSync, rmSync } from 'node:fs';
import { createConnection, createServer, type Server, type Socket } from 'node:net';
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { InTurn } from '../core/in-turn.ts';
import { LineSplitter } from '../core/line-splitter.ts';

export const LINE_BYTES_MAX = 1024 * 1024;
export const EVENTS_KEPT = 200;
/** A client whose unread output grows beyond this is cut off. */
const OUTPUT_BYTES_MAX = 8 * LINE_BYTES_MAX;
const CONNECTIONS_MAX = 64;
const PENDING_CALLS_MAX = 256;

const detailsSchema = z.record(
  z.string(),
  z.union([z.string(), z.number(), z.boolean(), z.array(z.string())]),
);

export const eventSchema = z.object({
  /** ISO 8601 time. */
  at: z.string(),
  level: z.enum(['info', 'warning', 'error']),
  code: z.string(),
  message: z.string(),
  details: detailsSchema,
});
/** Something an operator may want to know; `code` is stable, `message` is a sentence. */
export type ControlEvent = z.infer<typeof eventSchema>;

const requestSchema = z.object({
  id: z.int(),
  method: z.string().max(64),
  params: z.record(z.string(), z.unknown()).default({}),
});

const answerSchema = z.object({
  id: z.int().optional(),
  result: z.unknown().optional(),
  error: z
    .object({ code: z.string(), message: z.string(), details: detailsSchema.optional() })
    .optional(),
  event: eventSchema.optional(),
  notice: z.unknown().optional(),
});

export type ControlParams = Readonly<Record<string, unknown>>;
/** Answers one method; throws UnderstudyError for expected failures. */
export type ControlHandler = (params: ControlParams) => unknown;

/** Builds an event with the present time. */
export function makeEvent(
  level: ControlEvent['level'],
  code: string,
  message: string,
  details: ControlEvent['details'] = {},
): ControlEvent {
  return { at: new Date().toISOString(), level, code, message, details };
}

function encodeLine(message: unknown): string {
  const line = JSON.stringify(message);
  if (Buffer.byteLength(line) <= LINE_BYTES_MAX) return `${line}\n`;
  throw new UnderstudyError(
    'MESSAGE_TOO_LONG',
    `a control message of ${line.length} characters exceeds the limit of ${LINE_BYTES_MAX} bytes`,
  );
}

/** JSON.parse that answers undefined instead of throwing. */
function parseJson(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

/** The serving end: answers methods and tells events to everyone connected. */
export class ControlServer {
  readonly #path: string;
  readonly #handlers: Readonly<Record<string, ControlHandler>>;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #events: ControlEvent[] = [];

  /**
   * `handlers` maps method names to functions. A handler may return a promise; what it throws
   * becomes the `error` of the answer (INTERNAL when it is not an UnderstudyError).
   */
  constructor(path: string, handlers: Readonly<Record<string, ControlHandler>>) {
    this.#path = path;
    this.#handlers = handlers;
    this.#server = createServer((socket) => this.#accept(socket));
  }

  /**
   * Starts to listen. A socket file that nobody answers on is removed first.
   * Errors: CONTROL_SOCKET_IN_USE when another process answers there.
   */
  async listen(): Promise<void> {
    await removeStaleSocket(this.#path);
    const listening = once(this.#server, 'listening');
    // Node binds synchronously inside listen(), so nothing else runs under this mask.
    const mask = process.umask(0o177);
    this.#server.listen(this.#path);
    process.umask(mask);
    await listening;
    chmodSync(this.#path, 0o600);
  }

  /** Sends an event to all connected clients and keeps it for later ones. */
  broadcast(event: ControlEvent): void {
    this.#events.push(event);
    if (this.#events.length > EVENTS_KEPT) this.#events.shift();
    const line = encodeLine({ event });
    for (const socket of this.#sockets) send(socket, line);
  }

  /** Tells all connected clients something that later ones have to ask for. True when one listens. */
  notify(notice: unknown): boolean {
    const line = encodeLine({ notice });
    for (const socket of this.#sockets) send(socket, line);
    return this.#sockets.size > 0;
  }

  /** The last events, oldest first. */
  get events(): readonly ControlEvent[] {
    return this.#events;
  }

  /** Takes no new connections and frees the path at once; answers on present ones still go out. */
  stopListening(): void {
    this.#server.close();
  }

  /** Stops listening, lets answers already written drain, and closes all connections. */
  async close(): Promise<void> {
    const closed = new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    for (const socket of this.#sockets) socket.end();
    const reaper = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, 500);
    await closed;
    clearTimeout(reaper);
  }

  #accept(socket: Socket): void {
    if (this.#sockets.size >= CONNECTIONS_MAX) {
      socket.destroy();
      return;
    }
    this.#sockets.add(socket);
    const calls = new CallQueue(socket, async (line) => this.#answer(socket, line));
    const splitter = new LineSplitter(LINE_BYTES_MAX, (line) => calls.push(line));
    socket.on('data', (chunk: Buffer) => {
      if (splitter.push(chunk)) calls.goOn();
      else socket.destroy();
    });
    socket.on('drain', () => calls.goOn());
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#sockets.delete(socket));
    for (const event of this.#events) send(socket, encodeLine({ event }));
  }

  async #answer(socket: Socket, line: string): Promise<void> {
    const request = requestSchema.safeParse(parseJson(line));
    if (!request.success) {
      socket.destroy();
      return;
    }
    const { id, method, params } = request.data;
    let answer: string;
    try {
      const handler = Object.hasOwn(this.#handlers, method) ? this.#handlers[method] : undefined;
      if (handler === undefined) {
        throw new UnderstudyError('METHOD_UNKNOWN', `the control method "${method}" is unknown`);
      }
      const result: unknown = await handler(params);
      answer = encodeLine({ id, result: result ?? null });
    } catch (thrown) {
      const error =
        thrown instanceof UnderstudyError
          ? thrown
          : new UnderstudyError('INTERNAL', `${method} failed: ${messageOf(thrown)}`);
      answer = encodeLine({ id, error: error.serialize() });
    }
    send(socket, answer);
  }
}

/**
 * Calls of one client: beyond those that are worked on, and while it has not read the answers to earlier ones, it is not listened to.
 * Whatever a process that stood still was asked meanwhile is answered so, one after the other.
 */
class CallQueue {
  readonly #socket: Socket;
  readonly #answer: (line: string) => Promise<void>;
  /** Of what was read at once. */
  readonly #waiting: string[] = [];
  #pending = 0;

  constructor(socket: Socket, answer: (line: string) => Promise<void>) {
    this.#socket = socket;
    this.#answer = answer;
  }

  push(line: string): void {
    this.#waiting.push(line);
  }

  goOn(): void {
    while (this.#hasRoom) {
      const line = this.#waiting.shift();
      if (line === undefined) break;
      this.#pending += 1;
      void this.#answer(line).finally(() => {
        this.#pending -= 1;
        this.goOn();
      });
    }
    if (this.#waiting.length > 0) this.#socket.pause();
    else this.#socket.resume();
  }

  get #hasRoom(): boolean {
    return this.#pending < PENDING_CALLS_MAX && !this.#socket.writableNeedDrain;
  }
}

function send(socket: Socket, line: string): void {
  if (socket.destroyed || !socket.writable) return;
  if (socket.writableLength > OUTPUT_BYTES_MAX) socket.destroy();
  else socket.write(line);
}

/** Errors: CONTROL_SOCKET_IN_USE when another process answers on it, or it is no socket. */
export async function removeStaleSocket(path: string): Promise<void> {
  const stat = lstatSync(path, { throwIfNoEntry: false });
  if (stat === undefined) return;
  if (!stat.isSocket()) {
    throw new UnderstudyError(
      'CONTROL_SOCKET_IN_USE',
      `${path} exists and is not a socket: move it away`,
    );
  }
  const answered = await new Promise<boolean>((resolve) => {
    const probe = createConnection(path);
    probe.once('connect', () => resolve(true));
    probe.once('error', () => resolve(false));
    probe.once('close', () => probe.destroy());
    setTimeout(() => probe.destroy(), 1000).unref();
  }).catch(() => false);
  if (answered) {
    throw new UnderstudyError(
      'CONTROL_SOCKET_IN_USE',
      `another process already answers on ${path}: stop it first`,
    );
  }
  rmSync(path, { force: true });
}

interface PendingCall {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
  readonly timer: NodeJS.Timeout;
}

/** Behind the last line. */
const END = Symbol('end');

/**
 * The calling end. One connection; calls may overlap. What the server says is heard in its order: whoever calls has gone on with the
 * answer before what was said behind it is heard, so that a state that was asked for is never taken for newer than a notice.
 */
export class ControlClient {
  readonly #path: string;
  readonly #socket: Socket;
  readonly #pending = new Map<number, PendingCall>();
  readonly #eventListeners: ((event: ControlEvent) => void)[] = [];
  readonly #closeListeners: (() => void)[] = [];
  #onNotice: ((notice: unknown) => void) | undefined;
  readonly #heard = new InTurn<string | typeof END>((line) => this.#hear(line));
  /** This end has closed the connection. */
  #isDeaf = false;
  /** Events that came before anyone listened. */
  #early: ControlEvent[] = [];
  #nextId = 1;

  private constructor(path: string, socket: Socket) {
    this.#path = path;
    this.#socket = socket;
    const splitter = new LineSplitter(LINE_BYTES_MAX, (line) => this.#heard.push(line));
    socket.on('data', (chunk: Buffer) => {
      if (!splitter.push(chunk)) socket.destroy();
    });
    socket.on('error', () => socket.destroy());
    socket.on('close', () => this.#heard.push(END));
  }

  /** Connects. Errors: CONTROL_UNREACHABLE when nobody answers within `timeoutMs`. */
  static async connect(path: string, timeoutMs = 2000): Promise<ControlClient> {
    const socket = createConnection(path);
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string, cause?: unknown): void => {
        clearTimeout(timer);
        socket.destroy();
        reject(
          new UnderstudyError('CONTROL_UNREACHABLE', `nobody answers on ${path}: ${why}`, {
            cause,
          }),
        );
      };
      const timer = setTimeout(() => fail(`no answer within ${timeoutMs} ms`), timeoutMs);
      socket.once('error', (error) => fail(error.message, error));
      socket.once('connect', () => {
        clearTimeout(timer);
        socket.removeAllListeners('error');
        resolve();
      });
    });
    return new ControlClient(path, socket);
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  /**
   * Calls a method. Throws the UnderstudyError of the other side, CONTROL_TIMEOUT after
   * `timeoutMs`, or CONTROL_CLOSED when the connection ends before the answer.
   */
  async call(method: string, params: ControlParams = {}, timeoutMs = 5000): Promise<unknown> {
    if (this.#socket.destroyed) throw this.#closedError(method);
    const id = this.#nextId;
    this.#nextId += 1;
    const line = encodeLine({ id, method, params });
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        this.#pending.delete(id);
        const why = `no answer to "${method}" on ${this.#path} within ${timeoutMs} ms`;
        reject(new UnderstudyError('CONTROL_TIMEOUT', why));
      }, timeoutMs);
      this.#pending.set(id, { resolve, reject, timer });
      this.#socket.write(line);
    });
  }

  /** Calls `listener` for every event, the ones kept by the server first. */
  onEvent(listener: (event: ControlEvent) => void): void {
    this.#eventListeners.push(listener);
    const early = this.#early;
    this.#early = [];
    for (const event of early) listener(event);
  }

  /** Gives every notice to `listener`; what came before is lost. */
  onNotice(listener: (notice: unknown) => void): void {
    this.#onNotice = listener;
  }

  /** Calls `listener` once when the connection has ended, whoever ended it. */
  onClose(listener: () => void): void {
    if (this.#socket.destroyed) listener();
    else this.#closeListeners.push(listener);
  }

  /** What has come by now is heard before this returns. */
  hearOut(): void {
    this.#heard.flush();
  }

  close(): void {
    this.#isDeaf = true;
    this.#socket.destroy();
  }

  /** The other side ends: what it has said before is still read, for `timeoutMs` at most. */
  closeAfter(timeoutMs: number): void {
    const timer = setTimeout(() => this.close(), timeoutMs).unref();
    this.onClose(() => clearTimeout(timer));
  }

  /** True when it was an answer that somebody waits for. */
  #hear(line: string | typeof END): boolean {
    if (line === END) this.#closed();
    else if (!this.#isDeaf) return this.#receive(line);
    return false;
  }

  #receive(line: string): boolean {
    const parsed = answerSchema.safeParse(parseJson(line));
    if (!parsed.success) {
      this.close();
      return false;
    }
    const { id, result, error, event, notice } = parsed.data;
    if (event !== undefined) this.#tell(event);
    if (notice !== undefined) this.#onNotice?.(notice);
    const call = id === undefined ? undefined : this.#pending.get(id);
    if (id === undefined || call === undefined) return false;
    this.#pending.delete(id);
    clearTimeout(call.timer);
    if (error === undefined) {
      call.resolve(result);
      return true;
    }
    const { code, message, details } = error;
    call.reject(new UnderstudyError(code, message, details === undefined ? {} : { details }));
    return true;
  }

  #tell(event: ControlEvent): void {
    if (this.#eventListeners.length > 0) {
      for (const listener of this.#eventListeners) listener(event);
      return;
    }
    this.#early.push(event);
    if (this.#early.length > EVENTS_KEPT) this.#early.shift();
  }

  #closed(): void {
    const calls = [...this.#pending.values()];
    this.#pending.clear();
    for (const call of calls) {
      clearTimeout(call.timer);
      call.reject(this.#closedError('a call'));
    }
    for (const listener of this.#closeListeners.splice(0)) listener();
  }

  #closedError(what: string): UnderstudyError {
    return new UnderstudyError(
      'CONTROL_CLOSED',
      `the connection to ${this.#path} ended before ${what} was answered`,
    );
  }
}
