// Heartbeats of all groups over all networks between two nodes. Runs in whatever thread creates it
// (the heartbeat thread, or a test).
import type { NodeId } from '../../core/ids.ts';
import type { Clock } from '../../core/clock.ts';
import { assert } from '../../core/assert.ts';
import type { GroupBeat } from '../machine/types.ts';
import { GROUPS_MAX, HeartbeatBoard, PATHS_MAX } from './board.ts';
import {
  type Datagram,
  type DatagramFault,
  decodeDatagram,
  encodeDatagram,
  pathTagOf,
} from './datagram.ts';
import { type HeardBeat, Inbox } from './inbox.ts';
import type { HeartbeatKeys } from './keys.ts';
import { type HeartbeatPath, PathSocket } from './path-socket.ts';

/** How often it is looked whether a network has fallen silent. */
const SILENCE_CHECK_MS = 50;

export interface TransportOptions {
  readonly ownId: NodeId;
  readonly peerId: NodeId;
  readonly keys: HeartbeatKeys;
  readonly paths: readonly HeartbeatPath[];
  /** Silence after which a network counts as down. */
  readonly pathDeadAfterMs: number;
  readonly board?: HeartbeatBoard;
}

export type TransportEvent =
  /** News of a group; exactly the machine's event. */
  | { readonly kind: 'beat'; readonly groupId: string; readonly heard: HeardBeat }
  /** Heartbeats of the peer began or ceased to arrive on a network. */
  | { readonly kind: 'network'; readonly name: string; readonly up: boolean; readonly why: string };

interface Path {
  readonly index: number;
  readonly settings: HeartbeatPath;
  readonly tag: number;
  readonly socket: PathSocket;
  up: boolean;
  fault: string | undefined;
}

interface Group {
  readonly groupId: string;
  readonly slot: number;
  readonly life: number;
  readonly inbox: Inbox;
  sequence: number;
}

/** The identity of a network that both nodes derive alike. */
export function pathIdentity(path: HeartbeatPath): string {
  return `${path.name} ${[path.local, path.remote].toSorted().join(' ')}`;
}

export class HeartbeatTransport {
  readonly board: HeartbeatBoard;
  readonly #options: TransportOptions;
  readonly #clock: Clock;
  readonly #onEvent: (event: TransportEvent) => void;
  readonly #paths: Path[];
  readonly #groups = new Map<string, Group>();
  readonly #silence: NodeJS.Timeout;

  constructor(
    options: TransportOptions,
    parts: { clock: Clock; onEvent: (event: TransportEvent) => void },
  ) {
    assert(options.paths.length <= PATHS_MAX, `at most ${PATHS_MAX} networks`);
    this.#options = options;
    this.#clock = parts.clock;
    this.#onEvent = parts.onEvent;
    this.board = options.board ?? new HeartbeatBoard();
    this.#paths = options.paths.map((settings, index) => this.#openPath(settings, index));
    this.#silence = setInterval(() => this.#lookForSilence(), SILENCE_CHECK_MS);
  }

  /** Listens for a group. `life`: number of this node's start for it. `slot`: its place on the board. */
  addGroup(group: { groupId: string; life: number; slot: number }): void {
    assert(group.slot < GROUPS_MAX, `at most ${GROUPS_MAX} groups`);
    const { groupId, life, slot } = group;
    const inbox = new Inbox({ board: this.board, slot, ownLife: life });
    this.#groups.set(groupId, { groupId, slot, life, inbox, sequence: 0 });
  }

  removeGroup(groupId: string): void {
    this.#groups.delete(groupId);
  }

  /** Sends over every network at once. `sentAtMs`: the moment from which a lease is counted. */
  send(groupId: string, beat: GroupBeat, sentAtMs: number): void {
    const group = this.#groups.get(groupId);
    if (group === undefined) return;
    group.sequence += 1;
    const nowMs = this.#clock.monotonicMs();
    for (const path of this.#paths) {
      const bytes = encodeDatagram(
        {
          groupId,
          sender: this.#options.ownId,
          life: group.life,
          sequence: group.sequence,
          sentAtMs,
          ...group.inbox.echo(path.index, nowMs),
          pathTag: path.tag,
          beat,
        },
        this.#options.keys.send,
      );
      this.board.count(path.index, 'sent');
      path.socket.send(bytes, () => this.board.count(path.index, 'sendFailed'));
    }
  }

  async close(): Promise<void> {
    clearInterval(this.#silence);
    await Promise.all(this.#paths.map(async ({ socket }) => socket.close()));
  }

  #openPath(settings: HeartbeatPath, index: number): Path {
    const socket = new PathSocket(settings, {
      onDatagram: (bytes) => this.#received(bytes, path),
      onRefused: () => this.board.count(index, 'refused'),
      onState: (fault) => {
        path.fault = fault;
      },
    });
    const tag = pathTagOf(pathIdentity(settings));
    const path: Path = { index, settings, tag, socket, up: false, fault: undefined };
    return path;
  }

  #received(bytes: Buffer, path: Path): void {
    const datagram = this.#verify(bytes, path);
    if (typeof datagram === 'string') {
      this.board.count(path.index, 'faults');
      return;
    }
    const group = this.#groups.get(datagram.groupId);
    if (group === undefined) return;
    const nowMs = this.#clock.monotonicMs();
    const heard = group.inbox.accept(datagram, path.index, nowMs);
    if (!path.up && this.board.path(path.index, 'lastHeardMs') === nowMs) this.#turn(path, true);
    if (heard !== undefined) this.#onEvent({ kind: 'beat', groupId: group.groupId, heard });
  }

  #verify(bytes: Buffer, path: Path): Datagram | DatagramFault {
    const datagram = decodeDatagram(bytes, this.#options.keys.receive);
    if (typeof datagram === 'string') return datagram;
    const { sender, pathTag } = datagram;
    return sender === this.#options.peerId && pathTag === path.tag ? datagram : 'content';
  }

  #lookForSilence(): void {
    const nowMs = this.#clock.monotonicMs();
    for (const path of this.#paths) {
      const silentMs = nowMs - this.board.path(path.index, 'lastHeardMs');
      if (path.up && silentMs > this.#options.pathDeadAfterMs) this.#turn(path, false);
    }
  }

  #turn(path: Path, up: boolean): void {
    path.up = up;
    const { name, local, remote } = path.settings;
    const why = up
      ? `heartbeats arrive from ${remote}`
      : (path.fault ??
        `nothing from ${remote} to ${local} for ${this.#options.pathDeadAfterMs} ms`);
    this.#onEvent({ kind: 'network', name, up, why });
  }
}
