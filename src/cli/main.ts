// The command `understudy`.
import { Command, CommanderError } from 'commander';
import { addAgentCommands } from './agent-commands.ts';
import { addCompletionCommand } from './completion-command.ts';
import { addConsoleCommands } from './console-commands.ts';
import { addDiscoverCommand } from './discover-command.ts';
import { addDoctorCommand } from './doctor-command.ts';
import { addGroupCommands } from './group-commands.ts';
import { addLimitCommands } from './limit-commands.ts';
import { addNodeCommands } from './node-commands.ts';
import { exitCode, fail } from './output.ts';
import { addRewindCommands } from './rewind-commands.ts';
import { addSalvageCommands } from './salvage-commands.ts';
import { addTokenCommands } from './token-commands.ts';
import { installedVersion } from '../service/installation.ts';
import { addLeaveCommand } from './leave-command.ts';
import { addUpgradeCommand } from './upgrade-command.ts';
import { addVerifyCommands } from './verify-commands.ts';

const EPILOGUE = `
Examples:
  understudy init --name a --address 192.0.2.1       then start the service
  understudy invite                                  and "understudy join TOKEN" on the other node
  understudy group create --name shop --dir /srv/shop --wait
  understudy status --watch
  understudy switchover shop

Exit codes: 0 done, 1 failed (or done, with a warning that needs a person), 2 the command, or a value in it, is written wrongly.
Codes of failures stand in brackets behind them: see docs/errors.md; "--json" prints them as JSON.
`;

/** Builds the command tree; nothing runs before `parseAsync`. */
export function buildProgram(): Command {
  const program = new Command('understudy')
    .description('hot standby for Linux servers')
    .version(installedVersion(), '-V, --version', 'print the version of this installation')
    .addHelpText('after', EPILOGUE)
    .exitOverride();
  addNodeCommands(program);
  addGroupCommands(program);
  addAgentCommands(program);
  addLimitCommands(program);
  addVerifyCommands(program);
  addRewindCommands(program);
  addSalvageCommands(program);
  addTokenCommands(program);
  addConsoleCommands(program);
  addDiscoverCommand(program);
  addDoctorCommand(program);
  addUpgradeCommand(program);
  addLeaveCommand(program);
  addCompletionCommand(program);
  hintAtHelp(program, 'understudy');
  return program;
}

/** Whoever got a command wrong is told how that one is used, not where everything begins. */
function hintAtHelp(command: Command, path: string): void {
  command.showHelpAfterError(`usage: ${path} ${command.usage()} (see "${path} --help")`);
  for (const sub of command.commands) hintAtHelp(sub, `${path} ${sub.name()}`);
}

/**
 * Whoever reads the output may go away: a pager, `head`, the system's log in its restart. A command ends with that, and the
 * service goes on.
 */
function bearBrokenPipes(isService: boolean): void {
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      if (!isService) process.exit();
    });
  }
}

async function main(argv: readonly string[]): Promise<void> {
  bearBrokenPipes(argv[2] === 'daemon' || argv[2] === 'console');
  try {
    await buildProgram().parseAsync(argv);
  } catch (thrown) {
    if (thrown instanceof CommanderError) {
      process.exitCode = thrown.exitCode === 0 ? exitCode.done : exitCode.usage;
      return;
    }
    fail(argv.includes('--json'), thrown);
  }
}

if (import.meta.main) await main(process.argv);
