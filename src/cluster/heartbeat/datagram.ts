// One heartbeat datagram. Pure; bytes from the network are answered with a fault, never with an
// exception, and nothing in them is looked at before their authenticity is proven.
//
// Version 2, 272 bytes, big-endian:
//    0  4  "USHB"
//    4  1  version                 5  3  0
//    8 16  group
//   24  8  sender: node id
//   32  8  life: number of the sender's start for this group; grows
//   40  8  sequence: number of the heartbeat within the life, the same on all networks
//   48  8  sent at: the sender's clock (64-bit float, ms)
//   56  8  heard life: of the receiver, as the sender knows it; 0: none yet
//   64  8  heard at: newest `sent at` of that life that reached the sender on any network
//   72  8  echo: newest `sent at` of that life that reached the sender on this network; 0: none
//   80  4  echo age: microseconds since then
//   84  4  tag of the network: a datagram moved to another network is refused
//   88 152 heartbeat of the group (beat-codec.ts)
//  240 32  HMAC-SHA-256 of everything before
import {
  createHash,
  createHmac,
  createSecretKey,
  type KeyObject,
  timingSafeEqual,
} from 'node:crypto';
import { assert } from '../../core/assert.ts';
import { nodeId, type NodeId } from '../../core/ids.ts';
import type { GroupBeat } from '../machine/types.ts';
import { BEAT_BYTES, decodeBeat, encodeBeat, readInteger, writeInteger } from './beat-codec.ts';

export const DATAGRAM_VERSION = 2;
export const DATAGRAM_BYTES = 272;
const MAGIC = 0x5553_4842;
const HEADER_BYTES = 88;
const TAG_BYTES = 32;
assert(HEADER_BYTES + BEAT_BYTES + TAG_BYTES === DATAGRAM_BYTES, 'a datagram is 272 bytes');

const AT = {
  version: 4,
  group: 8,
  sender: 24,
  life: 32,
  sequence: 40,
  sentAtMs: 48,
  heardLife: 56,
  heardAtMs: 64,
  echoMs: 72,
  echoAgeUs: 80,
  pathTag: 84,
} as const;

export interface Datagram {
  /** 32 hex digits. */
  readonly groupId: string;
  readonly sender: NodeId;
  readonly life: number;
  readonly sequence: number;
  readonly sentAtMs: number;
  /** 0: the sender has heard no life of the receiver yet, and the next three mean nothing. */
  readonly heardLife: number;
  readonly heardAtMs: number;
  readonly echoMs: number;
  readonly echoAgeUs: number;
  readonly pathTag: number;
  readonly beat: GroupBeat;
}

/** Why bytes are not a heartbeat. Counted, never answered. */
export type DatagramFault = 'length' | 'magic' | 'version' | 'forged' | 'content';

/** Allocates one buffer; the sender writes each network's copy into it anew. */
export function encodeDatagram(datagram: Datagram, key: Uint8Array): Buffer {
  const bytes = Buffer.alloc(DATAGRAM_BYTES);
  bytes.writeUInt32BE(MAGIC, 0);
  bytes.writeUInt8(DATAGRAM_VERSION, AT.version);
  bytes.write(datagram.groupId, AT.group, 16, 'hex');
  bytes.write(datagram.sender, AT.sender, 8, 'hex');
  writeInteger(bytes, datagram.life, AT.life);
  writeInteger(bytes, datagram.sequence, AT.sequence);
  bytes.writeDoubleBE(datagram.sentAtMs, AT.sentAtMs);
  writeInteger(bytes, datagram.heardLife, AT.heardLife);
  bytes.writeDoubleBE(datagram.heardAtMs, AT.heardAtMs);
  bytes.writeDoubleBE(datagram.echoMs, AT.echoMs);
  bytes.writeUInt32BE(Math.min(0xffff_ffff, Math.max(0, datagram.echoAgeUs >>> 0)), AT.echoAgeUs);
  bytes.writeUInt32BE(datagram.pathTag, AT.pathTag);
  encodeBeat(datagram.beat, bytes, HEADER_BYTES);
  tagOf(bytes, key).copy(bytes, DATAGRAM_BYTES - TAG_BYTES);
  return bytes;
}

/** The datagram in `bytes`, proven to come from the holder of `key`, or what is wrong with it. */
export function decodeDatagram(bytes: Buffer, key: Uint8Array): Datagram | DatagramFault {
  if (bytes.length !== DATAGRAM_BYTES) return 'length';
  if (bytes.readUInt32BE(0) !== MAGIC) return 'magic';
  if (bytes.readUInt8(AT.version) !== DATAGRAM_VERSION) return 'version';
  const tag = bytes.subarray(DATAGRAM_BYTES - TAG_BYTES);
  if (!timingSafeEqual(tagOf(bytes, key), tag)) return 'forged';
  const beat = decodeBeat(bytes, HEADER_BYTES);
  if (beat === undefined) return 'content';
  const datagram: Datagram = {
    groupId: bytes.toString('hex', AT.group, AT.group + 16),
    sender: nodeId(bytes.toString('hex', AT.sender, AT.sender + 8)),
    life: readInteger(bytes, AT.life),
    sequence: readInteger(bytes, AT.sequence),
    sentAtMs: bytes.readDoubleBE(AT.sentAtMs),
    heardLife: readInteger(bytes, AT.heardLife),
    heardAtMs: bytes.readDoubleBE(AT.heardAtMs),
    echoMs: bytes.readDoubleBE(AT.echoMs),
    echoAgeUs: bytes.readUInt32BE(AT.echoAgeUs),
    pathTag: bytes.readUInt32BE(AT.pathTag),
    beat,
  };
  const { life, sequence, sentAtMs, heardLife, heardAtMs, echoMs } = datagram;
  const numbers = [life, sequence, sentAtMs, heardLife, heardAtMs, echoMs];
  return numbers.every((value) => Number.isFinite(value) && value >= 0) ? datagram : 'content';
}

/** Node looks at a key that is mere bytes by making an error and catching it: a tenth of this thread's time. */
const keyObjects = new WeakMap<Uint8Array, KeyObject>();

function keyObjectOf(key: Uint8Array): KeyObject {
  let object = keyObjects.get(key);
  if (object === undefined) {
    object = createSecretKey(key);
    keyObjects.set(key, object);
  }
  return object;
}

function tagOf(bytes: Buffer, key: Uint8Array): Buffer {
  return createHmac('sha256', keyObjectOf(key))
    .update(bytes.subarray(0, DATAGRAM_BYTES - TAG_BYTES))
    .digest();
}

/** Both ends derive the same tag from what names their network: its name, or its two addresses. */
export function pathTagOf(identity: string): number {
  return createHash('sha256').update(identity).digest().readUInt32BE(0);
}
