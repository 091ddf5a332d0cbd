// Every change that somebody asked this node for: who, what, from where, with which result. JSON lines, bounded:
// the present file and three older ones. Secrets are left out before anything is written.
import { z } from 'zod';
import { replaceFile } from '../../journal/replace-file.ts';
import { LineLog, linesOf } from '../line-log.ts';
import { withKeyHidden, withUsersHidden } from './hidden-secrets.ts';

const FILE_BYTES_MAX = 1024 * 1024;
const OLD_FILES = 3;
const TEXT_MAX = 2000;
/** `present` is the password that is being changed, `code` that of an authenticator. */
const SECRET_KEYS =
  /secret|passw|passphrase|token|key|authorization|cookie|community|^present$|^code$/i;

export const auditEntrySchema = z.object({
  /** ISO 8601. */
  at: z.string(),
  who: z.string(),
  role: z.string(),
  from: z.string(),
  /** `POST /api/v1/groups/shop/switchover`. */
  what: z.string(),
  /** What was sent, as JSON, without secrets, shortened. */
  input: z.string(),
  /** `done`, `started` (an operation that tells its end in another entry), or the code of the refusal. */
  result: z.string(),
  operation: z.string().nullable(),
});
export type AuditEntry = z.infer<typeof auditEntrySchema>;

export interface AuditedCall {
  readonly who: string;
  readonly role: string;
  readonly from: string;
  readonly what: string;
  readonly input: unknown;
  readonly result: string;
  readonly operation: string | null;
}

export class AuditLog {
  readonly #lines: LineLog;

  constructor(path: string) {
    this.#lines = new LineLog({ path, fileBytesMax: FILE_BYTES_MAX, oldFiles: OLD_FILES });
  }

  /** Entries that a full or failed disk has not taken. */
  get lost(): number {
    return this.#lines.lost;
  }

  add({ who, role, from, what, input, result, operation }: AuditedCall): void {
    const entry: AuditEntry = {
      at: new Date().toISOString(),
      who,
      role,
      from,
      what: what.slice(0, TEXT_MAX),
      input: withoutSecrets(input),
      result,
      operation,
    };
    this.#lines.add(entry);
  }

  /** The last `count` entries, newest first. */
  last(count: number): AuditEntry[] {
    const entries: AuditEntry[] = [];
    for (const path of this.#lines.files) {
      for (const line of linesOf(path).toReversed()) {
        if (entries.length >= count) return entries;
        const entry = parseLine(line);
        if (entry !== undefined) entries.push(entry);
      }
    }
    return entries;
  }

  /**
   * Leaves out of what is there already what counts as a secret by now: an earlier version knew fewer. Returns how many
   * entries had some. On a full or failed disk they stay, and the next start tries again.
   */
  clean(): number {
    const counts = this.#lines.files.map((path) => cleanFile(path));
    this.#lines.look();
    return counts.reduce((sum, count) => sum + count, 0);
  }
}

/** JSON of what was sent; values of keys that sound like secrets are replaced. */
export function withoutSecrets(input: unknown): string {
  if (input === undefined || input === null) return '';
  const text = JSON.stringify(input, (key, value: unknown) => {
    if (typeof value === 'string') return textWithoutSecrets(key, value);
    return typeof value === 'number' && SECRET_KEYS.test(key) ? '…' : value;
  });
  return text.length <= TEXT_MAX ? text : `${text.slice(0, TEXT_MAX)}…`;
}

function textWithoutSecrets(key: string, text: string): string {
  if (SECRET_KEYS.test(key)) return '…';
  return key === 'url' && URL.canParse(text) ? withKeyHidden(text) : withUsersHidden(text);
}

/** Lines that were torn are nobody's to read, and may have anything: they are left out with the secrets. */
function cleanFile(path: string): number {
  const entries = linesOf(path).map(parseLine);
  const cleaned = entries.map((entry) => (entry === undefined ? undefined : cleanEntry(entry)));
  const count = entries.filter((entry, index) => entry?.input !== cleaned[index]?.input).length;
  if (count === 0 && !entries.includes(undefined)) return 0;
  const kept = cleaned.filter((entry) => entry !== undefined);
  try {
    replaceFile(path, kept.map((entry) => `${JSON.stringify(entry)}\n`).join(''));
    return count;
  } catch {
    return 0;
  }
}

function cleanEntry(entry: AuditEntry): AuditEntry {
  if (entry.input === '') return entry;
  try {
    return { ...entry, input: withoutSecrets(JSON.parse(entry.input)) };
  } catch {
    // It was shortened: what is left of a secret at its end has no end either.
    const input = entry.input.replaceAll(
      /"([^"\\]*)":"(?:[^"\\]|\\.)*("|…?$)/g,
      (pair: string, key: string) => (SECRET_KEYS.test(key) ? `"${key}":"…"` : pair),
    );
    return { ...entry, input };
  }
}

/** A line torn by a power cut is left out. */
function parseLine(line: string): AuditEntry | undefined {
  try {
    return auditEntrySchema.safeParse(JSON.parse(line)).data;
  } catch {
    return undefined;
  }
}
