// Keeps an eye on the other node: asks it for its view of all groups every few seconds, and tells
// when it goes and comes back.
import { messageOf } from '../core/errors.ts';
import { type ControlEvent, makeEvent } from './control-channel.ts';
import { fingerprintOf, type Identity } from './identity.ts';
import { NodeClient } from './node-client.ts';
import { type GroupView, type NodeView, nodeViewSchema } from './node-protocol.ts';
import type { Peer, PeerStore } from './peer-store.ts';

const POLL_INTERVAL_MS = 3000;
const POLL_TIMEOUT_MS = 4000;

export interface PeerLinkOptions {
  readonly identity: Identity;
  readonly peers: PeerStore;
  readonly onEvent: (event: ControlEvent) => void;
  /** Called after every poll; `undefined` when the node did not answer. */
  readonly onView: (view: NodeView | undefined) => void;
}

export class PeerLink {
  readonly #options: PeerLinkOptions;
  #client: { readonly peer: Peer; readonly client: NodeClient } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reachable: boolean | undefined;
  #fault: string | null = null;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
  }

  /** Why the peer did not answer last time; null when it did. */
  get fault(): string | null {
    return this.#fault;
  }

  start(): void {
    this.#timer = setInterval(() => void this.poll(), POLL_INTERVAL_MS);
    void this.poll();
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    this.#client?.client.close();
    this.#client = undefined;
  }

  /** A client of the peer. Errors: NOT_PAIRED. */
  client(): NodeClient {
    const peer = this.#options.peers.requirePeer();
    if (this.#client?.peer !== peer) {
      this.#client?.client.close();
      this.#client = { peer, client: new NodeClient(this.#options.identity, endpointOf(peer)) };
    }
    return this.#client.client;
  }

  /** Asks the peer now. Undefined when there is none or it does not answer. */
  async poll(timeoutMs = POLL_TIMEOUT_MS): Promise<NodeView | undefined> {
    const peer = this.#options.peers.peer;
    if (peer === undefined) return undefined;
    let view: NodeView | undefined;
    try {
      view = await this.client().call({
        method: 'GET',
        path: '/v1/node',
        reply: nodeViewSchema,
        timeoutMs,
      });
      this.#fault = null;
    } catch (thrown) {
      this.#fault = messageOf(thrown);
    }
    this.#note(peer, view !== undefined);
    this.#options.onView(view);
    return view;
  }

  /**
   * The peer's view of one group: `unreachable`, or undefined when it does not know the group.
   */
  async askAbout(
    group: string,
    timeoutMs = POLL_TIMEOUT_MS,
  ): Promise<GroupView | 'unreachable' | undefined> {
    const view = await this.poll(timeoutMs);
    if (view === undefined) return 'unreachable';
    return view.groups.find(({ name }) => name === group);
  }

  #note(peer: Peer, reachable: boolean): void {
    if (reachable === this.#reachable) return;
    const first = this.#reachable === undefined;
    this.#reachable = reachable;
    if (first && reachable) return;
    const details = { node: peer.name };
    this.#options.onEvent(
      reachable
        ? makeEvent('info', 'PEER_BACK', `node "${peer.name}" answers again`, details)
        : makeEvent('warning', 'PEER_LOST', `node "${peer.name}" does not answer`, details),
    );
  }
}

export function endpointOf(peer: Peer): ConstructorParameters<typeof NodeClient>[1] {
  const { name, host, port, certificate } = peer;
  return { name, host, port, fingerprint: fingerprintOf(certificate) };
}
