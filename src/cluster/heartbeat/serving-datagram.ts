// "Do you serve this group?" and "I do", between the nodes, over a virtual address. Pure; bytes from the
// network are answered with undefined, never with an exception.
//
// Version 1, 80 bytes, big-endian:
//    0  4  "USHQ"           8 16  group             32 16  nonce of the question
//    4  1  version         24  8  sender: node id   48 32  HMAC-SHA-256 of everything before
//    5  1  kind: 1 question, 2 answer
//    6  2  0
import { createHmac, timingSafeEqual } from 'node:crypto';
import { assert } from '../../core/assert.ts';
import { nodeId, type NodeId } from '../../core/ids.ts';

export const SERVING_BYTES = 80;
const SERVING_VERSION = 1;
const MAGIC = 0x5553_4851;
const KINDS = { question: 1, answer: 2 } as const;
const NONCE_AT = 32;
const TAG_AT = 48;
assert(TAG_AT + 32 === SERVING_BYTES, 'a question is 80 bytes');

export interface ServingDatagram {
  readonly kind: keyof typeof KINDS;
  /** 32 hex digits. */
  readonly groupId: string;
  readonly sender: NodeId;
  /** 32 hex digits. */
  readonly nonce: string;
}

export function encodeServing(datagram: ServingDatagram, key: Uint8Array): Buffer {
  const bytes = Buffer.alloc(SERVING_BYTES);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt8(SERVING_VERSION, 4);
  bytes.writeUInt8(KINDS[datagram.kind], 5);
  bytes.write(datagram.groupId, 8, 16, 'hex');
  bytes.write(datagram.sender, 24, 8, 'hex');
  bytes.write(datagram.nonce, NONCE_AT, 16, 'hex');
  tagOf(bytes, key).copy(bytes, TAG_AT);
  return bytes;
}

/** What `bytes` say, if they come from the holder of `key`. */
export function decodeServing(bytes: Buffer, key: Uint8Array): ServingDatagram | undefined {
  if (bytes.length !== SERVING_BYTES || bytes.readUInt32BE(0) !== MAGIC) return undefined;
  if (bytes.readUInt8(4) !== SERVING_VERSION) return undefined;
  if (!timingSafeEqual(tagOf(bytes, key), bytes.subarray(TAG_AT))) return undefined;
  const code = bytes.readUInt8(5);
  if (code !== KINDS.question && code !== KINDS.answer) return undefined;
  return {
    kind: code === KINDS.question ? 'question' : 'answer',
    groupId: bytes.toString('hex', 8, 24),
    sender: nodeId(bytes.toString('hex', 24, 32)),
    nonce: bytes.toString('hex', NONCE_AT, TAG_AT),
  };
}

function tagOf(bytes: Buffer, key: Uint8Array): Buffer {
  return createHmac('sha256', key).update(bytes.subarray(0, TAG_AT)).digest();
}
