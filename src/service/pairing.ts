// Makes two nodes trust each other.
//
//   inviting node                                joining node
//   invite ── token (by hand, over a trusted channel) ──▶ join
//                                                compares the certificate with the token's fingerprint
//                                                pins it
//        ◀── POST /v1/pairing/join {secret, node}, with its own certificate in the TLS handshake
//   checks the secret
//   pins the certificate
//   GET /v1/node on the joining node ──▶         shows that both directions work
//   uses the secret up ──▶                       done
//
// Whatever fails, both sides end with what they had before.
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { fingerprintOf, nodeIdOf } from './identity.ts';
import { NodeClient } from './node-client.ts';
import {
  joinReplySchema,
  NODE_PROTOCOL_VERSION,
  type NodeInfo,
  nodeViewSchema,
} from './node-protocol.ts';
import type { NodeService } from './node-service.ts';
import { decodeToken, encodeToken, type PairingToken } from './pairing-token.ts';
import { endpointOf } from './peer-link.ts';
import type { Peer } from './peer-store.ts';

export const INVITATION_MS_DEFAULT = 3_600_000;
const INVITATION_MS_MAX = 7 * 86_400_000;

interface JoinRequest {
  readonly secret: string;
  readonly node: NodeInfo;
}

/** Makes a token. Errors: ALREADY_PAIRED, INVITATION_TIME_INVALID, INVITATIONS_TOO_MANY. */
export function invite(
  service: NodeService,
  validMs = INVITATION_MS_DEFAULT,
): { token: string; expiresAt: string } {
  const peer = service.peers.peer;
  if (peer !== undefined) throw alreadyPaired(service, peer);
  if (validMs < 1000 || validMs > INVITATION_MS_MAX) {
    throw new UnderstudyError(
      'INVITATION_TIME_INVALID',
      'an invitation is valid for between one second and seven days',
    );
  }
  const { secret, expiresMs } = service.invitations.create(validMs);
  const token = encodeToken({
    host: service.config.address,
    port: service.config.port,
    fingerprint: service.identity.fingerprint,
    secret,
    expiresSec: Math.floor(expiresMs / 1000),
  });
  return { token, expiresAt: new Date(expiresMs).toISOString() };
}

/**
 * Joins the node that made the token. Errors: TOKEN_*, JOIN_SELF, ALREADY_PAIRED, NODE_UNREACHABLE,
 * NODE_IDENTITY_WRONG, NODE_NAME_TAKEN, VERSION_MISMATCH, JOIN_UNREACHABLE_BACK.
 */
export async function join(service: NodeService, text: string): Promise<Peer> {
  const token = decodeToken(text);
  return service.peers.joining.take(async () => joinWith(service, token));
}

async function joinWith(service: NodeService, token: PairingToken): Promise<Peer> {
  const { identity, peers } = service;
  if (token.fingerprint === identity.fingerprint) {
    throw new UnderstudyError(
      'JOIN_SELF',
      'this token was made by this very node: run "understudy join" on the other one',
    );
  }
  const before = peers.peer;
  if (before !== undefined && fingerprintOf(before.certificate) !== token.fingerprint) {
    throw alreadyPaired(service, before);
  }
  const endpoint = { ...token, name: `${token.host}` };
  const client = new NodeClient(identity, endpoint);
  try {
    const certificate = await client.peerCertificate();
    const id = nodeIdOf(certificate);
    // Pinned before asking, because the other node calls back before it answers.
    const { host, port } = token;
    peers.pin({ id, name: 'inviting', host, port, replicationHost: host, certificate });
    const reply = await client.call({
      method: 'POST',
      path: '/v1/pairing/join',
      body: { secret: token.secret, node: service.info },
      reply: joinReplySchema,
      timeoutMs: 20_000,
    });
    const peer = peerOf(reply.node, certificate);
    peers.pin(peer);
    service.emit('info', 'PAIRED', `paired with node "${peer.name}" (${peer.host})`);
    void service.link.poll();
    return peer;
  } catch (thrown) {
    peers.restore(before);
    throw thrown;
  } finally {
    client.close();
  }
}

