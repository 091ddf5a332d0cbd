// What a piece of a file looks like: text and the like, a known format, or nothing but noise, as
// encrypted data does. Compressed data is noise too, but says at its beginning what it is.

/** `plain`: real content, of low entropy. `format`: begins as a known format. `noise`: neither. */
export type Kind = 'plain' | 'format' | 'noise' | 'unclear';

/** Less cannot be told from noise. */
export const SAMPLE_BYTES_MIN = 256;
export const SAMPLE_BYTES = 1024;
const FORMAT_BYTES_MIN = 4;
/** Bits per byte. Below: zeros, holes. */
const CONTENT_BITS_MIN = 0.7;
const PLAIN_BITS_MAX = 6.3;

const counts = new Uint16Array(256);

/** Shannon entropy of up to SAMPLE_BYTES bytes from `from` on, in bits per byte. */
export function entropyBits(bytes: Uint8Array, from: number, length: number): number {
  const size = Math.min(length, SAMPLE_BYTES);
  counts.fill(0);
  for (let at = from; at < from + size; at += 1) {
    const byte = bytes[at] ?? 0;
    counts[byte] = (counts[byte] ?? 0) + 1;
  }
  let sum = 0;
  for (let byte = 0; byte < 256; byte += 1) {
    const count = counts[byte] ?? 0;
    if (count > 0) sum += count * Math.log2(count);
  }
  return size === 0 ? 0 : Math.log2(size) - sum / size;
}

/** What random bytes reach nearly always: their measured entropy grows with the size of the sample. */
function noiseBitsMin(length: number): number {
  if (length >= SAMPLE_BYTES) return 7.6;
  return length >= 512 ? 7.35 : 6.85;
}

/** Beginnings of formats whose contents are noise, or whose loss is worth noticing. */
const MAGICS: readonly string[] = [
  'PK\x03\x04',
  'PK\x05\x06',
  '%PDF',
  '\xff\xd8\xff',
  '\x89PNG',
  'GIF8',
  '\x1f\x8b',
  'BZh',
  '\xfd7zXZ',
  '\x28\xb5\x2f\xfd',
  '\x04\x22\x4d\x18',
  '7z\xbc\xaf',
  'Rar!',
  'RIFF',
  'OggS',
  'ID3',
  'fLaC',
  '\x1aE\xdf\xa3',
  'II*\0',
  'MM\0*',
  '\xd0\xcf\x11\xe0',
  'SQLite format',
  '\x7fELF',
  'PACK',
  'DIRC',
];

/** Judges `length` bytes from `from` on; `isStart`: they are the beginning of the file. */
export function kindOf(bytes: Uint8Array, from: number, length: number, isStart: boolean): Kind {
  if (isStart && length >= FORMAT_BYTES_MIN && hasFormat(bytes, from)) return 'format';
  if (length < SAMPLE_BYTES_MIN) return 'unclear';
  const bits = entropyBits(bytes, from, length);
  if (bits >= noiseBitsMin(Math.min(length, SAMPLE_BYTES))) return 'noise';
  return bits >= CONTENT_BITS_MIN && bits <= PLAIN_BITS_MAX ? 'plain' : 'unclear';
}

function hasFormat(bytes: Uint8Array, from: number): boolean {
  if (MAGICS.some((magic) => startsWith(bytes, from, magic))) return true;
  // ISO media: the size of the first box comes before its name.
  return startsWith(bytes, from + 4, 'ftyp');
}

function startsWith(bytes: Uint8Array, from: number, magic: string): boolean {
  for (let at = 0; at < magic.length; at += 1) {
    if (bytes[from + at] !== magic.charCodeAt(at)) return false;
  }
  return true;
}
