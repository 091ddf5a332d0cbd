// The keys of the heartbeats between two nodes: derived on each side from its own private key and the
// other's pinned certificate (ECDH on P-256, then HKDF), so nothing has to be exchanged, and who
// has no pinned certificate cannot speak. One key for each direction: what a node has sent cannot be
// played back to it as if the other had said it.
import { createPrivateKey, diffieHellman, hkdfSync, X509Certificate } from 'node:crypto';
import type { NodeId } from '../../core/ids.ts';
import { UnderstudyError } from '../../core/errors.ts';

const PURPOSE = 'understudy heartbeat 1';
const KEY_BYTES = 32;

export interface HeartbeatKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

/** PEM key of this node, PEM certificate of the peer, and both names. Errors: HEARTBEAT_KEY_INVALID. */
export interface KeyMaterial {
  readonly ownId: NodeId;
  readonly ownKey: string;
  readonly peerId: NodeId;
  readonly peerCertificate: string;
}

export function deriveKeys(material: KeyMaterial): HeartbeatKeys {
  try {
    const secret = diffieHellman({
      privateKey: createPrivateKey(material.ownKey),
      publicKey: new X509Certificate(material.peerCertificate).publicKey,
    });
    return {
      send: direction(secret, material.ownId, material.peerId),
      receive: direction(secret, material.peerId, material.ownId),
    };
  } catch (cause) {
    throw new UnderstudyError(
      'HEARTBEAT_KEY_INVALID',
      `no key for heartbeats can be made with node ${material.peerId}: its certificate or this node's key is damaged or of another kind, pair the nodes again`,
      { cause },
    );
  }
}

function direction(secret: Buffer, from: NodeId, to: NodeId): Uint8Array {
  const info = `${PURPOSE} ${from} to ${to}`;
  return new Uint8Array(hkdfSync('sha256', secret, PURPOSE, info, KEY_BYTES));
}
