// What arrived for one group: which datagrams are news, what to echo, and how good each network is.
// Pure but for the board, on which it notes what it measures.
//
//   news      life above the highest seen, or the same life and a sequence above the highest seen;
//             the same heartbeat on a second network, a late or a repeated one is no news
//   jitter    as RTP does it (RFC 3550, 6.4.1): smoothed difference between how far apart two
//             heartbeats were sent and how far apart they arrived
import type { GroupBeat } from '../machine/types.ts';
import { type HeartbeatBoard, PATHS_MAX } from './board.ts';
import type { Datagram } from './datagram.ts';

/** A heartbeat that is news; the machine's event of the same name, and where it came from. */
export interface HeardBeat {
  readonly kind: 'heartbeat';
  readonly life: number;
  readonly sentAtMs: number;
  /**
   * `sentAtMs` of the newest heartbeat of this node's present life that the peer has received, or
   * null. Null also for a recording of an old conversation: it cannot know the present life.
   */
  readonly heardBackMs: number | null;
  readonly beat: GroupBeat;
}

/** What the next datagram to the peer says about what was heard. */
export interface Echo {
  readonly heardLife: number;
  readonly heardAtMs: number;
  readonly echoMs: number;
  readonly echoAgeUs: number;
}

/** Differences of sequence numbers above this are a pause of the sender, not datagrams lost. */
const LOSS_JUMP_MAX = 10_000;

interface PathState {
  life: number;
  sequence: number;
  sentAtMs: number;
  arrivedAtMs: number;
}

export class Inbox {
  readonly #board: HeartbeatBoard;
  readonly #slot: number;
  readonly #ownLife: number;
  readonly #paths: PathState[] = Array.from({ length: PATHS_MAX }, () => ({
    life: 0,
    sequence: 0,
    sentAtMs: 0,
    arrivedAtMs: 0,
  }));
  #life = 0;
  #sequence = 0;
  #sentAtMs = 0;

  constructor(options: { board: HeartbeatBoard; slot: number; ownLife: number }) {
    this.#board = options.board;
    this.#slot = options.slot;
    this.#ownLife = options.ownLife;
  }

  /** Takes a datagram that arrived on network `path`; returns the heartbeat when it is news. */
  accept(datagram: Datagram, path: number, nowMs: number): HeardBeat | undefined {
    if (datagram.life < this.#life) {
      this.#board.count(path, 'late');
      return undefined;
    }
    this.#measure(datagram, path, nowMs);
    const news = datagram.life > this.#life || datagram.sequence > this.#sequence;
    if (!news) return undefined;
    this.#life = datagram.life;
    this.#sequence = datagram.sequence;
    this.#sentAtMs = datagram.sentAtMs;
    this.#board.setGroup(this.#slot, 'lastHeardMs', nowMs);
    const known = datagram.heardLife === this.#ownLife;
    return {
      kind: 'heartbeat',
      life: datagram.life,
      sentAtMs: datagram.sentAtMs,
      heardBackMs: known ? datagram.heardAtMs : null,
      beat: datagram.beat,
    };
  }

  echo(path: number, nowMs: number): Echo {
    const state = this.#paths[path];
    const heard = state !== undefined && state.life === this.#life && this.#life > 0;
    return {
      heardLife: this.#life,
      heardAtMs: this.#sentAtMs,
      echoMs: heard ? state.sentAtMs : 0,
      echoAgeUs: heard ? Math.max(0, Math.round((nowMs - state.arrivedAtMs) * 1000)) : 0,
    };
  }

  #measure(datagram: Datagram, path: number, nowMs: number): void {
    const state = this.#paths[path];
    if (state === undefined) return;
    const sameLife = state.life === datagram.life;
    if (sameLife && datagram.sequence <= state.sequence) {
      this.#board.count(path, 'late');
      return;
    }
    const board = this.#board;
    board.count(path, 'received');
    board.setPath(path, 'lastHeardMs', nowMs);
    if (sameLife) {
      const missing = datagram.sequence - state.sequence - 1;
      if (missing > 0 && missing < LOSS_JUMP_MAX) board.count(path, 'lost', missing);
      const arrivedApart = nowMs - state.arrivedAtMs;
      if (missing === 0) {
        const deviation = Math.abs(arrivedApart - (datagram.sentAtMs - state.sentAtMs));
        const jitter = board.path(path, 'jitterMs');
        board.setPath(path, 'jitterMs', jitter + (deviation - jitter) / 16);
      }
      board.setPath(path, 'gapMaxMs', Math.max(board.path(path, 'gapMaxMs'), arrivedApart));
    }
    this.#measureRoundTrip(datagram, path, nowMs);
    state.life = datagram.life;
    state.sequence = datagram.sequence;
    state.sentAtMs = datagram.sentAtMs;
    state.arrivedAtMs = nowMs;
  }

  #measureRoundTrip(datagram: Datagram, path: number, nowMs: number): void {
    if (datagram.heardLife !== this.#ownLife || datagram.echoMs === 0) return;
    const board = this.#board;
    if (datagram.echoMs <= board.path(path, 'peerHeardMs')) return;
    board.setPath(path, 'peerHeardMs', datagram.echoMs);
    const roundTripMs = Math.max(0, nowMs - datagram.echoMs - datagram.echoAgeUs / 1000);
    board.setPath(path, 'roundTripMs', roundTripMs);
    const longest = board.path(path, 'roundTripMaxMs');
    board.setPath(path, 'roundTripMaxMs', Math.max(longest, roundTripMs));
  }
}