/** The inviting side of {@link join}; `certificate` is the one of the TLS connection. */
export async function acceptJoin(
  service: NodeService,
  request: JoinRequest,
  certificate: string,
): Promise<NodeInfo> {
  try {
    service.invitations.check(request.secret);
  } catch (thrown) {
    // Beyond the limit nothing is told: whoever tries without end must not fill the log.
    const isTooMany = thrown instanceof UnderstudyError && thrown.code === 'TOKEN_TRIES_EXCEEDED';
    if (!isTooMany) {
      service.emit('warning', 'JOIN_REFUSED', `a pairing was refused: ${messageOf(thrown)}`);
    }
    throw thrown;
  }
  return service.peers.accepting.take(async () => acceptKnown(service, request, certificate));
}

/** `request` is of somebody who knows the secret. */
async function acceptKnown(
  service: NodeService,
  request: JoinRequest,
  certificate: string,
): Promise<NodeInfo> {
  const { peers, invitations } = service;
  checkNode(service, request.node, certificate);
  const before = peers.peer;
  peers.checkMayPair(certificate);
  const peer = peerOf(request.node, certificate);
  peers.pin(peer);
  const client = new NodeClient(service.identity, endpointOf(peer));
  try {
    await askBack(service, client, peer);
    invitations.use(request.secret);
  } catch (thrown) {
    peers.restore(before);
    throw thrown;
  } finally {
    client.close();
  }
  service.emit('info', 'PAIRED', `paired with node "${peer.name}" (${peer.host})`);
  void service.link.poll();
  return service.info;
}

async function askBack(service: NodeService, client: NodeClient, peer: Peer): Promise<void> {
  try {
    await client.call({ method: 'GET', path: '/v1/node', reply: nodeViewSchema, timeoutMs: 8000 });
  } catch (cause) {
    throw new UnderstudyError(
      'JOIN_UNREACHABLE_BACK',
      `node "${service.config.name}" cannot reach the joining node back at ${peer.host}:${peer.port} (${messageOf(cause)}): correct "address" in its node.yaml or open the port`,
      { cause },
    );
  }
}

/** Forgets the partner. Errors: NOT_PAIRED, GROUPS_EXIST. */
export function unpair(service: NodeService): Peer {
  const peer = service.peers.requirePeer();
  if (service.groups.size > 0) {
    throw new UnderstudyError(
      'GROUPS_EXIST',
      `there are still groups on this node (${[...service.groups.keys()].join(', ')}): delete them first`,
    );
  }
  service.peers.restore(undefined);
  service.emit('info', 'UNPAIRED', `node "${peer.name}" is no longer trusted`);
  return peer;
}

function checkNode(service: NodeService, node: NodeInfo, certificate: string): void {
  if (nodeIdOf(certificate) === service.identity.id) {
    throw new UnderstudyError('JOIN_SELF', 'a node cannot be paired with itself');
  }
  if (node.id !== nodeIdOf(certificate)) {
    throw new UnderstudyError(
      'NODE_IDENTITY_WRONG',
      'the joining node names an identity that is not the one of its certificate',
    );
  }
  if (node.protocol !== NODE_PROTOCOL_VERSION) {
    throw new UnderstudyError(
      'VERSION_MISMATCH',
      `the nodes run different versions (${service.version} and ${node.version}): install the same on both`,
    );
  }
  if (node.name === service.config.name) {
    throw new UnderstudyError(
      'NODE_NAME_TAKEN',
      `both nodes are named "${node.name}": change "name" in the node.yaml of one and restart it`,
    );
  }
}

function peerOf(node: NodeInfo, certificate: string): Peer {
  const { id, name, host, port, replicationHost } = node;
  return { id, name, host, port, replicationHost, certificate };
}

function alreadyPaired(service: NodeService, peer: Peer): UnderstudyError {
  return new UnderstudyError(
    'ALREADY_PAIRED',
    `node "${service.config.name}" is paired with "${peer.name}" (${peer.host}) already: run "understudy unpair" on both first`,
  );
}
