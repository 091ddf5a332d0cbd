// The record of a group in etcd: one key, compared and swapped by its revision. What a request does to
// the record is decided by `applyRequest`, the same code as in the simulation; etcd makes sure that
// nothing came between.
//
//   key    <prefix><group id>
//   value  {"version":1,"group":name,"holder":node id,"node":name,"released":…,"epoch":…,"alone":…,"nonce":…}
//
// The nonce tells a write whose answer was lost from one that somebody else made.
import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { nodeId, type NodeId } from '../../core/ids.ts';
import { applyRequest, type RecordContent } from '../machine/arbiter-record.ts';
import type { ArbiterRequest } from '../machine/effect-types.ts';
import type { ArbiterRecord, NodeRef } from '../machine/types.ts';
import type { ArbiterAnswer, RecordArbiter } from './arbiter.ts';
import { EtcdClient, type EtcdOptions, EtcdRefusal } from './etcd-client.ts';

export const ETCD_PREFIX_DEFAULT = '/understudy/';
const CHECK_TIMEOUT_MS = 3000;
const WATCH_RETRY_MS = 1000;
/** How often a `seize` that others interfere with is tried. */
const SEIZES_MAX = 5;
/** With this many revisions and none compacted, etcd keeps all history until its quota is full. */
const UNCOMPACTED_MAX_DEFAULT = 100_000;

const valueSchema = z.object({
  version: z.literal(1),
  group: z.string(),
  holder: z.string().regex(/^[0-9a-f]{16}$/),
  node: z.string(),
  released: z.boolean(),
  epoch: z.int().min(0),
  alone: z.boolean(),
  nonce: z.string(),
});

const kvSchema = z.object({ value: z.string(), mod_revision: z.string() });
const rangeSchema = z.object({ kvs: z.array(kvSchema).optional() });
const headerSchema = z.object({ revision: z.string() });
const txnSchema = z.object({
  header: headerSchema,
  succeeded: z.boolean().optional(),
  responses: z.array(z.object({ response_range: rangeSchema.optional() })).optional(),
});

interface Stored {
  readonly record: ArbiterRecord;
  readonly nonce: string;
}

export interface EtcdArbiterOptions extends EtcdOptions {
  readonly groupId: string;
  readonly groupName: string;
  readonly self: NodeRef;
  readonly prefix?: string | undefined;
  /** Revisions without a compaction from which on the operator gets advice. */
  readonly uncompactedMax?: number;
}

export class EtcdArbiter implements RecordArbiter {
  readonly #options: EtcdArbiterOptions;
  readonly #client: EtcdClient;
  readonly #key: string;
  /** What was last seen, so that most requests need one round trip. */
  #known: ArbiterRecord | null | undefined;

  constructor(options: EtcdArbiterOptions) {
    this.#options = options;
    this.#client = new EtcdClient(options);
    this.#key = base64(`${options.prefix ?? ETCD_PREFIX_DEFAULT}${options.groupId}`);
  }

  async ask(request: ArbiterRequest, timeoutMs: number): Promise<ArbiterAnswer> {
    const deadline = performance.now() + timeoutMs;
    try {
      const { result, record } = await this.#perform(request, deadline);
      this.#known = record;
      return { result, record, why: '' };
    } catch (error) {
      this.#known = undefined;
      return { result: 'unreachable', record: null, why: messageOf(error) };
    }
  }

  async check(): Promise<readonly string[]> {
    try {
      const answer = await this.#client.call('/v3/kv/range', { key: this.#key }, CHECK_TIMEOUT_MS);
      const { header } = z.object({ header: headerSchema }).parse(answer);
      return await this.#adviceOnHistory(Number(header.revision));
    } catch (cause) {
      throw new UnderstudyError(
        'ARBITER_UNREACHABLE',
        `etcd cannot be used as arbiter of group "${this.#options.groupName}" (${messageOf(cause)}): check "endpoints", certificates and password, on both nodes`,
        { cause },
      );
    }
  }

  /** Only of a group that no machine asks for any more: without a record, whoever comes first gets it. Errors: of the client. */
  async remove(): Promise<void> {
    await this.#client.call('/v3/kv/deleterange', { key: this.#key }, CHECK_TIMEOUT_MS);
  }

  watch(onChange: () => void): () => void {
    const ending = new AbortController();
    void this.#watch(onChange, ending.signal);
    return () => ending.abort();
  }

  async close(): Promise<void> {
    await this.#client.close();
  }

