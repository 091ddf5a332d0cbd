// One path of a salvage as its report tells it.
import type { Attributes } from './own-object.ts';
import type { SalvageEntry } from './salvage-report.ts';

const MS = 1000;

export interface EntryInput extends Omit<SalvageEntry, 'path' | 'pathHex' | 'own' | 'other'> {
  /** Latin1. */
  readonly path: string;
  readonly own: Attributes;
  readonly other: Attributes | undefined;
}

export function describeEntry({ path, own, other, ...rest }: EntryInput): SalvageEntry {
  const bytes = Buffer.from(path === '' ? '.' : path, 'latin1');
  const text = bytes.toString('utf8');
  const isText = Buffer.from(text, 'utf8').equals(bytes);
  const named = isText ? { path: text } : { path: text, pathHex: bytes.toString('hex') };
  const seen = { own: tell(own), other: other === undefined ? null : tell(other) };
  return { ...named, ...rest, ...seen };
}

function tell({ mode, uid, gid, size, mtime }: Attributes): SalvageEntry['own'] {
  const at = new Date(mtime.sec * MS + mtime.nsec / 1e6);
  const modified = Number.isNaN(at.getTime()) ? '' : at.toISOString();
  return { mode: mode.toString(8), uid, gid, modified, size };
}
