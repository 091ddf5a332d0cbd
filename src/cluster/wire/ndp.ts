// Neighbour discovery (RFC 4861, RFC 4862, RFC 9131), as Ethernet frames. Pure; parsing returns
// undefined for anything that is not exactly such a frame.
//
//    0 14  Ethernet: destination, source, 0x86dd
//   14 40  IPv6: version.., payload length (18), next header 58 (20), hop limit 255 (21),
//                source (22), destination (38)
//   54  8  ICMPv6: type, code, checksum, flags
//   62 16  target address
//   78  8  option: type 1 source / 2 target link-layer address, length 1, MAC
import { parseAddress } from '../../linux/ip-address.ts';

export const IPV6_ETHERTYPE = 0x86dd;
export const NEIGHBOUR_SOLICITATION = 135;
export const NEIGHBOUR_ADVERTISEMENT = 136;
const ICMPV6 = 58;
const HOP_LIMIT = 255;
const FLAG_SOLICITED = 0x40;
const FLAG_OVERRIDE = 0x20;
const NOBODY = new Uint8Array(16);
const SOLICITED_NODE = parseAddress('ff02::1:ff00:0') ?? NOBODY;
const ALL_NODES = parseAddress('ff02::1') ?? NOBODY;

export interface NeighbourMessage {
  readonly type: 'solicitation' | 'advertisement';
  readonly sourceMac: Uint8Array;
  readonly sourceIp: Uint8Array;
  readonly target: Uint8Array;
}

/** Multicast group in which the users of `ip` listen (RFC 4291, 2.7.1). */
export function solicitedNodeGroup(ip: Uint8Array): Uint8Array {
  const group = Uint8Array.from(SOLICITED_NODE);
  group.set(ip.subarray(13, 16), 13);
  return group;
}

/** Ethernet address of an IPv6 multicast group (RFC 2464, 7). */
export function multicastMac(group: Uint8Array): Uint8Array {
  return Uint8Array.from([0x33, 0x33, ...group.subarray(12, 16)]);
}

interface Frame {
  readonly mac: Uint8Array;
  readonly destinationMac: Uint8Array;
  readonly source: Uint8Array;
  readonly destination: Uint8Array;
  readonly type: number;
  readonly flags: number;
  readonly target: Uint8Array;
  /** Type of the link-layer option; 0: none. */
  readonly option: 0 | 1 | 2;
}

function encode(message: Frame): Buffer {
  const payloadBytes = message.option === 0 ? 24 : 32;
  const frame = Buffer.alloc(54 + payloadBytes);
  frame.set(message.destinationMac, 0);
  frame.set(message.mac, 6);
  frame.writeUInt16BE(IPV6_ETHERTYPE, 12);
  frame.writeUInt8(0x60, 14);
  frame.writeUInt16BE(payloadBytes, 18);
  frame.writeUInt8(ICMPV6, 20);
  frame.writeUInt8(HOP_LIMIT, 21);
  frame.set(message.source, 22);
  frame.set(message.destination, 38);
  frame.writeUInt8(message.type, 54);
  frame.writeUInt8(message.flags, 58);
  frame.set(message.target, 62);
  if (message.option !== 0) {
    frame.writeUInt8(message.option, 78);
    frame.writeUInt8(1, 79);
    frame.set(message.mac, 80);
  }
  frame.writeUInt16BE(checksum(frame), 56);
  return frame;
}

/** ICMPv6 checksum over pseudo header and payload (RFC 8200, 8.1); 0 for a frame that has it right. */
function checksum(frame: Buffer): number {
  const payload = frame.subarray(54);
  let sum = payload.length + ICMPV6;
  for (let at = 22; at < 54; at += 2) sum += frame.readUInt16BE(at);
  for (let at = 0; at + 1 < payload.length; at += 2) sum += payload.readUInt16BE(at);
  if (payload.length % 2 === 1) sum += (payload.at(-1) ?? 0) << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

/** "Does anybody use `ip`?", asked without claiming it (RFC 4862, 5.4.2). */
export function neighbourProbe(mac: Uint8Array, ip: Uint8Array): Buffer {
  const group = solicitedNodeGroup(ip);
  return encode({
    mac,
    destinationMac: multicastMac(group),
    source: NOBODY,
    destination: group,
    type: NEIGHBOUR_SOLICITATION,
    flags: 0,
    target: ip,
    option: 0,
  });
}

/** "Who has `ip`?", asked by somebody with an address of his own. */
export function neighbourRequest(mac: Uint8Array, ownIp: Uint8Array, ip: Uint8Array): Buffer {
  const group = solicitedNodeGroup(ip);
  return encode({
    mac,
    destinationMac: multicastMac(group),
    source: ownIp,
    destination: group,
    type: NEIGHBOUR_SOLICITATION,
    flags: 0,
    target: ip,
    option: 1,
  });
}

/**
 * "`ip` is here now": unsolicited, with the override flag, to all nodes (RFC 4861, 7.2.6), or in a frame to one of them
 * (RFC 6085).
 */
export function neighbourAnnouncement(
  mac: Uint8Array,
  ip: Uint8Array,
  destinationMac: Uint8Array = multicastMac(ALL_NODES),
): Buffer {
  return encode({
    mac,
    destinationMac,
    source: ip,
    destination: ALL_NODES,
    type: NEIGHBOUR_ADVERTISEMENT,
    flags: FLAG_OVERRIDE,
    target: ip,
    option: 2,
  });
}

/** Answer to a solicitation from `asker`; used by tests that play another machine. */
export function neighbourAnswer(mac: Uint8Array, ip: Uint8Array, asker: Uint8Array): Buffer {
  const anonymous = asker.every((byte) => byte === 0);
  const destination = anonymous ? ALL_NODES : asker;
  return encode({
    mac,
    destinationMac: multicastMac(ALL_NODES),
    source: ip,
    destination,
    type: NEIGHBOUR_ADVERTISEMENT,
    flags: anonymous ? FLAG_OVERRIDE : FLAG_OVERRIDE | FLAG_SOLICITED,
    target: ip,
    option: 2,
  });
}

/** The message in a received frame (with its Ethernet header), or undefined. */
export function parseNeighbour(frame: Buffer): NeighbourMessage | undefined {
  if (frame.length < 78 || frame.readUInt16BE(12) !== IPV6_ETHERTYPE) return undefined;
  if (frame.readUInt8(20) !== ICMPV6 || frame.readUInt8(21) !== HOP_LIMIT) return undefined;
  const payloadBytes = frame.readUInt16BE(18);
  if (payloadBytes < 24 || 54 + payloadBytes > frame.length) return undefined;
  if (checksum(frame.subarray(0, 54 + payloadBytes)) !== 0) return undefined;
  const type = frame.readUInt8(54);
  if (type !== NEIGHBOUR_SOLICITATION && type !== NEIGHBOUR_ADVERTISEMENT) return undefined;
  return {
    type: type === NEIGHBOUR_SOLICITATION ? 'solicitation' : 'advertisement',
    sourceMac: Uint8Array.from(frame.subarray(6, 12)),
    sourceIp: Uint8Array.from(frame.subarray(22, 38)),
    target: Uint8Array.from(frame.subarray(62, 78)),
  };
}
