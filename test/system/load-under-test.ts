// Load on the primary while the network misbehaves: commits that are counted, and a tree that changes.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabProcess } from '../../lab/host.ts';
import { askEvents } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import type { LoggedEvent } from '../../src/service/event-log.ts';
import { type CommitReport, NUMBER_DIGITS } from '../support/commit-writer.ts';
import { DIRECTORY, type PairUnderTest } from './pair-under-test.ts';

const REPORT = '/tmp/commits.json';
const LOG = 'commits.log';
const END_TIMEOUT_MS = 60_000;

export interface LoadOptions {
  /** Between two commits; default 20. */
  readonly pauseMs?: number;
  /** Random bytes per commit; default 32. */
  readonly bytes?: number;
  /** Random operations beside the commits, unless false. */
  readonly tree?: boolean;
}

function program(name: string): string {
  return join(CHECKOUT, 'test/support', name);
}

export class LoadUnderTest {
  readonly #pair: PairUnderTest;
  readonly #writer: LabProcess;
  readonly #tree: LabProcess | undefined;

  private constructor(pair: PairUnderTest, writer: LabProcess, tree: LabProcess | undefined) {
    this.#pair = pair;
    this.#writer = writer;
    this.#tree = tree;
  }

  static async start(pair: PairUnderTest, options: LoadOptions = {}): Promise<LoadUnderTest> {
    const { pauseMs = 20, bytes = 32, tree = true } = options;
    const commits = [program('commit-writer.ts'), join(DIRECTORY, LOG), REPORT];
    const writer = pair.a.spawn([NODE, ...commits, String(pauseMs), String(bytes)], {
      stdio: 'ignore',
    });
    if (!tree) return new LoadUnderTest(pair, writer, undefined);
    const seed = String(Math.floor(Math.random() * 1e6));
    process.stdout.write(`random operations: seed ${seed}\n`);
    await pair.a.must(['mkdir', join(DIRECTORY, 'tree')]);
    const operations = [program('random-ops.ts'), join(DIRECTORY, 'tree'), '--seed', seed];
    const argv = [NODE, ...operations, '--seconds', '600'];
    return new LoadUnderTest(pair, writer, pair.a.spawn(argv, { stdio: 'ignore' }));
  }

  /** Ends the load; no call of it may have failed. */
  async stop(): Promise<CommitReport> {
    this.#tree?.kill('SIGKILL');
    this.#writer.kill();
    const code = await Promise.race([
      this.#writer.ended,
      new Promise<string>((resolve) => {
        setTimeout(() => resolve('did not end in time'), END_TIMEOUT_MS).unref();
      }),
    ]);
    await this.#tree?.ended;
    expect(code).toBe(0);
    const report = JSON.parse(await this.#pair.a.must(['cat', REPORT])) as CommitReport;
    expect(report.failure).toBeNull();
    return report;
  }

  /** Both copies are equal, and every commit that returned is on the standby, once and in order. */
  async expectNothingLost({ commits }: CommitReport): Promise<void> {
    expect(await this.#pair.differences()).toEqual([]);
    const path = join(this.#pair.b.pathFromOutside(DIRECTORY), LOG);
    const numbers = readFileSync(path, 'latin1')
      .trimEnd()
      .split('\n')
      .map((line) => Number(line.slice(0, NUMBER_DIGITS)));
    expect(commits).toBeGreaterThan(0);
    expect(numbers.length).toBeGreaterThanOrEqual(commits);
    expect(numbers.every((number, index) => number === index + 1)).toBe(true);
  }
}

/** Events of the primary's node since `since` (ms of the wall clock), oldest first. */
export async function eventsSince(pair: PairUnderTest, since: number): Promise<LoggedEvent[]> {
  const events = await askEvents(pair.a);
  return events.filter(({ at }) => Date.parse(at) >= since);
}

/** Waits for an event after `since`; returns how long after it that was, ms. */
export async function waitForEvent(
  pair: PairUnderTest,
  code: string,
  since: number,
  timeoutMs: number,
): Promise<number> {
  let found: LoggedEvent | undefined;
  const isThere = async (): Promise<boolean> => {
    found = (await eventsSince(pair, since)).find((event) => event.code === code);
    return found !== undefined;
  };
  if ((await waitUntil(isThere, timeoutMs, 200)) && found !== undefined)
    return Date.parse(found.at) - since;
  const seen = (await eventsSince(pair, since)).map((event) => `${event.code}: ${event.message}`);
  throw new Error(`no event ${code} within ${timeoutMs} ms; seen: ${seen.join(' | ')}`);
}
