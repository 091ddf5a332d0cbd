// Keeps an eye on one node. While somebody looks, it follows the node's stream of changes; otherwise it asks for the status now and
// then, so that an idle fleet stays idle.
//
//   asleep ─ask every minute─▶ asleep
//   wake ─▶ connecting ─head of the stream─▶ live ─end, fault, silence─▶ connecting (after a while)
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { FrameSplitter } from '../../service/admin-api/client.ts';
import { statusSchema } from '../../service/admin-api/schemas.ts';
import type { ServiceStatus } from '../../service/status.ts';
import {
  checkedBy,
  jsonOf,
  type NodeDial,
  notUnderstood,
  type OnBehalf,
  textOf,
} from '../nodes/node-dial.ts';
import type { NodeKnowledge } from './overview.ts';

const POLL_MS = 60_000;
const RETRY_MS_MIN = 1000;
const RETRY_MS_MAX = 10_000;
/** A node says something each second. */
const SILENCE_MS_MAX = 10_000;
const ANSWER_MS_MAX = 8000;
const SELF: OnBehalf = { user: 'console', role: 'viewer' };

export interface NodeWatchOptions {
  /** The console's id of the node. */
  readonly id: string;
  readonly dial: NodeDial;
  /** What is known of the node has changed. */
  readonly onKnowledge: (knowledge: NodeKnowledge) => void;
  /** Messages of its stream but the status. */
  readonly onMessage: (name: string, data: unknown) => void;
}

export class NodeWatch {
  readonly #options: NodeWatchOptions;
  #knowledge: NodeKnowledge;
  #isAwake = false;
  #stopped = new AbortController();
  #turn = new AbortController();
  /** Grows until it tells its status. */
  #retryMs = RETRY_MS_MIN;

  constructor(options: NodeWatchOptions) {
    this.#options = options;
    const { id, dial } = options;
    this.#knowledge = {
      id,
      name: dial.name,
      where: dial.where,
      isReachable: false,
      fault: null,
      seenMs: null,
      status: null,
    };
  }

  get knowledge(): NodeKnowledge {
    return this.#knowledge;
  }

  get dial(): NodeDial {
    return this.#options.dial;
  }

  start(): void {
    void this.#run();
  }

  stop(): void {
    this.#stopped.abort();
    this.#turn.abort();
    this.dial.close();
  }

  /** Somebody looks, or nobody does any more. */
  setAwake(isAwake: boolean): void {
    if (isAwake === this.#isAwake) return;
    this.#isAwake = isAwake;
    this.#turn.abort();
  }

  async #run(): Promise<void> {
    while (!this.#stopped.signal.aborted) {
      this.#turn = new AbortController();
      const { signal } = this.#turn;
      try {
        if (this.#isAwake) await this.#follow(signal);
        else await this.#ask(signal);
      } catch (thrown) {
        if (!signal.aborted) this.#lost(thrown);
      }
      const pauseMs = this.#isAwake ? this.#retryMs : POLL_MS;
      this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
      await sleep(signal.aborted ? 0 : pauseMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async #ask(signal: AbortSignal): Promise<void> {
    const response = await this.dial.send({
      method: 'GET',
      path: '/api/v1/status',
      onBehalf: SELF,
      signal,
      timeoutMs: ANSWER_MS_MAX,
    });
    const text = await textOf(this.dial, response, ANSWER_MS_MAX);
    if (response.statusCode !== 200) throw refusal(this.dial.name, response.statusCode, text);
    this.#see(jsonOf(text, this.dial.name));
  }

  async #follow(signal: AbortSignal): Promise<void> {
    const response = await this.dial.send({
      method: 'GET',
      path: '/api/v1/stream',
      onBehalf: SELF,
      signal,
      timeoutMs: ANSWER_MS_MAX,
    });
    if (response.statusCode !== 200) {
      const text = await textOf(this.dial, response, ANSWER_MS_MAX);
      throw refusal(this.dial.name, response.statusCode, text);
    }
    const frames = new FrameSplitter((name, data) => {
      if (name === 'status') this.#see(data);
      else this.#options.onMessage(name, data);
    });
    // Aborting the request ends the loop below with an error.
    const silence = setTimeout(() => {
      response.destroy(new Error('the node fell silent'));
    }, SILENCE_MS_MAX);
    try {
      for await (const chunk of response) {
        silence.refresh();
        this.#heard();
        frames.push(chunk as Buffer);
      }
    } finally {
      clearTimeout(silence);
    }
    throw new UnderstudyError('CONTROL_CLOSED', `node "${this.dial.name}" ended the connection`);
  }

  #see(value: unknown): void {
    // The schema is what the node promises; the type is the same.
    const status = checkedBy(statusSchema(), value, this.dial.name) as unknown as ServiceStatus;
    this.#retryMs = RETRY_MS_MIN;
    this.#knowledge = {
      ...this.#knowledge,
      name: status.node.name,
      isReachable: true,
      fault: null,
      seenMs: Date.now(),
      status,
    };
    this.#options.onKnowledge(this.#knowledge);
  }

  /** It is there, and nothing in its status has changed: what is known is as of now. */
  #heard(): void {
    if (this.#knowledge.isReachable) this.#knowledge = { ...this.#knowledge, seenMs: Date.now() };
  }

  #lost(cause: unknown): void {
    // A message of its stream that is no JSON.
    const thrown = cause instanceof SyntaxError ? notUnderstood(this.dial.name) : cause;
    const code = thrown instanceof UnderstudyError ? thrown.code : 'NODE_UNREACHABLE';
    const fault = { code, message: messageOf(thrown) };
    const { isReachable, fault: before } = this.#knowledge;
    this.#knowledge = { ...this.#knowledge, isReachable: false, fault };
    if (isReachable || before?.code !== code) this.#options.onKnowledge(this.#knowledge);
  }
}

function refusal(name: string, status: number | undefined, text: string): UnderstudyError {
  const code = /"code":"([A-Z_]+)"/.exec(text)?.[1];
  if (code === 'LOGIN_NEEDED') {
    return new UnderstudyError(
      'NODE_TOKEN_REFUSED',
      `node "${name}" does not accept this console's access token (any more): remove the node here and add it again with a new one`,
    );
  }
  return new UnderstudyError(
    'NODE_REPLY_INVALID',
    `node "${name}" refused with status ${status ?? 0}${code === undefined ? '' : ` (${code})`}`,
  );
}
