// What both stand-ins for servers of TDS need: packets and tokens.
import type { Socket } from 'node:net';
import { onBytes } from './serve.ts';

const HEADER_BYTES = 8;
const REPLY = 4;
const LAST = 1;

/** Calls `take` with the type and data of each message. */
export function onTdsMessage(socket: Socket, take: (type: number, data: Buffer) => void): void {
  let parts: Buffer[] = [];
  onBytes(socket, (bytes) => {
    if (bytes.length < HEADER_BYTES) return 0;
    const length = bytes.readUInt16BE(2);
    if (bytes.length < length) return 0;
    parts.push(bytes.subarray(HEADER_BYTES, length));
    if ((bytes.readUInt8(1) & LAST) !== 0) {
      take(bytes.readUInt8(0), Buffer.concat(parts));
      parts = [];
    }
    return length;
  });
}

export function tdsReply(socket: Socket, ...tokens: readonly Buffer[]): void {
  const data = Buffer.concat(tokens);
  const header = Buffer.alloc(HEADER_BYTES);
  header.writeUInt8(REPLY, 0);
  header.writeUInt8(LAST, 1);
  header.writeUInt16BE(data.length + HEADER_BYTES, 2);
  header.writeUInt8(1, 6);
  socket.write(Buffer.concat([header, data]));
}

export function u16(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16LE(value);
  return bytes;
}

export function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value);
  return bytes;
}

/** A token with its length in two bytes. */
export function token(code: number, ...parts: readonly Buffer[]): Buffer {
  const body = Buffer.concat(parts);
  return Buffer.concat([Buffer.from([code]), u16(body.length), body]);
}
