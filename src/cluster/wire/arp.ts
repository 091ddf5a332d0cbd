// ARP over Ethernet (RFC 826, RFC 5227), as frames. Pure; parsing returns undefined for anything that
// is not exactly such a frame.
//
//    0  6  destination        14  2  hardware type 1      22  6  sender MAC
//    6  6  source             16  2  protocol 0x0800      28  4  sender IP
//   12  2  0x0806             18  2  lengths 6, 4         32  6  target MAC
//                             20  2  1 request, 2 reply   38  4  target IP
export const ARP_ETHERTYPE = 0x0806;
export const ARP_FRAME_BYTES = 42;
const BROADCAST = new Uint8Array(6).fill(255);
const REQUEST = 1;
const REPLY = 2;

export interface ArpPacket {
  readonly operation: 'request' | 'reply';
  readonly senderMac: Uint8Array;
  readonly senderIp: Uint8Array;
  readonly targetMac: Uint8Array;
  readonly targetIp: Uint8Array;
}

/** A frame with `packet`, from its sender, to `destination` (default: everybody). */
export function encodeArp(packet: ArpPacket, destination: Uint8Array = BROADCAST): Buffer {
  const frame = Buffer.alloc(ARP_FRAME_BYTES);
  frame.set(destination, 0);
  frame.set(packet.senderMac, 6);
  frame.writeUInt16BE(ARP_ETHERTYPE, 12);
  frame.writeUInt16BE(1, 14);
  frame.writeUInt16BE(0x0800, 16);
  frame.writeUInt16BE(0x0604, 18);
  frame.writeUInt16BE(packet.operation === 'request' ? REQUEST : REPLY, 20);
  frame.set(packet.senderMac, 22);
  frame.set(packet.senderIp, 28);
  frame.set(packet.targetMac, 32);
  frame.set(packet.targetIp, 38);
  return frame;
}

/** The packet in a received frame (with its Ethernet header), or undefined. */
export function parseArp(frame: Buffer): ArpPacket | undefined {
  if (frame.length < ARP_FRAME_BYTES) return undefined;
  if (frame.readUInt16BE(12) !== ARP_ETHERTYPE) return undefined;
  if (frame.readUInt32BE(14) !== 0x0001_0800 || frame.readUInt16BE(18) !== 0x0604) return undefined;
  const operation = frame.readUInt16BE(20);
  if (operation !== REQUEST && operation !== REPLY) return undefined;
  return {
    operation: operation === REQUEST ? 'request' : 'reply',
    senderMac: Uint8Array.from(frame.subarray(22, 28)),
    senderIp: Uint8Array.from(frame.subarray(28, 32)),
    targetMac: Uint8Array.from(frame.subarray(32, 38)),
    targetIp: Uint8Array.from(frame.subarray(38, 42)),
  };
}

const NOBODY = new Uint8Array(4);
const UNKNOWN_MAC = new Uint8Array(6);

/** "Does anybody use `ip`?", asked without claiming it (RFC 5227, 2.1.1). */
export function arpProbe(mac: Uint8Array, ip: Uint8Array): Buffer {
  return encodeArp({
    operation: 'request',
    senderMac: mac,
    senderIp: NOBODY,
    targetMac: UNKNOWN_MAC,
    targetIp: ip,
  });
}

/** "Who has `ip`?", asked by somebody with an address of his own. */
export function arpRequest(mac: Uint8Array, ownIp: Uint8Array, ip: Uint8Array): Buffer {
  return encodeArp({
    operation: 'request',
    senderMac: mac,
    senderIp: ownIp,
    targetMac: UNKNOWN_MAC,
    targetIp: ip,
  });
}

/**
 * "`ip` is here now", as request (RFC 5227, 2.3) and as reply: there are hosts that renew their
 * caches by only one of the two. `destination`: default everybody.
 */
export function arpAnnouncement(
  mac: Uint8Array,
  ip: Uint8Array,
  destination: Uint8Array = BROADCAST,
): readonly [Buffer, Buffer] {
  const claim = { senderMac: mac, senderIp: ip, targetIp: ip };
  return [
    encodeArp({ ...claim, operation: 'request', targetMac: UNKNOWN_MAC }, destination),
    encodeArp({ ...claim, operation: 'reply', targetMac: BROADCAST }, destination),
  ];
}
