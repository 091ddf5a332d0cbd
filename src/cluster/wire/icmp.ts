// ICMP echo (RFC 792, RFC 4443) as messages, without the IP header around them. Pure.
//
//    0  1  type    1  1  code    2  2  checksum    4  2  identifier    6  2  sequence    8  8  token
const ECHO_BYTES = 16;
const TYPES = { 4: { request: 8, reply: 0 }, 6: { request: 128, reply: 129 } } as const;

export interface Echo {
  readonly identifier: number;
  readonly sequence: number;
  /** Eight bytes that only the asker knows. */
  readonly token: Uint8Array;
}

/** An echo request. For IPv6 the kernel fills in the checksum. */
export function encodeEcho(family: 4 | 6, echo: Echo): Buffer {
  const message = Buffer.alloc(ECHO_BYTES);
  message.writeUInt8(TYPES[family].request, 0);
  message.writeUInt16BE(echo.identifier, 4);
  message.writeUInt16BE(echo.sequence, 6);
  message.set(echo.token, 8);
  if (family === 4) message.writeUInt16BE(checksum(message), 2);
  return message;
}

/** What an echo reply answers, or undefined. IPv4 messages come with their IP header, IPv6 without. */
export function parseEchoReply(family: 4 | 6, received: Buffer): Echo | undefined {
  const at = family === 4 ? ((received[0] ?? 0) & 15) * 4 : 0;
  if (received.length < at + ECHO_BYTES) return undefined;
  const message = received.subarray(at, at + ECHO_BYTES);
  if (message[0] !== TYPES[family].reply || message[1] !== 0) return undefined;
  return {
    identifier: message.readUInt16BE(4),
    sequence: message.readUInt16BE(6),
    token: Uint8Array.from(message.subarray(8, 16)),
  };
}

/** Internet checksum (RFC 1071) of an even number of bytes. */
function checksum(message: Buffer): number {
  let sum = 0;
  for (let at = 0; at < message.length; at += 2) sum += message.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
