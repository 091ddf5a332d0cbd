// One round of one line: load, accident, what follows, mending, and then the count.
import { loadavg } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Acknowledged } from '../../examples/ledger/client-log.ts';
import { messageOf } from '../../src/core/errors.ts';
import { tellNode } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import type { NodeEvent, Roles } from '../support/managed-pair.ts';
import { type Bed, GROUP } from './bed.ts';
import type { LedgerVerdict } from './check-ledger.ts';
import type { Load } from './load.ts';
import type { FieldLine, RoundFacts, RoundResult, Scene } from './types.ts';

const WARM_UP_MS = 1000;
const WATCH_MS = 4000;
const AFTER_MOVE_MS = 1500;
const MOVE_TIMEOUT_MS = 40_000;
const ANSWER_TIMEOUT_MS = 60_000;
const SETTLE_TIMEOUT_MS = 90_000;
const QUIET_MS = 300;

/** Plays it; never rejects: what went wrong is a finding. */
export async function playRound(
  bed: Bed,
  line: FieldLine,
  round: number,
  note: (text: string) => void,
): Promise<RoundResult> {
  const play = new Play(bed, line, note);
  const findings: string[] = [];
  try {
    await play.run();
  } catch (failure) {
    findings.push(messageOf(failure));
  }
  await play.end();
  const facts = await play.facts();
  findings.push(...(await play.judge(facts)));
  // Logs of a lab that goes down now.
  const logs = findings.length === 0 ? null : await saveLogs(bed, line, round);
  return { ...facts, line: line.name, round, findings, logs };
}

async function saveLogs(bed: Bed, line: FieldLine, round: number): Promise<string | null> {
  try {
    return await bed.lab.saveLogs(`/tmp/understudy-field-${line.name}-${round}-${Date.now()}`);
  } catch {
    return null;
  }
}

class Play {
  readonly #bed: Bed;
  readonly #line: FieldLine;
  readonly #note: (text: string) => void;
  #load: Load | undefined;
  #before: Roles | undefined;
  #after: Roles | undefined;
  #struckAt = 0;
  #mendedAt: number | null = null;
  #endedAt = 0;
  #verdict: LedgerVerdict | undefined;
  #differences = '';

  constructor(bed: Bed, line: FieldLine, note: (text: string) => void) {
    this.#bed = bed;
    this.#line = line;
    this.#note = note;
  }

