// The tables of a script for bash or zsh, as functions that put their answer into REPLY: both read the same language here.
import { type CompletedCommand, kindText, quoted, scriptPart } from './tree.ts';

/** A function that looks its parameter up; what is not there leaves REPLY empty. */
function lookup(name: string, rows: readonly (readonly [string, string])[]): string {
  const cases = rows.map(([key, value]) => `    ${quoted(key)}) REPLY=${quoted(value)} ;;`);
  return [`${name}() {`, "  REPLY=''", '  case $1 in', ...cases, '  esac', '}'].join('\n');
}

/**
 * `_understudy_is_command PATH`: `yes`, if there is such a command; `_understudy_option_kind "PATH OPTION"` and
 * `_understudy_argument_kind "PATH INDEX"`: what comes there, see kindText; and `_understudy_walk`.
 */
export function walkFunctions(commands: readonly CompletedCommand[]): string {
  const known = commands.filter(({ path }) => path !== '');
  const options = commands.flatMap(({ path, options: own }) =>
    own.flatMap(({ name, value }): [string, string][] =>
      value === null ? [] : [[`${path} ${name}`, kindText(value)]],
    ),
  );
  const parameters = commands.flatMap(({ path, arguments: own }) =>
    own.map((value, index): [string, string] => [`${path} ${index}`, kindText(value)]),
  );
  return [
    lookup(
      '_understudy_is_command',
      known.map(({ path }) => [path, 'yes']),
    ),
    lookup('_understudy_option_kind', options),
    lookup('_understudy_argument_kind', parameters),
    scriptPart('walk.sh'),
  ].join('\n\n');
}
