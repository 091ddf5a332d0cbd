// Raw Ethernet frames of one interface (packet(7)). Non-blocking: the owner reads when it wants to,
// the kernel keeps what arrives meanwhile (and drops what the filter does not name).
import { assert } from '../../core/assert.ts';
import type { Link } from '../../linux/netlink.ts';
import { addressOf, sys } from '../../linux/libc.ts';
import {
  AF,
  attachFilter,
  demand,
  type FilterInstruction,
  openSocket,
  SOCK,
} from '../../linux/sockets.ts';
import { ARP_ETHERTYPE } from './arp.ts';
import { IPV6_ETHERTYPE, NEIGHBOUR_ADVERTISEMENT, NEIGHBOUR_SOLICITATION } from './ndp.ts';

const SOL_PACKET = 263;
const PACKET_ADD_MEMBERSHIP = 1;
const PACKET_MR_MULTICAST = 0;
const SOCKADDR_LL_BYTES = 20;
const FRAME_BYTES_MAX = 2048;
/** Frames read at one time: a flood must not keep the thread. */
const FRAMES_PER_READ_MAX = 256;

// Classic BPF over the whole frame: load half word / byte absolute, jump if equal, return.
const LOAD_HALF = 0x28;
const LOAD_BYTE = 0x30;
const JUMP_EQUAL = 0x15;
const RETURN = 0x06;

const ARP_FILTER: readonly FilterInstruction[] = [
  [LOAD_HALF, 0, 0, 12],
  [JUMP_EQUAL, 0, 1, ARP_ETHERTYPE],
  [RETURN, 0, 0, FRAME_BYTES_MAX],
  [RETURN, 0, 0, 0],
];

const NEIGHBOUR_FILTER: readonly FilterInstruction[] = [
  [LOAD_HALF, 0, 0, 12],
  [JUMP_EQUAL, 0, 6, IPV6_ETHERTYPE],
  [LOAD_BYTE, 0, 0, 20],
  [JUMP_EQUAL, 0, 4, 58],
  [LOAD_BYTE, 0, 0, 54],
  [JUMP_EQUAL, 1, 0, NEIGHBOUR_SOLICITATION],
  [JUMP_EQUAL, 0, 1, NEIGHBOUR_ADVERTISEMENT],
  [RETURN, 0, 0, FRAME_BYTES_MAX],
  [RETURN, 0, 0, 0],
];

export type PacketKind = 'arp' | 'neighbour';

export class PacketSocket {
  readonly #fd: number;
  readonly #destination: Buffer;
  readonly #buffer = Buffer.alloc(FRAME_BYTES_MAX);
  #closed = false;

  /** Errors: SOCKET_REFUSED. */
  constructor(link: Link, kind: PacketKind) {
    const ethertype = kind === 'arp' ? ARP_ETHERTYPE : IPV6_ETHERTYPE;
    // Protocol 0: nothing is received before the filter and the interface are set.
    this.#fd = openSocket(AF.PACKET, SOCK.RAW, 0);
    const filter = kind === 'arp' ? ARP_FILTER : NEIGHBOUR_FILTER;
    demand(this.#fd, attachFilter(this.#fd, filter), 'attaching a packet filter');
    this.#destination = Buffer.alloc(SOCKADDR_LL_BYTES);
    this.#destination.writeUInt16LE(AF.PACKET, 0);
    this.#destination.writeUInt16BE(ethertype, 2);
    this.#destination.writeInt32LE(link.index, 4);
    this.#destination.writeUInt8(6, 11);
    const bound = sys.bind(this.#fd, this.#destination, SOCKADDR_LL_BYTES);
    demand(this.#fd, bound, `listening on interface ${link.name}`);
  }

  /** Receives frames to a multicast group although this machine is not in it (yet). */
  join(groupMac: Uint8Array): void {
    const request = Buffer.alloc(16);
    this.#destination.copy(request, 0, 4, 8);
    request.writeUInt16LE(PACKET_MR_MULTICAST, 4);
    request.writeUInt16LE(groupMac.length, 6);
    request.set(groupMac, 8);
    const { length } = request;
    // Refused where the interface cannot filter: it then receives all multicast anyway.
    sys.setsockopt(this.#fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, request, length);
  }

  /** False when the interface does not take it (down, gone, queue full). */
  send(frame: Buffer): boolean {
    assert(!this.#closed, 'a closed packet socket is not used');
    const { length } = this.#destination;
    return sys.sendto(this.#fd, frame, frame.length, 0, this.#destination, length) >= 0;
  }

  /** Frames that arrived since the last call. */
  receive(): Buffer[] {
    assert(!this.#closed, 'a closed packet socket is not used');
    const frames: Buffer[] = [];
    const buffer = addressOf(this.#buffer);
    while (frames.length < FRAMES_PER_READ_MAX) {
      const length = sys.recv(this.#fd, buffer, FRAME_BYTES_MAX, 0);
      // Nothing more, or an error of the interface (ENETDOWN): either way the next call sees more.
      if (length <= 0) break;
      frames.push(Buffer.from(this.#buffer.subarray(0, length)));
    }
    return frames;
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    sys.close(this.#fd);
  }
}
