// Interfaces and addresses through rtnetlink(7): no program has to be started, so that an address
// can be given up on a machine that has no memory or no process left for ip(8).
//
//   message   nlmsghdr (16): length, type, flags, sequence, port
//   link      ifinfomsg (16): family, -, type, index, flags, change   then attributes
//   address   ifaddrmsg (8): family, prefix length, flags, scope, index   then attributes
//   neighbour ndmsg (12): family, -, index, state, flags, type   then attributes
//   attribute rtattr (4): length, type   then the value, padded to 4 bytes
import { UnderstudyError } from '../core/errors.ts';
import { errno, errnoName } from './constants.ts';
import { sys } from './libc.ts';
import { formatAddress, parseAddress } from './ip-address.ts';
import { AF, openSocket, SOCK } from './sockets.ts';

const RTM = {
  NEWLINK: 16,
  GETLINK: 18,
  NEWADDR: 20,
  DELADDR: 21,
  GETADDR: 22,
  GETNEIGH: 30,
} as const;
const NLMSG_ERROR = 2;
const NLMSG_DONE = 3;
const NLM_F = { REQUEST: 1, ACK: 4, DUMP: 0x300, REPLACE: 0x100, CREATE: 0x400 } as const;
const IFLA = { ADDRESS: 1, IFNAME: 3 } as const;
const IFA = { ADDRESS: 1, LOCAL: 2, BROADCAST: 4, CACHEINFO: 6, FLAGS: 8 } as const;
const NDA = { DST: 1, LLADDR: 2 } as const;
/** Reachable, stale, delayed, probed, or set by hand: the hardware address is known. */
const NUD_KNOWN = 0x02 | 0x04 | 0x08 | 0x10 | 0x80;
const IFA_F_NODAD = 2;
const IFA_F_DADFAILED = 8;
const IFA_F_DEPRECATED = 0x20;
const IFA_F_TENTATIVE = 0x40;
const IFF_UP = 1;
const IFF_LOOPBACK = 8;
const IFF_LOWER_UP = 0x1_0000;
const HEADER_BYTES = 16;
const RECEIVE_BYTES = 64 * 1024;
/** The kernel answers before sendto(2) returns; this only bounds a surprise. */
const READS_MAX = 4096;

export interface Link {
  readonly index: number;
  readonly name: string;
  /** Six bytes; empty where the interface has none (tunnels). */
  readonly mac: Uint8Array;
  /** Administratively up. */
  readonly up: boolean;
  /** Cable (or the other end) is there. */
  readonly carrier: boolean;
  readonly loopback: boolean;
}

export interface InterfaceAddress {
  readonly index: number;
  readonly ip: string;
  readonly prefix: number;
  /** IPv6 only: not usable yet, or found to be used by another machine. */
  readonly tentative: boolean;
  readonly duplicate: boolean;
  /** IPv6 only: not to be the source of anything new. */
  readonly deprecated: boolean;
}

/** All interfaces of this network namespace. */
export function listLinks(): Link[] {
  const request = Buffer.alloc(16);
  return dump(RTM.GETLINK, request).map((message) => {
    const attributes = parseAttributes(message.subarray(16));
    const flags = message.readUInt32LE(8);
    return {
      index: message.readInt32LE(4),
      name: (attributes.get(IFLA.IFNAME) ?? Buffer.alloc(1))
        .toString('latin1')
        .replace(/\0.*$/, ''),
      mac: Uint8Array.from(attributes.get(IFLA.ADDRESS) ?? []),
      up: (flags & IFF_UP) !== 0,
      carrier: (flags & IFF_LOWER_UP) !== 0,
      loopback: (flags & IFF_LOOPBACK) !== 0,
    };
  });
}

/** The interface named, or undefined. */
export function findLink(name: string): Link | undefined {
  return listLinks().find((link) => link.name === name);
}

