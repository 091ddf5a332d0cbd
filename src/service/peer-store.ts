// The nodes that this node trusts, with their pinned certificates. In this version: one.
import { z } from 'zod';
import { UnderstudyError } from '../core/errors.ts';
import { Turns } from '../core/turns.ts';
import { readJsonFile, writeJsonDurably } from './durable-file.ts';
import { nameSchema, nodeIdSchema, portSchema } from './group-spec.ts';
import { fingerprintOf, nodeIdOf } from './identity.ts';
import { hostSchema } from './node-config.ts';

export const peerSchema = z.strictObject({
  id: nodeIdSchema,
  name: nameSchema,
  host: hostSchema,
  port: portSchema,
  replicationHost: hostSchema,
  /** PEM; pinned. */
  certificate: z.string().max(16_384),
});
export type Peer = z.infer<typeof peerSchema>;

export class PeerStore {
  /** Pairings that are asked for here, and those that others ask for: each puts back what it found when it fails. */
  readonly joining = new Turns();
  readonly accepting = new Turns();
  readonly #path: string;
  #peers: Peer[];

  constructor(path: string) {
    this.#path = path;
    this.#peers = readJsonFile(path, z.array(peerSchema).max(1)) ?? [];
  }

  /** The other node of the pair. */
  get peer(): Peer | undefined {
    return this.#peers[0];
  }

  /** Errors: NOT_PAIRED. */
  requirePeer(): Peer {
    const peer = this.peer;
    if (peer !== undefined) return peer;
    throw new UnderstudyError(
      'NOT_PAIRED',
      'this node has no partner: run "understudy invite" on one node and "understudy join TOKEN" on the other',
    );
  }

  /** The pinned peer with this certificate fingerprint (hex). */
  byFingerprint(fingerprint: string): Peer | undefined {
    return this.#peers.find(({ certificate }) => fingerprintOf(certificate) === fingerprint);
  }

  /** Errors: ALREADY_PAIRED when there is another peer; the same one is renewed. */
  checkMayPair(certificate: string): void {
    const peer = this.peer;
    if (peer === undefined || peer.id === nodeIdOf(certificate)) return;
    throw new UnderstudyError(
      'ALREADY_PAIRED',
      `this node is paired with "${peer.name}" (${peer.host}) already: run "understudy unpair" on it first`,
    );
  }

  pin(peer: Peer): void {
    this.checkMayPair(peer.certificate);
    this.#save([peer]);
  }

  /** Puts back what was there before a pairing that failed half-way. */
  restore(peer: Peer | undefined): void {
    this.#save(peer === undefined ? [] : [peer]);
  }

  #save(peers: Peer[]): void {
    writeJsonDurably(this.#path, peers);
    this.#peers = peers;
  }
}
