// One fence device of one node, through its ClusterLabs agent (`fence_*`).
import { accessSync, constants, readFileSync, statSync } from 'node:fs';
import { basename, isAbsolute, join } from 'node:path';
import { messageOf, UnderstudyError } from '../../core/errors.ts';
import { type AgentMetadata, parseMetadata } from './agent-metadata.ts';
import { type AgentAction, type AgentRun, runAgent } from './run-agent.ts';

const AGENT_DIRECTORIES = ['/usr/local/sbin', '/usr/sbin', '/sbin', '/usr/bin', '/usr/local/bin'];
const METADATA_TIMEOUT_MS = 20_000;
const STATUS_OFF = 2;
/** Options that carry the name of a thing to do; Understudy sets it. */
const OWN_OPTIONS: readonly string[] = ['action', 'option'];

/** As in the group's definition. */
export interface FenceDevice {
  /** `fence_ipmilan`, or the absolute path of a program with the same interface. */
  readonly agent: string;
  readonly options: Readonly<Record<string, string>>;
  /** Option → file that holds its value and nothing else, readable by root only. */
  readonly secretFiles: Readonly<Record<string, string>>;
  /** `reboot`: the node comes back by itself, as standby. */
  readonly action: 'off' | 'reboot';
  readonly timeoutMs: number;
}

export interface FenceAnswer {
  /** Only true when the device has confirmed it. */
  readonly off: boolean;
  /** A sentence. */
  readonly message: string;
}

export class FenceAgent {
  readonly #device: FenceDevice;

  constructor(device: FenceDevice) {
    this.#device = device;
  }