/** All IPv4 and IPv6 addresses of this network namespace. */
export function listAddresses(): InterfaceAddress[] {
  const found: InterfaceAddress[] = [];
  for (const message of dump(RTM.GETADDR, Buffer.alloc(8))) {
    const attributes = parseAttributes(message.subarray(8));
    const bytes = attributes.get(IFA.LOCAL) ?? attributes.get(IFA.ADDRESS);
    if (bytes === undefined) continue;
    const flags = attributes.get(IFA.FLAGS)?.readUInt32LE(0) ?? message.readUInt8(2);
    found.push({
      index: message.readUInt32LE(4),
      ip: formatAddress(bytes),
      prefix: message.readUInt8(1),
      tentative: (flags & IFA_F_TENTATIVE) !== 0,
      duplicate: (flags & IFA_F_DADFAILED) !== 0,
      deprecated: (flags & IFA_F_DEPRECATED) !== 0,
    });
  }
  return found;
}

/** A machine on an interface's network that this one has spoken to lately. */
export interface Neighbour {
  readonly index: number;
  readonly ip: string;
  /** Six bytes. */
  readonly mac: Uint8Array;
}

/** The kernel's caches of ARP and neighbour discovery, as far as they know a hardware address. */
export function listNeighbours(): Neighbour[] {
  const found: Neighbour[] = [];
  for (const message of dump(RTM.GETNEIGH, Buffer.alloc(12))) {
    const attributes = parseAttributes(message.subarray(12));
    const [ip, mac] = [attributes.get(NDA.DST), attributes.get(NDA.LLADDR)];
    if ((message.readUInt16LE(8) & NUD_KNOWN) === 0 || mac?.length !== 6) continue;
    if (ip?.length !== 4 && ip?.length !== 16) continue;
    found.push({
      index: message.readInt32LE(4),
      ip: formatAddress(ip),
      mac: Uint8Array.from(mac),
    });
  }
  return found;
}

/** What is put on an interface or taken off it. */
export interface AddressChange {
  readonly index: number;
  readonly ip: string;
  readonly prefix: number;
}

/**
 * Adds an address; `false` when it was there already. IPv6 addresses are usable at once: the owner
 * has probed for duplicates itself. Errors: ADDRESS_NOT_SET.
 */
export function addAddress(change: AddressChange): boolean {
  const flags = NLM_F.REQUEST | NLM_F.ACK | NLM_F.CREATE | 0x200;
  const result = acknowledge(RTM.NEWADDR, flags, addressMessage(change, IFA_F_NODAD));
  if (result === -errno.EEXIST) return false;
  if (result === 0) return true;
  throw new UnderstudyError(
    'ADDRESS_NOT_SET',
    `${change.ip}/${change.prefix} cannot be put on interface ${change.index} (${errnoName(result)}): check that the interface exists${parseAddress(change.ip)?.length === 16 ? ' and that IPv6 is not disabled on it' : ''}`,
  );
}

/** Takes an address off; `false` when it (or its interface) was not there. Errors: ADDRESS_NOT_SET. */
export function removeAddress(change: AddressChange): boolean {
  const result = acknowledge(RTM.DELADDR, NLM_F.REQUEST | NLM_F.ACK, addressMessage(change, 0));
  if (result === 0) return true;
  if (result === -EADDRNOTAVAIL || result === -errno.ENODEV) return false;
  throw new UnderstudyError(
    'ADDRESS_NOT_SET',
    `${change.ip}/${change.prefix} cannot be taken off interface ${change.index} (${errnoName(result)})`,
  );
}

const EADDRNOTAVAIL = 99;

function addressMessage(change: AddressChange, flags: number): Buffer {
  const bytes = parseAddress(change.ip);
  if (bytes === undefined) {
    throw new UnderstudyError('ADDRESS_INVALID', `"${change.ip}" is not an IP address`);
  }
  const ipv4 = bytes.length === 4;
  const body = Buffer.alloc(8);
  body.writeUInt8(ipv4 ? AF.INET : AF.INET6, 0);
  body.writeUInt8(change.prefix, 1);
  body.writeUInt32LE(change.index, 4);
  const flagBytes = Buffer.alloc(4);
  flagBytes.writeUInt32LE(ipv4 ? 0 : flags);
  const attributes = [
    attribute(IFA.LOCAL, bytes),
    attribute(IFA.ADDRESS, bytes),
    attribute(IFA.FLAGS, flagBytes),
  ];
  if (!ipv4 && flags !== 0) attributes.push(attribute(IFA.CACHEINFO, NEVER_A_SOURCE));
  if (ipv4 && change.prefix < 31) {
    attributes.push(attribute(IFA.BROADCAST, broadcastOf(bytes, change.prefix)));
  }
  return Buffer.concat([body, ...attributes]);
}

