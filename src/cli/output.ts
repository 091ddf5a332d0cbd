// How results reach people and programs: text or one JSON value on standard output, errors on
// standard error, and the exit code: 0 done, 1 failed, 2 written wrongly.
import { InvalidArgumentError } from 'commander';
import { asNotRoot, UnderstudyError, isWrittenWrongly, messageOf } from '../core/errors.ts';

export const exitCode = { done: 0, failed: 1, usage: 2 } as const;

/** Prints `value` as JSON, or what `text` makes of it for people. */
export function print<T>(json: boolean, value: T, text: (value: T) => string): void {
  const output = json ? JSON.stringify(value, null, 2) : printableLines(text(value));
  if (output !== '') console.log(output);
}

/** Says what did not go as it should, of something that was done. */
export function warn(json: boolean, warnings: readonly string[]): void {
  if (json) return;
  for (const warning of warnings) console.error(`warning: ${printable(warning)}`);
}

/** For options that are a number. */
export function parseNumber(text: string): number {
  const value = text.trim() === '' ? Number.NaN : Number(text);
  if (Number.isFinite(value)) return value;
  throw new InvalidArgumentError('It is a number.');
}

/** Prints an error the way the caller asked for, and sets the exit code. */
export function fail(json: boolean, failure: unknown): void {
  const thrown = failure instanceof UnderstudyError ? failure : (asNotRoot(failure) ?? failure);
  const isKnown = thrown instanceof UnderstudyError;
  if (json) {
    const error = isKnown ? thrown.serialize() : { code: 'INTERNAL', message: messageOf(thrown) };
    console.log(JSON.stringify({ error }, null, 2));
  } else if (isKnown) {
    console.error(`understudy: ${printable(thrown.message)} [${thrown.code}]`);
  } else {
    console.error('understudy: unexpected failure:', thrown);
  }
  const isUsage = isKnown && (isWrittenWrongly(thrown.code) || thrown.code === 'ADDRESS_NEEDED');
  process.exitCode = isUsage ? exitCode.usage : exitCode.failed;
}

/**
 * A name, or what an application said, may have anything in it: a terminal must not take it for a command, nor may it look like another
 * line or turn the direction of writing.
 */
export function printable(text: string): string {
  // eslint-disable-next-line no-control-regex
  return text.replaceAll(/[\u0000-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/g, '?');
}

function printableLines(text: string): string {
  return text.split('\n').map(printable).join('\n');
}

/** Columns padded to their widest cell; the first row is the heading. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths: number[] = [];
  for (const row of rows) {
    row.forEach((cell, column) => {
      widths[column] = Math.max(widths[column] ?? 0, cell.length);
    });
  }
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n');
}
