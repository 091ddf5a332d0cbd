// Another process of this installation goes on in the place of one that runs, on demand: with other settings
// (group-edit.ts), or of another version (upgrade.ts). What can be asked before is in renewal.ts.
import { setTimeout as sleep } from 'node:timers/promises';
import type { ControlEvent } from './control-channel.ts';
import { KILL_TIMEOUT_MS, SHUTDOWN_TIMEOUT_MS } from './group-endings.ts';
import type { GroupProcess } from './group-process.ts';
import type { GroupStateKeeper } from './group-state-keeper.ts';
import type { GroupSuccession } from './group-succession.ts';
import { renewalFailed, renewalNotPossible, whyNotRenewable } from './renewal.ts';

/** Code that is not loaded by then is loaded while applications wait. */
const PREPARE_TIMEOUT_MS = 30_000;
const PREPARE_POLL_MS = 20;

export interface GroupRenewalOptions {
  readonly group: string;
  readonly process: GroupProcess;
  readonly keeper: GroupStateKeeper;
  readonly succession: GroupSuccession;
  /** The group's process runs, and nothing is being changed about it. */
  readonly isRunning: () => boolean;
  readonly callLast: (
    method: string,
    params: Record<string, unknown>,
    timeoutMs: number,
  ) => Promise<unknown>;
  /** A failure is tried again later by itself. */
  readonly startStandby: () => Promise<void>;
  readonly troubles: () => readonly string[];
  readonly emit: (level: ControlEvent['level'], code: string, message: string) => void;
}

export class GroupRenewal {
  readonly #options: GroupRenewalOptions;
  #isUnderWay = false;

  constructor(options: GroupRenewalOptions) {
    this.#options = options;
  }

  /** The process is ended for another one to go on in its place. */
  get isUnderWay(): boolean {
    return this.#isUnderWay;
  }

  /** Errors: RENEWAL_NOT_POSSIBLE, see {@link carryOut}. */
  async require(): Promise<void> {
    const { group, process, keeper, isRunning } = this.#options;
    if (!isRunning()) return;
    const { role } = keeper.state;
    const status = await process.status();
    const stateDirectory = role === 'standby' ? keeper.present : null;
    const why = whyNotRenewable(role, status, { process, stateDirectory });
    if (why !== null) throw renewalNotPossible(group, why);
  }

  /**
   * Replaces the process, with the settings as they are now. That of a primary has the same mounts and the same stream:
   * applications only wait. Where none runs there is nothing to do. To be called alone
   * (`exclusive` of the runtime). Errors: RENEWAL_NOT_POSSIBLE (nothing has changed), RENEWAL_FAILED.
   */
  async carryOut(): Promise<void> {
    const { group, keeper, succession, isRunning, troubles } = this.#options;
    await succession.settled();
    if (!isRunning()) return;
    await this.require();
    this.#isUnderWay = true;
    try {
      if (keeper.state.role === 'primary') await this.#renewPrimary();
      else await this.#renewStandby();
    } finally {
      this.#isUnderWay = false;
    }
    if (!isRunning()) throw renewalFailed(group, troubles());
  }

  /** As a death, which is what it is for the kernel and for applications; only that the next one is there before. */
  async #renewPrimary(): Promise<void> {
    const { process, succession } = this.#options;
    process.prepare();
    await whenReady(() => process.isPrepared);
    process.kill();
    await process.endsWithin(KILL_TIMEOUT_MS);
    await succession.settled();
  }

  /** Its cover stays: nobody may write the copy in between. */
  async #renewStandby(): Promise<void> {
    const { group, process, callLast, startStandby, isRunning, emit } = this.#options;
    // Commits of the primary wait for this node: there is to be nothing to load meanwhile.
    process.prepareStandby();
    await whenReady(() => process.isStandbyPrepared);
    try {
      await callLast('shutdown', { keepCover: true }, SHUTDOWN_TIMEOUT_MS);
    } catch (thrown) {
      // What it died of is no reason to be without a copy.
      if (process.isAlive) process.unprepareStandby();
      else await startStandby();
      throw thrown;
    }
    await startStandby();
    if (!isRunning()) return;
    const sentence = `the standby process of group "${group}" was replaced by another one`;
    emit('info', 'GROUP_PROCESS_RENEWED', sentence);
  }
}

async function whenReady(isReady: () => boolean): Promise<void> {
  const deadline = performance.now() + PREPARE_TIMEOUT_MS;
  while (!isReady() && performance.now() < deadline) await sleep(PREPARE_POLL_MS);
}
