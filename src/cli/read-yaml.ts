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
