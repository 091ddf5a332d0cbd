// Small state files: one JSON object in a line, with a checksum of itself as its last field. A flipped bit
// would often be another number, and nothing else would say so.
import { crc32 } from 'node:zlib';

/** The text of a file. */
export function encodeChecked(value: object): string {
  const text = JSON.stringify(value);
  return `${text.slice(0, -1)},"check":"${checksumOf(text)}"}\n`;
}

/** The object in a file; one that was written before there was a checksum has none. Throws what is wrong with it. */
export function decodeChecked(text: string): unknown {
  const [, body, check] = /^(.*),"check":"([0-9a-f]{8})"\}\n$/.exec(text) ?? [];
  if (body === undefined) return JSON.parse(text);
  if (checksumOf(`${body}}`) !== check) throw new Error('its checksum is wrong');
  return JSON.parse(`${body}}`);
}

const checksumOf = (text: string): string => crc32(text).toString(16).padStart(8, '0');
