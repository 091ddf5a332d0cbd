// Completion for zsh, with descriptions.
import { type CompletedCommand, quoted, scriptPart } from './tree.ts';
import { walkFunctions } from './walk.ts';

export function zshScript(commands: readonly CompletedCommand[]): string {
  const words = commands.map(({ path, commands: below, options }) => {
    return `    ${quoted(path)})
      understudy_commands=(${described(below)})
      understudy_options=(${described(options)}) ;;`;
  });
  return `#compdef understudy
# zsh completion for understudy. In use at once:  source <(understudy completion zsh)
# For good:  understudy completion zsh > /usr/local/share/zsh/site-functions/_understudy

${walkFunctions(commands)}

_understudy_words() {
  understudy_commands=() understudy_options=()
  case $1 in
${words.join('\n')}
  esac
}

${scriptPart('main.zsh')}`;
}

function described(
  all: readonly { readonly name: string; readonly description: string }[],
): string {
  return all.map(({ name, description }) => quoted(`${name}:${description}`)).join(' ');
}
