// Small JSON files of the service, which are whole after a power cut (replace-file.ts).
import { mkdirSync, readFileSync, renameSync } from 'node:fs';
import { dirname } from 'node:path';
import type { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { replaceFile, syncDirectory } from '../journal/replace-file.ts';
import { describeFault } from '../core/strict-config.ts';

const FILE_BYTES_MAX = 4 * 1024 * 1024;

/** Creates a directory (mode 0700) with its parents and makes the name durable. */
export function makePrivateDirectory(path: string): void {
  const created = mkdirSync(path, { recursive: true, mode: 0o700 });
  try {
    syncDirectory(dirname(path));
  } catch (thrown) {
    // A service whose disk has failed starts all the same: it has a group to hand over.
    if (created !== undefined) throw thrown;
  }
}

/** Errors: STATE_IO. */
export function writeJsonDurably(path: string, value: unknown): void {
  replaceFile(path, `${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Reads and checks a JSON file of this service; `undefined` when it does not exist. `translate`: what another
 * version wrote becomes what this one knows. Errors: STATE_FILE_INVALID naming the file and the fault.
 */
export function readJsonFile<T>(
  path: string,
  schema: z.ZodType<T>,
  translate: (value: unknown) => unknown = (value) => value,
): T | undefined {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw invalidFile(path, messageOf(thrown), thrown);
  }
  if (text.length > FILE_BYTES_MAX) throw invalidFile(path, `it has ${text.length} characters`);
  let value: unknown;
  try {
    value = translate(JSON.parse(text));
  } catch (thrown) {
    throw invalidFile(path, messageOf(thrown), thrown);
  }
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw invalidFile(path, describeFault(schema, parsed.error), parsed.error);
}

/**
 * As {@link readJsonFile}, for what the service can do without: a file that is damaged is renamed (`.damaged`), and
 * `onDamaged` is told, so that a node serves its groups all the same. Without `onDamaged` it is an error.
 */
export function readOrPutAside<T>(
  path: string,
  schema: z.ZodType<T>,
  onDamaged: ((sentence: string) => void) | undefined,
): T | undefined {
  try {
    return readJsonFile(path, schema);
  } catch (thrown) {
    if (onDamaged === undefined) throw thrown;
    onDamaged(
      `${messageOf(thrown)}. It was renamed to ${path}.damaged, and the service goes on without it`,
    );
    try {
      renameSync(path, `${path}.damaged`);
    } catch {
      // A disk that has failed is told of by others.
    }
    return undefined;
  }
}

function invalidFile(path: string, why: string, cause?: unknown): UnderstudyError {
  return new UnderstudyError(
    'STATE_FILE_INVALID',
    `${path} cannot be used: ${why}. Restore it from a backup, or move it away to start without it`,
    { cause },
  );
}