/**
 * struct ifa_cacheinfo: valid for ever but never preferred, so that the machine does not choose the
 * address as source of its own connections, which would break when it moves away.
 */
const NEVER_A_SOURCE = new Uint8Array(new Uint32Array([0, 0xffff_ffff, 0, 0]).buffer);

function broadcastOf(ip: Uint8Array, prefix: number): Uint8Array {
  return ip.map((byte, index) => {
    const hostBits = Math.min(8, Math.max(0, (index + 1) * 8 - prefix));
    return byte | ((1 << hostBits) - 1);
  });
}

function attribute(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(4 + Math.ceil(value.length / 4) * 4);
  bytes.writeUInt16LE(4 + value.length, 0);
  bytes.writeUInt16LE(type, 2);
  bytes.set(value, 4);
  return bytes;
}

function parseAttributes(bytes: Buffer): Map<number, Buffer> {
  const attributes = new Map<number, Buffer>();
  for (let at = 0; at + 4 <= bytes.length;) {
    const length = bytes.readUInt16LE(at);
    if (length < 4 || at + length > bytes.length) break;
    attributes.set(bytes.readUInt16LE(at + 2) & 0x3fff, bytes.subarray(at + 4, at + length));
    at += Math.ceil(length / 4) * 4;
  }
  return attributes;
}

/** Sends one request and returns the kernel's verdict: 0 or a negative errno. */
function acknowledge(type: number, flags: number, body: Uint8Array): number {
  return exchange(type, flags, body, (answer, message) =>
    answer === NLMSG_ERROR ? message.readInt32LE(0) : undefined,
  );
}

function dump(type: number, body: Uint8Array): Buffer[] {
  const messages: Buffer[] = [];
  const result = exchange(type, NLM_F.REQUEST | NLM_F.DUMP, body, (answer, message) => {
    if (answer === NLMSG_DONE) return 0;
    if (answer === NLMSG_ERROR) return message.readInt32LE(0);
    messages.push(message);
    return undefined;
  });
  if (result === 0) return messages;
  throw new UnderstudyError(
    'NETLINK_FAILED',
    `the kernel does not list interfaces, addresses or neighbours (${errnoName(result)})`,
  );
}

/** `judge` sees each answer and returns the final result, or undefined to see the next one. */
function exchange(
  type: number,
  flags: number,
  body: Uint8Array,
  judge: (answer: number, message: Buffer) => number | undefined,
): number {
  const fd = openSocket(AF.NETLINK, SOCK.RAW, 0);
  try {
    const request = Buffer.alloc(HEADER_BYTES + body.length);
    request.writeUInt32LE(request.length, 0);
    request.writeUInt16LE(type, 4);
    request.writeUInt16LE(flags, 6);
    request.writeUInt32LE(1, 8);
    request.set(body, HEADER_BYTES);
    const kernel = Buffer.alloc(12);
    kernel.writeUInt16LE(AF.NETLINK);
    const sent = sys.sendto(fd, request, request.length, 0, kernel, kernel.length);
    if (sent < 0) return sent;
    return readAnswers(fd, judge);
  } finally {
    sys.close(fd);
  }
}

function readAnswers(
  fd: number,
  judge: (answer: number, message: Buffer) => number | undefined,
): number {
  const buffer = Buffer.alloc(RECEIVE_BYTES);
  for (let reads = 0; reads < READS_MAX; reads += 1) {
    const length = sys.recv(fd, buffer, buffer.length, 0);
    if (length === -errno.EINTR) continue;
    if (length < 0) return length;
    for (let at = 0; at + HEADER_BYTES <= length;) {
      const messageLength = buffer.readUInt32LE(at);
      if (messageLength < HEADER_BYTES || at + messageLength > length) return -errno.EIO;
      const message = Buffer.from(buffer.subarray(at + HEADER_BYTES, at + messageLength));
      const result = judge(buffer.readUInt16LE(at + 4), message);
      if (result !== undefined) return result;
      at += Math.ceil(messageLength / 4) * 4;
    }
  }
  return -errno.EIO;
}
