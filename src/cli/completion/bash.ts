// Completion for bash 4.1 or later; the package bash-completion is not needed.
import { type CompletedCommand, quoted, scriptPart } from './tree.ts';
import { walkFunctions } from './walk.ts';

export function bashScript(commands: readonly CompletedCommand[]): string {
  const words = commands.map(({ path, commands: below, options }) => {
    return `    ${quoted(path)}) understudy_commands=${names(below)} understudy_options=${names(options)} ;;`;
  });
  return `# bash completion for understudy. In use at once:  source <(understudy completion bash)
# For good:  understudy completion bash > /etc/bash_completion.d/understudy

${walkFunctions(commands)}

_understudy_words() {
  understudy_commands='' understudy_options=''
  case $1 in
${words.join('\n')}
  esac
}

${scriptPart('main.bash')}`;
}

function names(all: readonly { readonly name: string }[]): string {
  return quoted(all.map(({ name }) => name).join(' '));
}