  get name(): string {
    return basename(this.#device.agent);
  }

  /**
   * Proves at configuration time that the agent is there, knows its options, and reaches its device.
   * Errors: FENCE_AGENT_MISSING, FENCE_AGENT_UNUSABLE, FENCE_OPTION_UNKNOWN, FENCE_OPTION_MISSING,
   * FENCE_SECRET_UNREADABLE, FENCE_DEVICE_UNREACHABLE.
   */
  async check(): Promise<void> {
    const program = findAgent(this.#device.agent);
    this.#secrets();
    const metadata = await this.#metadata(program);
    this.#checkOptions(metadata);
    const run = await this.#run('status', this.#device.timeoutMs);
    if (run.code === 0 || run.code === STATUS_OFF) return;
    throw new UnderstudyError(
      'FENCE_DEVICE_UNREACHABLE',
      `${this.name} cannot ask its device for its state (${outcomeOf(run)}): check address, user and plug with "${this.name} -o status"`,
    );
  }

  /** Is the node's power on? Undefined: the device does not say. */
  async status(timeoutMs: number): Promise<boolean | undefined> {
    const { code } = await this.#run('status', timeoutMs);
    if (code === 0) return true;
    return code === STATUS_OFF ? false : undefined;
  }

  /** Switches the node off (or reboots it), and asks whether it is. Never rejects. */
  async fence(timeoutMs: number): Promise<FenceAnswer> {
    const deadline = performance.now() + Math.min(timeoutMs, this.#device.timeoutMs);
    const { action } = this.#device;
    try {
      const run = await this.#run(action, deadline - performance.now());
      if (run.code !== 0) return failed(`${this.name}: "${action}" failed (${outcomeOf(run)})`);
      // A reboot ends with the power on; the agent itself has seen it go off in between.
      if (action === 'reboot') return { off: true, message: `${this.name} has rebooted it` };
      return await this.#confirm(deadline);
    } catch (thrown) {
      return failed(messageOf(thrown));
    }
  }

  /** An agent may say "done" before the power is off. */
  async #confirm(deadline: number): Promise<FenceAnswer> {
    const remaining = deadline - performance.now();
    if (remaining <= 0) return failed(`${this.name}: no time left to see whether it is off`);
    const run = await this.#run('status', remaining);
    if (run.code === STATUS_OFF) return { off: true, message: `${this.name} has switched it off` };
    const state = run.code === 0 ? 'its power is still on' : `no state (${outcomeOf(run)})`;
    return failed(`${this.name} said that it had switched it off, but: ${state}`);
  }

  async #run(action: AgentAction, timeoutMs: number): Promise<AgentRun> {
    return runAgent({
      program: findAgent(this.#device.agent),
      action,
      options: this.#device.options,
      secrets: this.#secrets(),
      timeoutMs: Math.max(1, timeoutMs),
    });
  }

  async #metadata(program: string): Promise<AgentMetadata> {
    const none = { options: {}, secrets: {} };
    const run = await runAgent({
      program,
      action: 'metadata',
      timeoutMs: METADATA_TIMEOUT_MS,
      ...none,
    });
    const metadata = parseMetadata(run.stdout);
    if (run.code === 0 && metadata !== undefined) return metadata;
    throw new UnderstudyError(
      'FENCE_AGENT_UNUSABLE',
      `${program} does not describe itself as a fence agent does (${outcomeOf(run)}): it has to answer "action=metadata" on its standard input`,
    );
  }

  #checkOptions({ parameters, actions }: AgentMetadata): void {
    const known = new Set(parameters.map(({ name }) => name));
    const given = [...Object.keys(this.#device.options), ...Object.keys(this.#device.secretFiles)];
    const unknown = given.filter((name) => !known.has(name) || OWN_OPTIONS.includes(name));
    if (unknown.length > 0) {
      const names = [...known].filter((name) => !OWN_OPTIONS.includes(name)).join(', ');
      throw new UnderstudyError(
        'FENCE_OPTION_UNKNOWN',
        `${this.name} has no option "${unknown.join('", "')}" (it has: ${names})`,
      );
    }
    const missing = parameters.filter(
      ({ name, required, deprecated }) =>
        required && !deprecated && !OWN_OPTIONS.includes(name) && !given.includes(name),
    );
    if (missing.length > 0) {
      throw new UnderstudyError(
        'FENCE_OPTION_MISSING',
        `${this.name} needs the option "${missing.map(({ name }) => name).join('", "')}"`,
      );
    }
    const needed = [this.#device.action, 'status'];
    const lacking = needed.filter((action) => !actions.includes(action));
    if (lacking.length === 0) return;
    throw new UnderstudyError(
      'FENCE_AGENT_UNUSABLE',
      `${this.name} cannot do "${lacking.join('", "')}" (it can: ${actions.join(', ')}): choose an agent that switches power`,
    );
  }

  /** Read anew each time: passwords change. Errors: FENCE_SECRET_UNREADABLE. */
  #secrets(): Record<string, string> {
    const entries = Object.entries(this.#device.secretFiles).map(([option, file]) => {
      try {
        if ((statSync(file).mode & 0o077) !== 0) throw new TypeError('others may read it');
        return [option, readFileSync(file, 'utf8').replace(/\r?\n$/, '')] as const;
      } catch (cause) {
        throw new UnderstudyError(
          'FENCE_SECRET_UNREADABLE',
          `"${file}" with the option "${option}" of ${this.name} cannot be used (${messageOf(cause)}): it must exist on this node, with mode 0600`,
          { cause },
        );
      }
    });
    return Object.fromEntries(entries);
  }
}

/** Errors: FENCE_AGENT_MISSING. */
export function findAgent(agent: string): string {
  const candidates = isAbsolute(agent)
    ? [agent]
    : AGENT_DIRECTORIES.map((directory) => join(directory, agent));
  for (const candidate of candidates) {
    try {
      accessSync(candidate, constants.X_OK);
      return candidate;
    } catch {
      // The next place.
    }
  }
  throw new UnderstudyError(
    'FENCE_AGENT_MISSING',
    `the fence agent "${agent}" is not on this node: install it (Debian: apt-get install fence-agents) on both nodes`,
  );
}

function outcomeOf(run: AgentRun): string {
  if (run.timedOut) return 'no answer in time';
  const code = run.code === null ? 'killed' : `exit code ${run.code}`;
  return run.said === '' ? code : `${code}: ${run.said}`;
}

function failed(message: string): FenceAnswer {
  return { off: false, message };
}
