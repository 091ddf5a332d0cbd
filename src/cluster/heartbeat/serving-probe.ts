// Whether somebody *serves* behind a virtual address, and not only whether a network stack has it: a
// frozen machine goes on answering ARP and ping. The node that holds the address answers from its
// heartbeat thread, and only while its lease is valid; the other node asks.
import { randomBytes } from 'node:crypto';
import { createSocket, type Socket } from 'node:dgram';
import { isIPv6 } from 'node:net';
import type { Clock } from '../../core/clock.ts';
import type { NodeId } from '../../core/ids.ts';
import type { HeartbeatKeys } from './keys.ts';
import { HEARTBEAT_PORT } from './path-socket.ts';
import { decodeServing, encodeServing } from './serving-datagram.ts';

const REBIND_MS = 100;

export interface ServingIdentity {
  readonly ownId: NodeId;
  readonly peerId: NodeId;
  readonly keys: HeartbeatKeys;
}

/** Answers for the groups that are served here. */
export class ServingResponder {
  readonly #identity: ServingIdentity;
  readonly #clock: Clock;
  readonly #groups = new Map<string, readonly AnsweringSocket[]>();

  constructor(identity: ServingIdentity, parts: { clock: Clock }) {
    this.#identity = identity;
    this.#clock = parts.clock;
  }

  /** Answers on `addresses`, as soon as they are on this node, while `leaseUntilMs()` is in the future. */
  serve(groupId: string, addresses: readonly string[], leaseUntilMs: () => number): void {
    this.cease(groupId);
    const answer = (bytes: Buffer): Buffer | undefined => {
      if (this.#clock.monotonicMs() >= leaseUntilMs()) return undefined;
      return this.#answer(bytes, groupId);
    };
    const sockets = addresses.map((address) => new AnsweringSocket(address, answer));
    this.#groups.set(groupId, sockets);
  }

  cease(groupId: string): void {
    for (const socket of this.#groups.get(groupId) ?? []) socket.close();
    this.#groups.delete(groupId);
  }

  close(): void {
    for (const groupId of this.#groups.keys()) this.cease(groupId);
  }

  #answer(bytes: Buffer, groupId: string): Buffer | undefined {
    const { ownId, peerId, keys } = this.#identity;
    const question = decodeServing(bytes, keys.receive);
    if (question?.kind !== 'question' || question.sender !== peerId) return undefined;
    if (question.groupId !== groupId) return undefined;
    return encodeServing({ ...question, kind: 'answer', sender: ownId }, keys.send);
  }
}

class AnsweringSocket {
  readonly #address: string;
  readonly #answer: (bytes: Buffer) => Buffer | undefined;
  #socket: Socket | undefined;
  #rebind: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(address: string, answer: (bytes: Buffer) => Buffer | undefined) {
    this.#address = address;
    this.#answer = answer;
    this.#open();
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#rebind);
    this.#socket?.close();
  }

  #open(): void {
    const socket = createSocket({ type: isIPv6(this.#address) ? 'udp6' : 'udp4', reuseAddr: true });
    this.#socket = socket;
    socket.on('message', (bytes, from) => {
      const answer = this.#answer(bytes);
      if (answer !== undefined) socket.send(answer, from.port, from.address, () => undefined);
    });
    socket.on('error', () => {
      // The address is not there yet, or not any more.
      if (socket !== this.#socket || this.#closed) return;
      this.#socket = undefined;
      socket.close();
      this.#rebind = setTimeout(() => this.#open(), REBIND_MS);
    });
    socket.bind({ address: this.#address, port: HEARTBEAT_PORT, exclusive: true });
  }
}

/** Asks over each address at once; true as soon as one has answered within `timeoutMs`. */
export async function askServing(
  question: { groupId: string; addresses: readonly string[]; timeoutMs: number },
  identity: ServingIdentity,
): Promise<boolean> {
  const { groupId, addresses, timeoutMs } = question;
  const { ownId, peerId, keys } = identity;
  const nonce = randomBytes(16).toString('hex');
  const bytes = encodeServing({ kind: 'question', groupId, sender: ownId, nonce }, keys.send);
  const sockets: Socket[] = [];
  try {
    return await new Promise<boolean>((resolve) => {
      const timer = setTimeout(() => resolve(false), timeoutMs);
      for (const address of addresses) {
        const socket = createSocket(isIPv6(address) ? 'udp6' : 'udp4');
        sockets.push(socket);
        socket.on('error', () => undefined);
        socket.on('message', (received) => {
          const answer = decodeServing(received, keys.receive);
          if (answer?.kind !== 'answer' || answer.sender !== peerId) return;
          if (answer.groupId !== groupId || answer.nonce !== nonce) return;
          clearTimeout(timer);
          resolve(true);
        });
        socket.send(bytes, HEARTBEAT_PORT, address, () => undefined);
      }
    });
  } finally {
    for (const socket of sockets) socket.close();
  }
}
