// Runs a fence agent once: options on its standard input as `key=value` lines (never as arguments,
// which every user of the machine could read), a deadline, and an exit code. Secrets are taken out of
// whatever it says.
import { spawn } from 'node:child_process';

const OUTPUT_BYTES_MAX = 64 * 1024;
/** For its last words after its end, or for its end after it was killed: neither is waited for without a limit. */
const PATIENCE_MS = 500;

export type AgentAction = 'on' | 'off' | 'reboot' | 'status' | 'monitor' | 'metadata';

export interface AgentRun {
  /** Null: it was killed. 0 done (status: on), 1 failed, 2 (status only) off. */
  readonly code: number | null;
  readonly timedOut: boolean;
  readonly stdout: string;
  /** The last lines that it said, without secrets. */
  readonly said: string;
}

export interface AgentCall {
  readonly program: string;
  readonly action: AgentAction;
  readonly options: Readonly<Record<string, string>>;
  readonly secrets: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

/** Never rejects: what cannot be started has failed. */
export async function runAgent(call: AgentCall): Promise<AgentRun> {
  const { program, action, options, secrets, timeoutMs } = call;
  const lines = Object.entries({ ...options, ...secrets, action }).map(
    ([key, value]) => `${key}=${value}\n`,
  );
  const output = new Output(Object.values(secrets));
  return new Promise((resolve) => {
    const child = spawn(program, [], {
      cwd: '/',
      detached: true,
      stdio: ['pipe', 'pipe', 'pipe'],
      env: {
        PATH: '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
        LANG: 'C.UTF-8',
      },
    });
    let timedOut = false;
    let patience: NodeJS.Timeout | undefined;
    const finishSoon = (code: number | null): void => {
      clearTimeout(patience);
      patience = setTimeout(() => finish(code), PATIENCE_MS);
    };
    const deadline = setTimeout(() => {
      timedOut = true;
      if (child.pid !== undefined) endProcessGroup(child.pid);
      // One that sleeps in the kernel does not end.
      finishSoon(null);
    }, timeoutMs);
    const finish = (code: number | null): void => {
      clearTimeout(deadline);
      clearTimeout(patience);
      child.stdout.destroy();
      child.stderr.destroy();
      resolve({ code, timedOut, stdout: output.stdout, said: output.said() });
    };
    child.stdout.on('data', (chunk: Buffer) => output.add('stdout', chunk));
    child.stderr.on('data', (chunk: Buffer) => output.add('stderr', chunk));
    child.once('error', (error) => {
      output.add('stderr', Buffer.from(error.message));
      finish(1);
    });
    // Something that it left in the background may keep its output open.
    child.once('exit', (code) => {
      clearTimeout(deadline);
      finishSoon(code);
    });
    child.once('close', (code) => finish(code));
    // An agent may end before it has read everything.
    child.stdin.on('error', () => undefined);
    child.stdin.end(lines.join(''));
  });
}

class Output {
  readonly #secrets: readonly string[];
  stdout = '';
  #stderr = '';

  constructor(secrets: readonly string[]) {
    this.#secrets = secrets.filter((secret) => secret !== '');
  }

  add(stream: 'stdout' | 'stderr', chunk: Buffer): void {
    const text = chunk.toString('utf8');
    if (stream === 'stdout') this.stdout = `${this.stdout}${text}`.slice(0, OUTPUT_BYTES_MAX);
    else this.#stderr = `${this.#stderr}${text}`.slice(-OUTPUT_BYTES_MAX);
  }

  /** The last line worth reading. */
  said(): string {
    const lines = `${this.stdout}\n${this.#stderr}`.split('\n').map((line) => line.trim());
    let text = lines.filter((line) => line !== '' && !line.includes("'-h' for usage")).at(-1) ?? '';
    for (const secret of this.#secrets) text = text.replaceAll(secret, '***');
    return text.slice(0, 400);
  }
}

function endProcessGroup(pid: number): void {
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended by itself in this moment.
  }
}
