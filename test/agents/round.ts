// One round: an application is hurt once and has to be back in place; then it is hurt until it counts as failed,
// and has to serve on the other node with all that it had promised.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../src/core/errors.ts';
import type { LabHost } from '../../lab/host.ts';
import { askGroup, tellNode } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import type { NodeEvent } from '../support/managed-pair.ts';
import { acceptAgain, type LabApplication, refuse, signalApplication } from './applications.ts';
import type { AgentsBed, Placed } from './bed.ts';

const SETTLE_TIMEOUT_MS = 120_000;
const SERVE_TIMEOUT_MS = 90_000;
const MOVE_TIMEOUT_MS = 200_000;
const STRIKE_INTERVAL_MS = 400;
/** What stays free on a full disk, so that the node itself can say what happens. */
const LEFT_BYTES = 8 * 1024 * 1024;
const NOTICED = new Set(['AGENT_RESTARTED', 'AGENT_FAILED', 'APPLICATION_FAILED']);

export type FaultName = 'kill' | 'stop' | 'refused' | 'full';

interface Fault {
  readonly title: string;
  strike(host: LabHost, application: LabApplication): Promise<void>;
  mend?(host: LabHost, application: LabApplication): Promise<void>;
  /** It has to be made again to stay. */
  readonly isPassing: boolean;
}

export const faults: Readonly<Record<FaultName, Fault>> = {
  kill: {
    title: 'kill -9',
    isPassing: true,
    strike: async (host, application) => await signalApplication(host, application, 'KILL'),
  },
  stop: {
    title: 'SIGSTOP',
    isPassing: true,
    strike: async (host, application) => await signalApplication(host, application, 'STOP'),
  },
  refused: {
    title: 'connections refused',
    isPassing: false,
    strike: refuse,
    mend: acceptAgain,
  },
  full: {
    title: 'disk full',
    isPassing: false,
    strike: async (host) => void (await host.fillDisk(LEFT_BYTES)),
    mend: async (host) => void (await host.freeDisk()),
  },
};

export interface RoundResult {
  readonly application: string;
  readonly fault: FaultName;
  readonly round: number;
  /** From the accident to the node's first word of it. */
  readonly noticedMs: number | null;
  readonly said: string;
  /** From the accident to the next write of a client, in place. */
  readonly restartMs: number | null;
  /** From the first of the accidents that go on to the next write of a client, on the other node. */
  readonly movedMs: number | null;
  readonly written: number;
  readonly lost: number;
  readonly findings: readonly string[];
}

/** Plays it; never rejects. */
export async function playRound(
  bed: AgentsBed,
  placed: Placed,
  { fault, round }: { fault: FaultName; round: number },
): Promise<RoundResult> {
  const play = new Play(bed, placed, fault, round);
  try {
    await play.inPlace();
    await play.move();
  } catch (failure) {
    play.findings.push(messageOf(failure));
  }
  await play.end();
  return play.result();
}

class Play {
  readonly #bed: AgentsBed;
  readonly #placed: Placed;
  readonly #fault: FaultName;
  readonly #round: number;
  readonly findings: string[] = [];
  #struck: LabHost | undefined;
  #noticedMs: number | null = null;
  #said = '';
  #restartMs: number | null = null;
  #movedMs: number | null = null;
  #lost = 0;

  constructor(bed: AgentsBed, placed: Placed, fault: FaultName, round: number) {
    this.#bed = bed;
    this.#placed = placed;
    this.#fault = fault;
    this.#round = round;
  }

