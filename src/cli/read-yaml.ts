import { readFileSync } from 'node:fs';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { parseYaml } from '../service/node-config.ts';

/** What a YAML file says; `-` is standard input. Errors: FILE_UNREADABLE, and those of parseYaml. */
export function readYaml(file: string): unknown {
  let text: string;
  try {
    text = readFileSync(file === '-' ? 0 : file, 'utf8');
  } catch (cause) {
    throw new UnderstudyError('FILE_UNREADABLE', `cannot read ${file}: ${messageOf(cause)}`, {
      cause,
    });
  }
  return parseYaml(text, file);
}

/** A group, or keys of one. Errors: as {@link readYaml}, GROUP_INVALID. */
export function readGroupFile(file: string): Record<string, unknown> {
  const value = readYaml(file);
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) {
    return value as Record<string, unknown>;
  }
  throw new UnderstudyError(
    'GROUP_INVALID',
    `${file} does not describe a group (keys: name, paths)`,
  );
}
