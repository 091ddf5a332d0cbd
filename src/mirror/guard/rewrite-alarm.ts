// What the ransomware guard reports, and when.

export interface RewriteLimits {
  /** Spoilt files within the window. */
  readonly files: number;
  /** Names that got the same new ending within the window. */
  readonly names: number;
  readonly windowMs: number;
}

export const REWRITE_LIMITS: RewriteLimits = { files: 25, names: 50, windowMs: 300_000 };

export interface RewriteAlarm {
  /** Wall clock of the primary when the first of them was spoilt. */
  readonly sinceMs: number;
  /** Record before the first of them. */
  readonly sequence: number;
  readonly count: number;
  /** Some of the paths, latin1. */
  readonly examples: readonly string[];
  /** The ending; undefined: contents were spoilt. */
  readonly ending: string | undefined;
}

/** Of a longer path its end is told. */
const SHOWN_MAX = 200;

function textOf(name: string): string {
  const text = Buffer.from(name, 'latin1').toString();
  return JSON.stringify(text.length > SHOWN_MAX ? `…${text.slice(-SHOWN_MAX)}` : text);
}

/** The alarm as a sentence; names as far as they are text. */
export function describeAlarm({ count, examples, ending }: RewriteAlarm): string {
  const some = examples.map(textOf).join(', ');
  if (ending !== undefined) {
    return `${count} files were renamed to end in ${textOf(ending)} (${some}, …)`;
  }
  return `the contents of ${count} files were replaced by what looks encrypted (${some}, …)`;
}
