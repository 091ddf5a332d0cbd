// Which processes are the application's: as a command says, as its agent says, or those that carry a mark which
// every program of this trial inherits. Never by guessing: they get SIGSTOP and SIGKILL.
import type { AgentPool, PooledAgent } from '../agent-pool.ts';
import { livingProcess, processesMarked } from '../sdk/process-table.ts';
import { run } from '../sdk/run.ts';

const COMMAND_TIMEOUT_MS = 5000;

export interface ApplicationProcessesOptions {
  readonly pool: AgentPool;
  readonly agent: PooledAgent;
  /** Prints process ids. */
  readonly command: string | undefined;
  /** In the environment of everything that the agent starts. */
  readonly mark: { readonly name: string; readonly value: string };
}

export class ApplicationProcesses {
  readonly #options: ApplicationProcessesOptions;

  constructor(options: ApplicationProcessesOptions) {
    this.#options = options;
  }

  /** Somebody has said which they are. */
  get isNamed(): boolean {
    return this.#options.command !== undefined;
  }

  /** Those that live now. */
  async list(): Promise<readonly number[]> {
    const { pool, agent, command, mark } = this.#options;
    const own = new Set([process.pid, process.ppid, 1, ...pool.pids]);
    if (command !== undefined) {
      const context = { signal: AbortSignal.timeout(COMMAND_TIMEOUT_MS) };
      const { stdout } = await run(command, { context });
      return this.#living(stdout.split(/\s+/).map(Number), own);
    }
    const outcome = await pool.invoke(agent, 'processes', {
      role: 'primary',
      directories: [],
      addresses: [],
      timeoutMs: COMMAND_TIMEOUT_MS,
      signal: new AbortController().signal,
    });
    const named = outcome.kind === 'done' ? (outcome.value as readonly number[]) : [];
    if (named.length > 0) return this.#living(named, own);
    return this.#living(processesMarked(mark.name, mark.value), own);
  }

  lives(pid: number): boolean {
    return livingProcess(pid) !== undefined;
  }

  #living(pids: readonly number[], own: ReadonlySet<number>): number[] {
    return pids.filter(
      (pid) => Number.isInteger(pid) && pid > 1 && !own.has(pid) && this.lives(pid),
    );
  }
}
