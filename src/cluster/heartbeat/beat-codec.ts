// What a heartbeat says about a group, as bytes. Pure; decoding bytes never throws.
//
// Version 2, 152 bytes, big-endian, all integers at most 2^53 - 1:
//    0  1  version                      40 16  alone: epoch, count
//    1  1  role                         56 16  alone seen: epoch, count
//    2  1  copy                         72 24  grant: epoch, life, sent at (64-bit float, ms)
//    3  1  flags                        96 24  offer: epoch, position
//    4  1  which of the optional parts are there (the others are 0)
//    5  3  0                           120  8  declined epoch
//    8  8  epoch                       128  8  demanded epoch
//   16 16  data: epoch, sequence
//   32  8  version of the pause mark      136  8  highest epoch known to have been tried
//                                         144  8  epoch that the sender served with last
//
// Version history
//  1  144 bytes, without the last part
//  2  served
import { assert } from '../../core/assert.ts';
import type {
  AloneMark,
  CopyState,
  Grant,
  GroupBeat,
  Offer,
  Position,
  Role,
} from '../machine/types.ts';

export const BEAT_VERSION = 2;
export const BEAT_BYTES = 152;

const ROLES: readonly Role[] = ['standby', 'promoting', 'primary', 'demoting'];
const COPIES: readonly CopyState[] = [
  'up-to-date',
  'catching-up',
  'syncing',
  'diverged',
  'failed',
  'halted',
];

const FLAG = {
  stale: 1,
  asks: 2,
  leaving: 4,
  diskFailed: 8,
  networkFailed: 16,
  applicationFailed: 32,
  paused: 64,
  fresh: 128,
} as const;

const PART = { alone: 1, aloneSeen: 2, grant: 4, offer: 8, declined: 16, demand: 32 } as const;
const PARTS_ALL = 63;

const AT = {
  epoch: 8,
  data: 16,
  pauseVersion: 32,
  alone: 40,
  aloneSeen: 56,
  grant: 72,
  offer: 96,
  declined: 120,
  demand: 128,
  tried: 136,
  served: 144,
} as const;
assert(AT.served + 8 === BEAT_BYTES, 'the parts of a heartbeat fill it');

const WORD = 0x1_0000_0000;

/** Writes an integer of at most 53 bits as 64 bits, without BigInt. */
export function writeInteger(bytes: Buffer, value: number, at: number): void {
  assert(Number.isSafeInteger(value) && value >= 0, 'a heartbeat carries safe integers');
  bytes.writeUInt32BE(Math.floor(value / WORD), at);
  bytes.writeUInt32BE(value % WORD, at + 4);
}

/** NaN when it does not fit into 53 bits. */
export function readInteger(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32BE(at) * WORD + bytes.readUInt32BE(at + 4);
  return Number.isSafeInteger(value) ? value : Number.NaN;
}

/** Writes `beat` into `bytes` at `offset`. */
export function encodeBeat(beat: GroupBeat, bytes: Buffer, offset: number): void {
  const out = bytes.subarray(offset, offset + BEAT_BYTES);
  out.fill(0);
  out[0] = BEAT_VERSION;
  out[1] = ROLES.indexOf(beat.role);
  out[2] = COPIES.indexOf(beat.copy);
  out[3] = flagsOf(beat);
  writeInteger(out, beat.epoch, AT.epoch);
  writeInteger(out, beat.tried, AT.tried);
  writeInteger(out, beat.served, AT.served);
  writePosition(out, beat.data, AT.data);
  writeInteger(out, beat.paused.version, AT.pauseVersion);
  out[4] = writeParts(out, beat);
}

function flagsOf(beat: GroupBeat): number {
  return (
    (beat.stale ? FLAG.stale : 0) |
    (beat.asks ? FLAG.asks : 0) |
    (beat.leaving ? FLAG.leaving : 0) |
    (beat.disk === 'failed' ? FLAG.diskFailed : 0) |
    (beat.network === 'failed' ? FLAG.networkFailed : 0) |
    (beat.application === 'failed' ? FLAG.applicationFailed : 0) |
    (beat.paused.on ? FLAG.paused : 0) |
    (beat.fresh ? FLAG.fresh : 0)
  );
}

