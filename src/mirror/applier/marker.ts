// The marker says how far changes of names have come in one protected directory.
//
// Changes of names reach a journalling file system's disk in their order; contents do not. So before
// each change of names the applier notes in an extended attribute of the protected directory's root
// which record it is about to apply. After a crash: every change of names before the marked record
// is on the disk; the marked one is or is not, which the inode numbers tell; later ones are not.
//
//  offset size
//   0     4    version (1)
//   4     4    epoch of the record
//   8     8    sequence of the record
//  16     8    inode of the object at `path` before it (0: none)
//  24     8    inode of the object at `path2` before it (0: none)
//  32     8    floor: records up to this one are on the disk with all their effects
import { readU53, writeU53 } from '../../journal/record.ts';
import { errno } from '../../linux/constants.ts';
import { addressOf, cstring, sys } from '../../linux/libc.ts';

export const MARKER_XATTR = 'trusted.understudy.apply';
const MARKER_BYTES = 40;
const MARKER_VERSION = 1;
const NAME = cstring(MARKER_XATTR);

/** A change of names about to be made. */
export interface Change {
  readonly epoch: number;
  readonly sequence: number;
  readonly sourceIno: number;
  readonly targetIno: number;
}

/** The change that was marked last, and how far nothing needs to be made again. */
export interface Marker extends Change {
  readonly floor: number;
}

/** Writes markers on one directory; allocates nothing per marker. */
export class MarkerWriter {
  readonly #fd: number;
  readonly #bytes = new Uint8Array(new ArrayBuffer(MARKER_BYTES));
  readonly #view = new DataView(this.#bytes.buffer);
  readonly #address = addressOf(this.#bytes);

  constructor(fd: number) {
    this.#fd = fd;
    this.#view.setUint32(0, MARKER_VERSION, true);
  }

  /** Returns 0 or a negative errno. */
  write(marker: Marker): number {
    this.#view.setUint32(4, marker.epoch, true);
    writeU53(this.#view, 8, marker.sequence);
    writeU53(this.#view, 16, marker.sourceIno);
    writeU53(this.#view, 24, marker.targetIno);
    writeU53(this.#view, 32, marker.floor);
    return sys.fsetxattr(this.#fd, NAME, this.#address, MARKER_BYTES, 0);
  }
}

/** The marker on the open directory; undefined when there is none (or not one of ours); or an errno. */
export function readMarker(fd: number): Marker | undefined | number {
  const bytes = Buffer.alloc(MARKER_BYTES);
  const length = sys.fgetxattr(fd, NAME, bytes, bytes.length);
  if (length === -errno.ENODATA || length === -errno.EOPNOTSUPP) return undefined;
  if (length < 0) return length;
  if (length !== MARKER_BYTES || bytes.readUInt32LE(0) !== MARKER_VERSION) return undefined;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  return {
    epoch: bytes.readUInt32LE(4),
    sequence: readU53(view, 8),
    sourceIno: readU53(view, 16),
    targetIno: readU53(view, 24),
    floor: readU53(view, 32),
  };
}

/** Takes the marker away: the directory is no copy any more. Returns 0 or a negative errno. */
export function removeMarker(fd: number): number {
  const result = sys.fremovexattr(fd, NAME);
  return result === -errno.ENODATA || result === -errno.EOPNOTSUPP ? 0 : result;
}