  async #perform(
    request: ArbiterRequest,
    deadline: number,
  ): Promise<{ result: 'done' | 'conflict'; record: ArbiterRecord | null }> {
    let before = this.#cached(request);
    for (let tries = 0; ; tries += 1) {
      const fresh = before === undefined;
      const base: ArbiterRecord | null = before ?? (fresh ? await this.#read(deadline) : null);
      const content = applyRequest(base, request, this.#options.self.id);
      if (content === 'keep') return { result: 'done', record: base };
      if (content !== 'conflict') {
        const { written, record } = await this.#swap(base, content, deadline);
        if (written) return { result: 'done', record };
        if (request.kind !== 'seize' || tries >= SEIZES_MAX) return { result: 'conflict', record };
      } else if (fresh) {
        return { result: 'conflict', record: base };
      }
      before = undefined;
    }
  }

  /** What is known, when the request names just that; undefined: it has to be read. */
  #cached(request: ArbiterRequest): ArbiterRecord | null | undefined {
    if (!('token' in request) || this.#known === undefined) return undefined;
    return (this.#known?.token ?? null) === request.token ? this.#known : undefined;
  }

  async #read(deadline: number): Promise<ArbiterRecord | null> {
    const call = { key: this.#key };
    const answer = await this.#client.call('/v3/kv/range', call, remaining(deadline));
    return storedIn(rangeSchema.parse(answer))?.record ?? null;
  }

  async #swap(
    before: ArbiterRecord | null,
    content: RecordContent,
    deadline: number,
  ): Promise<{ written: boolean; record: ArbiterRecord | null }> {
    const nonce = randomBytes(8).toString('hex');
    const revision = before === null ? '0' : before.token;
    const transaction = {
      compare: [{ key: this.#key, target: 'MOD', result: 'EQUAL', mod_revision: revision }],
      success: [{ request_put: { key: this.#key, value: this.#valueOf(content, nonce) } }],
      failure: [{ request_range: { key: this.#key } }],
    };
    const answer = await this.#client.call('/v3/kv/txn', transaction, remaining(deadline));
    const { succeeded, header, responses } = txnSchema.parse(answer);
    if (succeeded === true)
      return { written: true, record: { ...content, token: header.revision } };
    const there = storedIn(responses?.[0]?.response_range ?? {});
    // The client went on to another endpoint, and the first one had done it after all.
    return { written: there?.nonce === nonce, record: there?.record ?? null };
  }

  #valueOf(content: RecordContent, nonce: string): string {
    const { groupName, self } = this.#options;
    const { holder, released, epoch, alone } = content;
    const value = { group: groupName, holder, node: self.name, released, epoch, alone, nonce };
    return base64(JSON.stringify({ version: 1, ...value }));
  }

  async #adviceOnHistory(revision: number): Promise<string[]> {
    const most = this.#options.uncompactedMax ?? UNCOMPACTED_MAX_DEFAULT;
    if (revision <= most) return [];
    const call = { key: this.#key, revision: String(revision - most) };
    try {
      await this.#client.call('/v3/kv/range', call, CHECK_TIMEOUT_MS);
    } catch (error) {
      // "required revision has been compacted": as it should be.
      if (error instanceof EtcdRefusal) return [];
      throw error;
    }
    return [
      `etcd has kept all of its last ${most} revisions: start it with --auto-compaction-mode=periodic --auto-compaction-retention=1h, or its quota will be full one day and it will refuse every write`,
    ];
  }

  async #watch(onChange: () => void, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const request = { create_request: { key: this.#key } };
        let created = false;
        for await (const chunk of this.#client.stream('/v3/watch', request, signal)) {
          // The first chunk only says that the watch exists; after a pause it may have missed one.
          if (created || chunk.includes('"events"')) onChange();
          created = true;
        }
      } catch {
        this.#client.avoidCurrent();
      }
      if (!signal.aborted)
        await sleep(WATCH_RETRY_MS, undefined, { signal }).catch(() => undefined);
    }
  }
}

function storedIn(range: z.infer<typeof rangeSchema>): Stored | undefined {
  const [kv] = range.kvs ?? [];
  if (kv === undefined) return undefined;
  const parsed = valueSchema.safeParse(jsonOf(kv.value));
  if (!parsed.success) {
    throw new Error('the record of the group was not written by Understudy: remove that key');
  }
  const { holder, released, epoch, alone, nonce } = parsed.data;
  const id: NodeId = nodeId(holder);
  return { record: { holder: id, released, epoch, alone, token: kv.mod_revision }, nonce };
}

function jsonOf(value: string): unknown {
  try {
    return JSON.parse(Buffer.from(value, 'base64').toString('utf8'));
  } catch {
    return undefined;
  }
}

function base64(text: string): string {
  return Buffer.from(text, 'utf8').toString('base64');
}

function remaining(deadline: number): number {
  return Math.max(1, deadline - performance.now());
}
