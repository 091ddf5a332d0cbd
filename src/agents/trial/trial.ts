// The whole contract of an agent against the real application: stopped, started twice, hung, killed. Each step
// has a verdict, so that an agent that says what is not true is found here and not at night.
import { setTimeout as sleep } from 'node:timers/promises';
import { formatDurationMs } from '../../core/units.ts';
import type { AgentPool, PooledAgent } from '../agent-pool.ts';
import type { ProbeResult } from '../agent.ts';
import type { Operation, Outcome } from '../invoke.ts';
import { livingProcess, sendSignal } from '../sdk/process-table.ts';
import type { ApplicationProcesses } from './application-processes.ts';

/** How long an application has to live that "was started". */
const SETTLE_MS = 2000;
const GONE_MS = 5000;
/** Stopped by a signal, or by a debugger. */
const STILL: readonly string[] = ['T', 't'];
const LOOK_INTERVAL_MS = 50;
/** How long an agent that only watches may take. */
const NOTICE_MS = 15_000;

export interface Verdict {
  readonly check: string;
  readonly verdict: 'passed' | 'failed' | 'skipped';
  readonly sentence: string;
  readonly ms: number;
}

export interface TrialOptions {
  readonly pool: AgentPool;
  readonly agent: PooledAgent & {
    readonly startTimeoutMs: number;
    readonly stopTimeoutMs: number;
    readonly probeTimeoutMs: number;
  };
  /** With these parameters it starts something. */
  readonly starts: boolean;
  /** It can be asked with these parameters. */
  readonly isProbed: boolean;
  readonly directories: readonly string[];
  readonly addresses: readonly string[];
  readonly processes: ApplicationProcesses;
  onVerdict(verdict: Verdict): void;
}

type Wanted = 'up' | 'down';

export class Trial {
  readonly #options: TrialOptions;
  readonly #verdicts: Verdict[] = [];
  #frozen: readonly number[] = [];

  constructor(options: TrialOptions) {
    this.#options = options;
  }

  /** Runs all checks; a failure does not keep the later ones from running. The application is stopped after. */
  async run(): Promise<readonly Verdict[]> {
    await this.#validate();
    if (!this.#options.starts) {
      await this.#probe('probe', 'up');
      await this.#watched();
      return this.#verdicts;
    }
    try {
      await this.#stopped();
      if (await this.#started()) {
        await this.#hung();
        await this.#killed();
      }
    } finally {
      await this.#ended();
    }
    return this.#verdicts;
  }

  /** What is frozen at present goes on: at the end of such a check, and when the trial is broken off. */
  thaw(): void {
    for (const pid of this.#frozen) sendSignal(pid, 'SIGCONT');
    this.#frozen = [];
  }

  /** Whether it answers at present; `false` for an agent that cannot be asked. */
  async answers(): Promise<boolean> {
    if (!this.#options.isProbed) return false;
    const state = stateOf(await this.#call('probe'));
    return state === 'ok' || state === 'degraded';
  }

  async #validate(): Promise<void> {
    const outcome = await this.#call('validate');
    const faults = outcome.kind === 'done' ? (outcome.value as readonly string[]) : [];
    if (outcome.kind !== 'done') this.#say('validate', false, outcome.why, outcome.ms);
    else if (faults.length > 0) this.#say('validate', false, faults.join('; '), outcome.ms);
    else this.#say('validate', true, 'nothing is in the way', outcome.ms);
  }

  async #stopped(): Promise<void> {
    await this.#operate('stop', 'stop');
    await this.#gone('nothing is left after the stop');
    await this.#probe('probe when stopped', 'down');
    await this.#operate('stop again', 'stop');
  }

  /** False when there is nothing to go on with. */
  async #started(): Promise<boolean> {
    if (!(await this.#operate('start', 'start'))) return false;
    await this.#probe('probe when started', 'up');
    const before = await this.#options.processes.list();
    await this.#operate('start again', 'start');
    const more = (await this.#options.processes.list()).filter((pid) => !before.includes(pid));
    if (before.length > 0) {
      const sentence = `process ${before.join(', ')}`;
      const isSame = before.every((pid) => this.#options.processes.lives(pid));
      if (isSame)
        this.#say('it runs once', true, `${sentence}${more.length > 0 ? ' and others' : ''}`, 0);
      else this.#say('it runs once', false, `"start" of what runs ended ${sentence}`, 0);
    }
    await sleep(SETTLE_MS);
    await this.#probe(`probe ${SETTLE_MS / 1000} s after the start`, 'up');
    return true;
  }

  /** What others start is frozen and killed only when somebody has said which processes that are. */
  async #watched(): Promise<void> {
    const { processes } = this.#options;
    const pids = processes.isNamed ? await processes.list() : [];
    if (pids.length === 0) {
      this.#skip('hung and killed', 'it only watches: name the processes with --processes');
      return;
    }
    await this.#freeze(pids);
    try {
      this.#add(await this.notices('notices that it hangs', 'down'));
    } finally {
      this.thaw();
    }
    this.#add(await this.notices('notices that it goes on', 'up'));
    for (const pid of pids) sendSignal(pid, 'SIGKILL');
    this.#add(await this.notices('notices that it was killed', 'down'));
  }

  /** Whether an agent that only watches finds out, within a while, that something has happened. */
  async notices(check: string, wanted: Wanted): Promise<Verdict> {
    const beganMs = performance.now();
    let judged = judge(await this.#call('probe'), wanted);
    while (!judged.isRight && performance.now() - beganMs < NOTICE_MS) {
      await sleep(LOOK_INTERVAL_MS * 4);
      judged = judge(await this.#call('probe'), wanted);
    }
    const { isRight, sentence } = judged;
    const ms = performance.now() - beganMs;
    return { check, verdict: isRight ? 'passed' : 'failed', sentence, ms };
  }

  async #hung(): Promise<void> {
    const pids = await this.#options.processes.list();
    if (pids.length === 0) {
      this.#skip('hung', NO_PROCESSES);
      return;
    }
    await this.#freeze(pids);
    try {
      await this.#probe('probe when hung', 'down');
      await this.#operate('stop when hung', 'stop');
      await this.#gone('nothing is left of what hung');
    } finally {
      this.thaw();
    }
    await this.#operate('start after it hung', 'start');
    await this.#probe('probe after it hung', 'up');
  }

  async #killed(): Promise<void> {
    const pids = await this.#options.processes.list();
    if (pids.length === 0) {
      this.#skip('killed', NO_PROCESSES);
      return;
    }
    for (const pid of pids) sendSignal(pid, 'SIGKILL');
    await this.#waitGone(pids);
    await sleep(LOOK_INTERVAL_MS * 4);
    const again = (await this.#options.processes.list()).filter((pid) => !pids.includes(pid));
    if (again.length > 0) {
      const sentence = `something else started it again (process ${again.join(', ')}): leave that to the agent`;
      this.#say('probe when killed', false, sentence, 0);
    } else await this.#probe('probe when killed', 'down');
    await this.#operate('start after it was killed', 'start');
    await this.#probe('probe after it was killed', 'up');
  }

  async #ended(): Promise<void> {
    await this.#operate('stop at the end', 'stop');
    await this.#gone('nothing is left at the end');
    await this.#probe('probe at the end', 'down');
  }

  /** A signal that was sent has not stopped anything yet. */
  async #freeze(pids: readonly number[]): Promise<void> {
    this.#frozen = pids;
    for (const pid of pids) sendSignal(pid, 'SIGSTOP');
    const deadline = performance.now() + GONE_MS;
    while (pids.some(isMoving) && performance.now() < deadline) await sleep(LOOK_INTERVAL_MS);
  }

  async #operate(check: string, operation: 'start' | 'stop'): Promise<boolean> {
    const outcome = await this.#call(operation);
    const isDone = outcome.kind === 'done';
    this.#say(check, isDone, isDone ? 'done' : outcome.why, outcome.ms);
    return isDone;
  }

  async #probe(check: string, wanted: Wanted): Promise<void> {
    if (!this.#options.isProbed) {
      this.#skip(check, 'with these parameters it cannot be asked');
      return;
    }
    const outcome = await this.#call('probe');
    const { isRight, sentence } = judge(outcome, wanted);
    this.#say(check, isRight, sentence, outcome.ms);
  }

