// Keeps an eye on the other node: asks it for its view of all groups every few seconds, and tells
// when it goes and comes back. Who shows something takes what was answered last and never waits: a node that
// has lost its power swallows packets for a minute, and that is when people look.
import { messageOf } from '../core/errors.ts';
import { type ControlEvent, makeEvent } from './control-channel.ts';
import { fingerprintOf, type Identity } from './identity.ts';
import { NodeClient } from './node-client.ts';
import { type GroupView, type NodeView, nodeViewSchema } from './node-protocol.ts';
import type { Peer, PeerStore } from './peer-store.ts';

const POLL_INTERVAL_MS = 5000;
const POLL_TIMEOUT_MS = 4000;
/** Whoever shows what is known has it asked for anew when it is older than this. */
const FRESH_MS = 500;

export interface PeerLinkOptions {
  readonly identity: Identity;
  readonly peers: PeerStore;
  readonly onEvent: (event: ControlEvent) => void;
  /**
   * Called after a poll, unless a later one was answered before; `undefined` when the node did not answer. `askedMs`:
   * `performance.now()` of the question, since when this node may have changed.
   */
  readonly onView: (view: NodeView | undefined, askedMs: number) => void;
}

/** What is known of the peer without asking it. */
export interface PeerKnowledge {
  /** Undefined when the peer did not answer the last time it was asked. */
  readonly view: NodeView | undefined;
  /** Why it did not; null when it did, or was not asked yet. */
  readonly fault: string | null;
  /** Since it was asked what it answered last; null: it never did. */
  readonly ageMs: number | null;
}

const NOTHING_KNOWN: PeerKnowledge = { view: undefined, fault: null, ageMs: null };

interface Answer {
  readonly peer: Peer;
  readonly view: NodeView | undefined;
  readonly fault: string | null;
  /** `performance.now()` of the last question that it answered: what it said may have been so then, and no longer when it was heard. */
  readonly asOfMs: number | null;
}

export class PeerLink {
  readonly #options: PeerLinkOptions;
  #client: { readonly peer: Peer; readonly client: NodeClient } | undefined;
  #timer: NodeJS.Timeout | undefined;
  #reachable: boolean | undefined;
  #answer: Answer | undefined;
  /** Counts questions: one that ends after a later one was answered has nothing to say. */
  #asked = 0;
  #heard = 0;
  #askedMs = Number.NEGATIVE_INFINITY;
  #isRefreshing = false;

  constructor(options: PeerLinkOptions) {
    this.#options = options;
  }

  /** At once, whatever the network does. */
  get known(): PeerKnowledge {
    const { peer } = this.#options.peers;
    const answer = this.#answer;
    if (answer === undefined || answer.peer !== peer) return NOTHING_KNOWN;
    const { view, fault, asOfMs } = answer;
    const ageMs = asOfMs === null ? null : Math.round(performance.now() - asOfMs);
    return { view, fault, ageMs };
  }

  start(): void {
    this.#timer = setInterval(() => this.refresh(), POLL_INTERVAL_MS);
    this.refresh();
  }

  /** Has the peer asked in the background, one question at a time, unless what is known is fresh. */
  refresh(): void {
    if (this.#isRefreshing || performance.now() - this.#askedMs < FRESH_MS) return;
    this.#isRefreshing = true;
    void this.poll().finally(() => {
      this.#isRefreshing = false;
    });
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
    this.#asked += 1;
    const turn = this.#asked;
    const askedMs = performance.now();
    this.#askedMs = askedMs;
    let view: NodeView | undefined;
    let fault: string | null = null;
    try {
      view = await this.client().call({
        method: 'GET',
        path: '/v1/node',
        reply: nodeViewSchema,
        timeoutMs,
      });
    } catch (thrown) {
      fault = messageOf(thrown);
    }
    if (turn > this.#heard) {
      this.#heard = turn;
      this.#keep({ peer, view, fault }, askedMs);
      this.#options.onView(view, askedMs);
    }
    return view;
  }

  #keep(answer: Omit<Answer, 'asOfMs'>, askedMs: number): void {
    const { peer, view } = answer;
    const before = this.#answer?.peer === peer ? this.#answer.asOfMs : null;
    this.#answer = { ...answer, asOfMs: view === undefined ? before : askedMs };
    this.#note(peer, view !== undefined);
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