function writeParts(out: Buffer, beat: GroupBeat): number {
  let parts = 0;
  if (beat.alone !== null) {
    parts |= PART.alone;
    writeMark(out, beat.alone, AT.alone);
  }
  if (beat.aloneSeen !== null) {
    parts |= PART.aloneSeen;
    writeMark(out, beat.aloneSeen, AT.aloneSeen);
  }
  if (beat.grant !== null) {
    parts |= PART.grant;
    writeInteger(out, beat.grant.epoch, AT.grant);
    writeInteger(out, beat.grant.life, AT.grant + 8);
    out.writeDoubleBE(beat.grant.sentAtMs, AT.grant + 16);
  }
  if (beat.offer !== null) {
    parts |= PART.offer;
    writeInteger(out, beat.offer.epoch, AT.offer);
    writePosition(out, beat.offer.position, AT.offer + 8);
  }
  if (beat.declined !== null) {
    parts |= PART.declined;
    writeInteger(out, beat.declined, AT.declined);
  }
  if (beat.demand !== null) {
    parts |= PART.demand;
    writeInteger(out, beat.demand, AT.demand);
  }
  return parts;
}

function writePosition(out: Buffer, position: Position, at: number): void {
  writeInteger(out, position.epoch, at);
  writeInteger(out, position.sequence, at + 8);
}

function writeMark(out: Buffer, mark: AloneMark, at: number): void {
  writeInteger(out, mark.epoch, at);
  writeInteger(out, mark.count, at + 8);
}

/** The heartbeat in `bytes` at `offset`, or undefined when they are not exactly one of this version. */
export function decodeBeat(bytes: Buffer, offset: number): GroupBeat | undefined {
  if (offset + BEAT_BYTES > bytes.length) return undefined;
  const from = bytes.subarray(offset, offset + BEAT_BYTES);
  const [version, roleIndex = 255, copyIndex = 255, flags = 0, parts = 255] = from;
  const role = ROLES[roleIndex];
  const copy = COPIES[copyIndex];
  if (version !== BEAT_VERSION || role === undefined || copy === undefined) return undefined;
  if (parts > PARTS_ALL || !integersFit(from)) return undefined;
  return {
    role,
    copy,
    epoch: readInteger(from, AT.epoch),
    tried: readInteger(from, AT.tried),
    served: readInteger(from, AT.served),
    data: readPosition(from, AT.data),
    stale: (flags & FLAG.stale) !== 0,
    fresh: (flags & FLAG.fresh) !== 0,
    asks: (flags & FLAG.asks) !== 0,
    leaving: (flags & FLAG.leaving) !== 0,
    disk: (flags & FLAG.diskFailed) === 0 ? 'ok' : 'failed',
    network: (flags & FLAG.networkFailed) === 0 ? 'ok' : 'failed',
    application: (flags & FLAG.applicationFailed) === 0 ? 'ok' : 'failed',
    paused: { on: (flags & FLAG.paused) !== 0, version: readInteger(from, AT.pauseVersion) },
    alone: (parts & PART.alone) === 0 ? null : readMark(from, AT.alone),
    aloneSeen: (parts & PART.aloneSeen) === 0 ? null : readMark(from, AT.aloneSeen),
    grant: (parts & PART.grant) === 0 ? null : readGrant(from),
    offer: (parts & PART.offer) === 0 ? null : readOffer(from),
    declined: (parts & PART.declined) === 0 ? null : readInteger(from, AT.declined),
    demand: (parts & PART.demand) === 0 ? null : readInteger(from, AT.demand),
  };
}

function integersFit(from: Buffer): boolean {
  for (let at = AT.epoch; at < BEAT_BYTES; at += 8) {
    const value = at === AT.grant + 16 ? from.readDoubleBE(at) : readInteger(from, at);
    if (!Number.isFinite(value) || value < 0) return false;
  }
  return true;
}

function readPosition(from: Buffer, at: number): Position {
  return { epoch: readInteger(from, at), sequence: readInteger(from, at + 8) };
}

function readMark(from: Buffer, at: number): AloneMark {
  return { epoch: readInteger(from, at), count: readInteger(from, at + 8) };
}

function readGrant(from: Buffer): Grant {
  return {
    epoch: readInteger(from, AT.grant),
    life: readInteger(from, AT.grant + 8),
    sentAtMs: from.readDoubleBE(AT.grant + 16),
  };
}

function readOffer(from: Buffer): Offer {
  return { epoch: readInteger(from, AT.offer), position: readPosition(from, AT.offer + 8) };
}