  async #gone(check: string): Promise<void> {
    const beganMs = performance.now();
    const pids = await this.#options.processes.list();
    const left = await this.#waitGone(pids);
    const ms = performance.now() - beganMs;
    if (left.length === 0) this.#say(check, true, 'no process', ms);
    else this.#say(check, false, `process ${left.join(', ')} lives on`, ms);
  }

  async #waitGone(pids: readonly number[]): Promise<readonly number[]> {
    const deadline = performance.now() + GONE_MS;
    for (;;) {
      const left = pids.filter((pid) => this.#options.processes.lives(pid));
      if (left.length === 0 || performance.now() > deadline) return left;
      await sleep(LOOK_INTERVAL_MS);
    }
  }

  async #call(operation: Operation): Promise<Outcome> {
    const { pool, agent, directories, addresses } = this.#options;
    const { startTimeoutMs, stopTimeoutMs, probeTimeoutMs } = agent;
    const timeouts: Partial<Record<Operation, number>> = {
      start: startTimeoutMs,
      stop: stopTimeoutMs,
      probe: probeTimeoutMs,
    };
    const timeoutMs = timeouts[operation] ?? 10_000;
    const { signal } = new AbortController();
    const role = 'primary' as const;
    return pool.invoke(agent, operation, { role, directories, addresses, timeoutMs, signal });
  }

  #say(check: string, isRight: boolean, sentence: string, ms: number): void {
    this.#add({ check, verdict: isRight ? 'passed' : 'failed', sentence, ms });
  }

  #skip(check: string, sentence: string): void {
    this.#add({ check, verdict: 'skipped', sentence, ms: 0 });
  }

  #add(verdict: Verdict): void {
    this.#verdicts.push(verdict);
    this.#options.onVerdict(verdict);
  }
}

const NO_PROCESSES =
  'its processes are not known: give the agent "processes", or name a command with --processes';

const isMoving = (pid: number): boolean => !STILL.includes(livingProcess(pid)?.state ?? 'T');

function stateOf(outcome: Outcome): string | undefined {
  return outcome.kind === 'done' ? (outcome.value as ProbeResult).state : undefined;
}

/** Whether a probe told the truth. */
function judge(outcome: Outcome, wanted: Wanted): { isRight: boolean; sentence: string } {
  if (outcome.kind === 'unusable' || outcome.kind === 'aborted') {
    return { isRight: false, sentence: outcome.why };
  }
  if (outcome.kind === 'late') {
    const after = `no answer within ${formatDurationMs(outcome.ms)}, which counts as hung`;
    return { isRight: wanted === 'down', sentence: after };
  }
  if (outcome.kind === 'failed')
    return { isRight: wanted === 'down', sentence: `failed: ${outcome.why}` };
  const { state, sentence } = outcome.value as ProbeResult;
  const isUp = state === 'ok' || state === 'degraded';
  const isRight = isUp === (wanted === 'up');
  const lie = isUp
    ? 'says that all is well with an application that is not there'
    : 'does not see that it runs';
  return {
    isRight,
    sentence: isRight ? `${state}: ${sentence}` : `it ${lie} ("${state}: ${sentence}")`,
  };
}