  get #application(): LabApplication {
    return this.#placed.application;
  }

  async inPlace(): Promise<void> {
    const { primary } = await this.#whole();
    await this.#promise(primary, 'before');
    const at = await this.#strike(primary);
    const event = await this.#noticed(primary, at);
    if (event === undefined) this.findings.push('nobody said anything about the accident');
    this.#noticedMs = event === undefined ? null : event.at - at;
    this.#said = event?.message ?? '';
    await this.#mend();
    await this.#serves(primary, 'in place');
    this.#restartMs = Date.now() - at;
    const after = await this.#placed.pair.settle(SETTLE_TIMEOUT_MS);
    if (after.primary !== primary)
      this.findings.push('it moved instead of being restarted in place');
    await this.#check('after the restart in place');
  }

  async move(): Promise<void> {
    const { primary, standby } = await this.#whole();
    await this.#promise(primary, 'again');
    const at = await this.#strike(primary);
    const isMoved = async (): Promise<boolean> => {
      if (await this.#isPrimary(standby)) return true;
      // As soon as it is up again it is hurt again.
      if (faults[this.#fault].isPassing && (await this.#answers())) {
        await faults[this.#fault].strike(primary, this.#application);
      }
      return false;
    };
    if (!(await waitUntil(isMoved, MOVE_TIMEOUT_MS, STRIKE_INTERVAL_MS))) {
      this.findings.push('the other node did not take over');
      return;
    }
    await this.#serves(standby, 'on the other node');
    this.#movedMs = Date.now() - at;
    await this.#check('on the other node');
  }

  async #answers(): Promise<boolean> {
    const { address, application, written } = this.#placed;
    return await application.has(this.#bed.client, address, written.at(-1) ?? '');
  }

  async #isPrimary(host: LabHost): Promise<boolean> {
    return (await askGroup(host, this.#application.name))?.role === 'primary';
  }

  async #whole(): Promise<{ primary: LabHost; standby: LabHost }> {
    const { pair, application } = this.#placed;
    const roles = await pair.settle(SETTLE_TIMEOUT_MS);
    for (const host of [pair.a, pair.b]) {
      const path = `/groups/${application.name}/clear-failures`;
      await tellNode(host, { method: 'POST', path });
    }
    await this.#serves(roles.primary, 'before the accident');
    return roles;
  }

  async #strike(host: LabHost): Promise<number> {
    this.#struck = host;
    const at = Date.now();
    await faults[this.#fault].strike(host, this.#application);
    return at;
  }

  async #mend(): Promise<void> {
    const host = this.#struck;
    this.#struck = undefined;
    if (host !== undefined) await faults[this.#fault].mend?.(host, this.#application);
  }

  async #noticed(host: LabHost, since: number): Promise<NodeEvent | undefined> {
    let found: NodeEvent | undefined;
    const look = async (): Promise<boolean> => {
      const events = await this.#placed.pair.events(since);
      found = events.find(
        ({ node, code, message }) =>
          node === host.name &&
          NOTICED.has(code) &&
          message.includes(`"${this.#application.name}"`),
      );
      return found !== undefined;
    };
    await waitUntil(look, SERVE_TIMEOUT_MS, 100);
    return found;
  }

  /** A client writes and gets its promise. */
  async #promise(primary: LabHost, when: string): Promise<void> {
    const { address, application, written } = this.#placed;
    const key = `${this.#fault}-${this.#round}-${when}`;
    const write = async (): Promise<boolean> =>
      await application.write(this.#bed.client, address, key, primary);
    if (!(await waitUntil(write, SERVE_TIMEOUT_MS, 100))) throw new Error(`no write ${when}`);
    written.push(key);
  }

  async #serves(primary: LabHost, where: string): Promise<void> {
    const { address, application, written } = this.#placed;
    const { client } = this.#bed;
    const key = `${this.#fault}-${this.#round}-${where.replaceAll(' ', '-')}-${Date.now()}`;
    const serves = async (): Promise<boolean> =>
      (await application.write(client, address, key, primary)) &&
      (await application.has(client, address, key));
    if (!(await waitUntil(serves, SERVE_TIMEOUT_MS, 100))) {
      throw new Error(`it does not serve ${where} within ${SERVE_TIMEOUT_MS / 1000} s`);
    }
    written.push(key);
  }

  async #check(when: string): Promise<void> {
    const { address, application, written } = this.#placed;
    for (const key of written.slice(-8)) {
      const has = async (): Promise<boolean> =>
        await application.has(this.#bed.client, address, key);
      // A question may be lost; an answer may not.
      if (await waitUntil(has, 5000, 100)) continue;
      this.#lost += 1;
      this.findings.push(`"${key}" was promised and is not there ${when}`);
    }
  }

  async end(): Promise<void> {
    await this.#mend();
    await sleep(200);
  }

  result(): RoundResult {
    return {
      application: this.#application.name,
      fault: this.#fault,
      round: this.#round,
      noticedMs: this.#noticedMs,
      said: this.#said,
      restartMs: this.#restartMs,
      movedMs: this.#movedMs,
      written: this.#placed.written.length,
      lost: this.#lost,
      findings: this.findings,
    };
  }
}
