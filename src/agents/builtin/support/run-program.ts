// Runs a program of an application's own (pg_ctl, systemctl) to its end, and says how it ended.
import type { AgentContext } from '../../agent.ts';
import { describeEnd, run, type RunResult } from '../../sdk/run.ts';
import type { SystemUser } from './users.ts';

const SAID_LENGTH_MAX = 400;
const NOT_FOUND = 127;

export interface ProgramOptions {
  readonly context: AgentContext;
  readonly user?: SystemUser | undefined;
  readonly env?: Readonly<Record<string, string>>;
  readonly cwd?: string;
  /** For programs that leave a daemon behind, which keeps their streams: both go to the end of this file. */
  readonly outputFile?: string;
}

/**
 * Runs `argv`. Rejects when it cannot be run at all or when the agent's time is over; any other end of the
 * program is a result.
 */
export async function runProgram(
  argv: readonly string[],
  { context, user, env = {}, cwd, outputFile }: ProgramOptions,
): Promise<RunResult> {
  const result = await run([...asUser(user), ...argv], {
    context,
    env: { ...env, ...(user === undefined ? {} : { HOME: user.home, USER: user.name }) },
    ...(cwd === undefined ? {} : { cwd }),
    ...(outputFile === undefined ? {} : { outputFile }),
  });
  if (result.code !== NOT_FOUND || user === undefined) return result;
  throw new Error(`"${argv[0] ?? '?'}" cannot be started: ${lastWords(result.stderr)}`);
}

/** What puts a program under another user, with that user's groups. */
export function asUser(user: SystemUser | undefined): readonly string[] {
  if (user === undefined || user.uid === process.getuid?.()) return [];
  return ['setpriv', `--reuid=${user.uid}`, `--regid=${user.gid}`, '--init-groups', '--'];
}

/** How it ended, for a sentence: `exit code 3: disk full`. */
export function describeRun(result: RunResult): string {
  const said = lastWords(`${result.stdout}\n${result.stderr}`);
  return said === '' ? describeEnd(result) : `${describeEnd(result)}: ${said}`;
}

/** The end of a program's output as one line. */
export function lastWords(text: string): string {
  const lines = text.split('\n').map((line) => line.trim());
  const said = lines.filter((line) => line !== '').slice(-4);
  return said.join(' | ').slice(-SAID_LENGTH_MAX);
}