  get #acknowledged(): readonly Acknowledged[] {
    return this.#load?.acknowledged() ?? [];
  }

  /** As an operator does who has mended the cause: counted failures and pauses would change this round. */
  async #forgetFailures(): Promise<void> {
    for (const host of [this.#bed.a, this.#bed.b])
      await tellNode(host, { method: 'POST', path: `/groups/${GROUP}/clear-failures` });
  }

  async run(): Promise<void> {
    const line = this.#line;
    this.#before = await this.#bed.settle(SETTLE_TIMEOUT_MS);
    await this.#forgetFailures();
    const scene = this.#scene(this.#before);
    this.#load = this.#bed.startLoad();
    await this.#waitForAnswer('the client got no answer before the accident', () => true);
    await sleep(WARM_UP_MS + Math.random() * 500);
    this.#struckAt = Date.now();
    const struckAt = await line.strike(scene);
    if (typeof struckAt === 'number') this.#struckAt = struckAt;
    if (line.moves === true) {
      const why = `${scene.standby.name} did not serve within ${MOVE_TIMEOUT_MS / 1000} s`;
      await this.#waitForAnswer(why, ({ node }) => node === scene.standby.name, MOVE_TIMEOUT_MS);
      await sleep(line.watchMs ?? AFTER_MOVE_MS);
    } else {
      await sleep(line.watchMs ?? WATCH_MS);
    }
    await this.#mend(scene);
    this.#after = await this.#bed.settle(SETTLE_TIMEOUT_MS);
    this.#note(`whole again: ${this.#after.primary.name} serves`);
    await sleep(QUIET_MS);
    await this.#stopLoad();
    this.#verdict = await this.#bed.check(this.#after.primary, this.#acknowledged);
    this.#differences = await this.#bed.differences(this.#after);
  }

  #scene(roles: Roles): Scene {
    return { bed: this.#bed, ...roles, note: this.#note };
  }

  async #mend(scene: Scene): Promise<void> {
    const { mend } = this.#line;
    if (mend === undefined) return;
    await mend(scene);
    const mendedAt = Date.now();
    this.#mendedAt = mendedAt;
    await this.#waitForAnswer('nobody served after the mending', ({ at }) => at > mendedAt);
    await sleep(AFTER_MOVE_MS);
  }

  async #waitForAnswer(
    why: string,
    isIt: (entry: Acknowledged) => boolean,
    timeoutMs = ANSWER_TIMEOUT_MS,
  ): Promise<void> {
    const from = this.#acknowledged.length;
    const came = (): boolean => this.#acknowledged.slice(from).some((entry) => isIt(entry));
    if (!(await waitUntil(came, timeoutMs, 20))) throw new Error(why);
  }

  async #stopLoad(): Promise<void> {
    if (this.#endedAt !== 0) return;
    this.#endedAt = Date.now();
    await this.#load?.stop();
  }

  /** Whatever happened: nothing stays frozen or cut, the client ends. */
  async end(): Promise<void> {
    await this.#stopLoad();
  }

  async facts(): Promise<RoundFacts> {
    const struckAt = this.#struckAt;
    const events = struckAt === 0 ? [] : await this.#bed.events(struckAt);
    const noticed = events.find(({ code }) => this.#line.noticedBy.includes(code));
    const moved =
      this.#before !== undefined &&
      this.#after !== undefined &&
      this.#after.primary !== this.#before.primary;
    return {
      struckAt,
      mendedAt: this.#mendedAt,
      moved,
      noticedMs: noticed === undefined ? null : noticed.at - struckAt,
      outageMs: this.#outageMs(),
      acknowledged: this.#acknowledged.length,
      lost: this.#verdict?.lost ?? 0,
      load: loadavg()[0] ?? 0,
      events,
    };
  }

  /** Longest time without an answer around and after the accident. */
  #outageMs(): number {
    const fromMend = this.#line.outageFromMend === true && this.#mendedAt !== null;
    const from = fromMend ? (this.#mendedAt ?? 0) : this.#struckAt - 200;
    const times = this.#acknowledged.map(({ at }) => at).filter((at) => at > from);
    let longest = 0;
    let last = from;
    for (const at of [...times.toSorted((one, other) => one - other), this.#endedAt]) {
      longest = Math.max(longest, at - last);
      last = at;
    }
    return longest;
  }

  async judge(facts: RoundFacts): Promise<string[]> {
    const line = this.#line;
    const findings: string[] = [];
    if (this.#after !== undefined) findings.push(...this.#judgeService(facts));
    const verdict = this.#verdict;
    if (verdict !== undefined) findings.push(...judgeData(line, verdict));
    for (const name of this.#bed.restarts) findings.push(`${name} restarted itself`);
    if (this.#differences !== '') findings.push(`the two copies differ: ${this.#differences}`);
    if (this.#before === undefined || this.#after === undefined) return findings;
    const more = await line.inspect?.(this.#scene(this.#before), facts);
    return [...findings, ...(more ?? [])];
  }

  #judgeService({ moved, outageMs, noticedMs }: RoundFacts): string[] {
    const { moves, outageMsMax, noticedBy } = this.#line;
    const findings: string[] = [];
    if (moves === true && !moved) findings.push('the standby did not become primary for good');
    if (moves === false && moved) findings.push('the standby became primary');
    if (outageMs > outageMsMax) {
      findings.push(`${outageMs} ms without an answer, allowed are ${outageMsMax}`);
    }
    if (noticedBy.length > 0 && noticedMs === null) {
      findings.push(`none of these events: ${noticedBy.join(', ')}`);
    }
    const changes = changesOfServer(this.#acknowledged);
    const allowed = moves === false ? 0 : 1;
    if (changes > allowed) findings.push(`the serving node changed ${changes} times`);
    return findings;
  }
}

/** How often the next answer came from another node than the one before. */
export function changesOfServer(acknowledged: readonly Acknowledged[]): number {
  const ordered = acknowledged.toSorted((one, other) => one.at - other.at);
  return ordered.filter(({ node }, index) => index > 0 && ordered[index - 1]?.node !== node).length;
}

function judgeData(line: FieldLine, verdict: LedgerVerdict): string[] {
  const findings: string[] = [];
  const isTail = line.mayLoseTail === true && verdict.keptAfterLost === 0;
  if (verdict.lost > 0 && !isTail) {
    findings.push(
      `${verdict.lost} acknowledged transfers are lost (${verdict.lostIds.join(', ')}), ` +
        `${verdict.keptAfterLost} later ones are there`,
    );
  }
  if (verdict.integrity !== 'ok') findings.push(`data: ${verdict.integrity}`);
  return findings;
}

/** One line for a person. */
export function describeEvents(events: readonly NodeEvent[], struckAt: number): string {
  return events
    .map(({ node, at, code }) => `${((at - struckAt) / 1000).toFixed(2)} ${node} ${code}`)
    .join(', ');
}
