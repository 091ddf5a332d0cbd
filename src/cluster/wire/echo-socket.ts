// Sends ICMP echo requests and sees the replies (raw(7)). Non-blocking.
import { addressOf, sys } from '../../linux/libc.ts';
import { AF, openSocket, SOCK } from '../../linux/sockets.ts';
import { type Echo, encodeEcho, parseEchoReply } from './icmp.ts';

const IPPROTO_ICMP = 1;
const IPPROTO_ICMPV6 = 58;
const SOL_RAW = 255;
const ICMP_FILTER = 1;
const ICMPV6_FILTER = 1;
const ECHO_REPLY_V6 = 129;
const MESSAGE_BYTES_MAX = 512;
const MESSAGES_PER_READ_MAX = 256;

export class EchoSocket {
  readonly #family: 4 | 6;
  readonly #fd: number;
  readonly #buffer = Buffer.alloc(MESSAGE_BYTES_MAX);

  /** Errors: SOCKET_REFUSED. */
  constructor(family: 4 | 6) {
    this.#family = family;
    const [domain, protocol] = family === 4 ? [AF.INET, IPPROTO_ICMP] : [AF.INET6, IPPROTO_ICMPV6];
    this.#fd = openSocket(domain, SOCK.RAW, protocol);
    // A bit that is set keeps a type away; a refused filter only means more to look through.
    if (family === 4) {
      const onlyReplies = new Uint8Array(new Uint32Array([0xffff_fffe]).buffer);
      sys.setsockopt(this.#fd, SOL_RAW, ICMP_FILTER, onlyReplies, 4);
    } else {
      const filter = new Uint32Array(8).fill(0xffff_ffff);
      filter[ECHO_REPLY_V6 >> 5] = ~(1 << (ECHO_REPLY_V6 & 31)) >>> 0;
      sys.setsockopt(this.#fd, IPPROTO_ICMPV6, ICMPV6_FILTER, new Uint8Array(filter.buffer), 32);
    }
  }

  /** False when this node has no way to the address, or its card does not take it. */
  send(address: Uint8Array, echo: Echo): boolean {
    const message = encodeEcho(this.#family, echo);
    const destination = socketAddress(address);
    const { length } = destination;
    return sys.sendto(this.#fd, message, message.length, 0, destination, length) >= 0;
  }

  /** Replies since the last call, also those to other programs. */
  receive(): Echo[] {
    const echoes: Echo[] = [];
    const buffer = addressOf(this.#buffer);
    for (let reads = 0; reads < MESSAGES_PER_READ_MAX; reads += 1) {
      const length = sys.recv(this.#fd, buffer, MESSAGE_BYTES_MAX, 0);
      if (length < 0) break;
      const echo = parseEchoReply(this.#family, this.#buffer.subarray(0, length));
      if (echo !== undefined) echoes.push(echo);
    }
    return echoes;
  }

  close(): void {
    sys.close(this.#fd);
  }
}

/** struct sockaddr_in or sockaddr_in6. */
function socketAddress(address: Uint8Array): Buffer {
  const ipv4 = address.length === 4;
  const bytes = Buffer.alloc(ipv4 ? 16 : 28);
  bytes.writeUInt16LE(ipv4 ? AF.INET : AF.INET6, 0);
  bytes.set(address, ipv4 ? 4 : 8);
  return bytes;
}
