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

const textOf = (name: string): string => JSON.stringify(Buffer.from(name, 'latin1').toString());

/** The alarm as a sentence; names as far as they are text. */
export function describeAlarm({ count, examples, ending }: RewriteAlarm): string {
  const some = examples.map(textOf).join(', ');
  if (ending !== undefined) {
    return `${count} files were renamed to end in ${textOf(ending)} (${some}, …)`;
  }
  return `the contents of ${count} files were replaced by what looks encrypted (${some}, …)`;
}
