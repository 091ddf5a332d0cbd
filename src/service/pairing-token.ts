// The pairing token: what `invite` prints and `join` takes. It tells the joining node where to go, which
// certificate to expect there, and a secret that proves the invitation.
//
//   'usy1.' ‖ base64url( expiry u32 BE ‖ port u16 BE ‖ fingerprint 32 ‖ secret 16 ‖ host ‖ crc32 u32 BE )
//
// The checksum only catches a token that was copied incompletely.
import { crc32 } from 'node:zlib';
import { UnderstudyError } from '../core/errors.ts';
import { hostSchema } from './node-config.ts';

const PREFIX = 'usy1.';
const FIXED_BYTES = 4 + 2 + 32 + 16;
const CHECKSUM_BYTES = 4;
const TEXT_LENGTH_MAX = 512;
export const SECRET_BYTES = 16;

export interface PairingToken {
  readonly host: string;
  readonly port: number;
  /** SHA-256 of the inviting node's certificate, hex. */
  readonly fingerprint: string;
  /** Hex. */
  readonly secret: string;
  /** Seconds since the Unix epoch. For people: the inviting node decides by its own clock. */
  readonly expiresSec: number;
}

export function encodeToken(token: PairingToken): string {
  const host = Buffer.from(token.host, 'latin1');
  const bytes = Buffer.alloc(FIXED_BYTES + host.length + CHECKSUM_BYTES);
  bytes.writeUInt32BE(token.expiresSec, 0);
  bytes.writeUInt16BE(token.port, 4);
  bytes.write(token.fingerprint, 6, 'hex');
  bytes.write(token.secret, 38, 'hex');
  host.copy(bytes, FIXED_BYTES);
  const end = bytes.length - CHECKSUM_BYTES;
  bytes.writeUInt32BE(crc32(bytes.subarray(0, end)), end);
  return PREFIX + bytes.toString('base64url');
}

/** Errors: TOKEN_MALFORMED. */
export function decodeToken(text: string): PairingToken {
  const trimmed = text.trim();
  if (!trimmed.startsWith(PREFIX) || trimmed.length > TEXT_LENGTH_MAX) throw malformed();
  const bytes = Buffer.from(trimmed.slice(PREFIX.length), 'base64url');
  const end = bytes.length - CHECKSUM_BYTES;
  if (end <= FIXED_BYTES || bytes.readUInt32BE(end) !== crc32(bytes.subarray(0, end))) {
    throw malformed();
  }
  const host = bytes.toString('latin1', FIXED_BYTES, end);
  const port = bytes.readUInt16BE(4);
  if (!hostSchema.safeParse(host).success || port === 0) throw malformed();
  return {
    host,
    port,
    fingerprint: bytes.toString('hex', 6, 38),
    secret: bytes.toString('hex', 38, FIXED_BYTES),
    expiresSec: bytes.readUInt32BE(0),
  };
}

function malformed(): UnderstudyError {
  return new UnderstudyError(
    'TOKEN_MALFORMED',
    'this is not a complete pairing token: copy the whole line that "understudy invite" printed on the other node',
  );
}
