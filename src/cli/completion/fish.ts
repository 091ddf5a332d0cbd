// Completion for fish, with descriptions: each line offers something where a command line leads to one certain command.
import { type CompletedCommand, scriptPart, type ValueKind } from './tree.ts';

export function fishScript(commands: readonly CompletedCommand[]): string {
  const valued = commands.flatMap(({ path, options }) =>
    options.flatMap(({ name, value }) => (value === null ? [] : [quote(`${path} ${name}`)])),
  );
  const known = commands.filter(({ path }) => path !== '').map(({ path }) => quote(path));
  return `# fish completion for understudy. In use at once:  understudy completion fish | source
# For good:  understudy completion fish > ~/.config/fish/completions/understudy.fish

set -g __understudy_known ${known.join(' ')}
# Options that take a value, with the command that they belong to.
set -g __understudy_valued ${valued.join(' ')}

${scriptPart('main.fish')}
${commands.flatMap(linesOf).join('\n')}
`;
}

function linesOf({ path, commands, options, arguments: parameters }: CompletedCommand): string[] {
  const at = (count: number): string =>
    `-n ${quote(`__understudy_at ${quote(`${path}/${count}`)}`)}`;
  const within = `-n ${quote(`__understudy_in ${quote(path)}`)}`;
  return [
    ...commands.map(
      ({ name, description }) => `${at(0)} -a ${quote(name)} -d ${quote(description)}`,
    ),
    ...options.map(({ name, description, value }) => {
      const takes = value === null ? '' : ` ${value.kind === 'file' ? '-r' : '-x'} ${offer(value)}`;
      return `${within} -l ${name.replace(/^--/, '')} -d ${quote(description)}${takes}`;
    }),
    ...parameters.flatMap((value, index) =>
      value.kind === 'none' ? [] : [`${at(index)} ${offer(value)}`],
    ),
  ].map((line) => `complete -c understudy ${line.trimEnd()}`);
}

function offer(value: ValueKind): string {
  switch (value.kind) {
    case 'group':
    case 'node':
      return `-a '(__understudy_names ${value.kind}s)'`;
    case 'words':
      return `-a ${quote(value.words.join(' '))}`;
    case 'file':
      return '-F';
    case 'directory':
      return "-a '(__fish_complete_directories)'";
    case 'none':
      return '';
  }
}

/** In single quotes, in which fish knows two escapes. */
function quote(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", String.raw`\'`)}'`;
}
