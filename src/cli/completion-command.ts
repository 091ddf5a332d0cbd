// The command completion: prints a script by which a shell completes commands, options, and the names of groups and nodes.
import { Argument, type Command } from 'commander';
import type { CompletedCommand } from './completion/tree.ts';

const SHELLS = ['bash', 'zsh', 'fish'] as const;
type Shell = (typeof SHELLS)[number];

export function addCompletionCommand(program: Command): void {
  program
    .command('completion')
    .description('print a script with which a shell completes what is typed')
    .addArgument(new Argument('<shell>').choices(SHELLS))
    .action(async (shell: Shell) => {
      const { completedCommands } = await import('./completion/tree.ts');
      process.stdout.write(await scriptFor(shell, completedCommands(program)));
    });
}

async function scriptFor(shell: Shell, commands: readonly CompletedCommand[]): Promise<string> {
  switch (shell) {
    case 'bash':
      return (await import('./completion/bash.ts')).bashScript(commands);
    case 'zsh':
      return (await import('./completion/zsh.ts')).zshScript(commands);
    case 'fish':
      return (await import('./completion/fish.ts')).fishScript(commands);
  }
}
