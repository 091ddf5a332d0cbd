// The nodes that a console knows, with the pinned fingerprint of each and the token that opens its API.
import { randomBytes } from 'node:crypto';
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { readJsonFile, writeJsonDurably } from '../../service/durable-file.ts';
import { portSchema } from '../../service/group-spec.ts';
import { hostSchema } from '../../service/node-config.ts';

const NODES_MAX = 1000;

export const fingerprintSchema = z.string().regex(/^[0-9a-f]{64}$/, '64 hex digits (SHA-256)');
export const accessTokenSchema = z
  .string()
  .regex(/^ust1\.[0-9a-f]{12}\.[A-Za-z0-9_-]{43}$/, 'an access token begins with "ust1."');

const knownNodeSchema = z.strictObject({
  id: z.string().regex(/^[0-9a-f]{8}$/),
  host: hostSchema,
  port: portSchema,
  fingerprint: fingerprintSchema,
  token: accessTokenSchema,
  /** As it was called when it was added. */
  name: z.string().max(64),
  addedAt: z.string().max(40),
});
export type KnownNode = z.infer<typeof knownNodeSchema>;

export class NodeStore {
  readonly #path: string;
  #nodes: KnownNode[];

  /** Errors: STATE_FILE_INVALID. */
  constructor(path: string) {
    this.#path = path;
    this.#nodes = readJsonFile(path, z.array(knownNodeSchema).max(NODES_MAX)) ?? [];
  }

  get all(): readonly KnownNode[] {
    return this.#nodes;
  }

  /** Errors: NODE_KNOWN, NODES_TOO_MANY. */
  add(node: Omit<KnownNode, 'id' | 'addedAt'>): KnownNode {
    const same = this.#nodes.find(({ fingerprint }) => fingerprint === node.fingerprint);
    if (same !== undefined) {
      throw new UnderstudyError(
        'NODE_KNOWN',
        `this console knows node "${same.name}" (${same.host}:${same.port}) already: remove it first to change its address or token`,
      );
    }
    if (this.#nodes.length >= NODES_MAX) {
      throw new UnderstudyError(
        'NODES_TOO_MANY',
        `this console has ${NODES_MAX} nodes, which is the limit: use a second one`,
      );
    }
    const id = randomBytes(4).toString('hex');
    const added = { ...node, id, addedAt: new Date().toISOString() };
    this.#save([...this.#nodes, added]);
    return added;
  }

  /** Errors: NODE_UNKNOWN. */
  remove(id: string): KnownNode {
    const node = this.#nodes.find((one) => one.id === id);
    if (node === undefined) throw nodeUnknown(id);
    this.#save(this.#nodes.filter((one) => one !== node));
    return node;
  }

  #save(nodes: KnownNode[]): void {
    writeJsonDurably(this.#path, nodes);
    this.#nodes = nodes;
  }
}

export function nodeUnknown(id: string): UnderstudyError {
  return new UnderstudyError('NODE_UNKNOWN', `this console knows no node "${id}": see its nodes`);
}
