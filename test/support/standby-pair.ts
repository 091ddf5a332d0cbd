// A real standby process over a copy, and a primary in this process whose records are recorded from a source.
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { uncoverDirectories } from '../../src/mirror/cover.ts';
import type { SenderOptions } from '../../src/mirror/sender.ts';
import { type Identities, makeSender, recordInto, type SenderRig, until } from './mirror-rig.ts';
import type { Recorder } from './recorder.ts';
import { StandbyProcess, type StandbyProcessOptions } from './standby-process.ts';

/** Where copy and primary meet unless a test says otherwise. */
export const BASE = { streamId: '0f'.repeat(16), sequence: 100 };
const WAIT_MS = 60_000;

/** The stream of a primary. */
export interface PrimaryStream {
  readonly base?: typeof BASE | null;
  readonly firstSequence?: number;
  readonly streamId?: string;
  /** Points of which the primary has marks. */
  readonly marks?: SenderOptions['marks'];
}

export class StandbyPair {
  readonly top: string;
  readonly source: string;
  readonly copy: string;
  readonly #identities: Identities;
  readonly #waitMs: number;
  #standby: StandbyProcess | undefined;
  #rig: SenderRig | undefined;
  #recorder: Recorder | undefined;
  #primaries = 0;

  /** Source and copy are empty, and nothing is started. */
  constructor(identities: Identities, { waitMs = WAIT_MS }: { readonly waitMs?: number } = {}) {
    this.#identities = identities;
    this.#waitMs = waitMs;
    this.top = mkdtempSync(join(tmpdir(), 'standby-pair-'));
    this.source = join(this.top, 'source');
    this.copy = join(this.top, 'copy');
    for (const dir of [this.source, this.copy]) mkdirSync(dir, { mode: 0o755 });
  }

  async startStandby(
    options: Partial<
      Pick<StandbyProcessOptions, 'holds' | 'safety' | 'hasOwnData' | 'undoHours'>
    > = {},
  ): Promise<void> {
    const own = { top: this.top, dir: this.copy, ...this.#identities };
    this.#standby = new StandbyProcess({ ...own, holds: BASE, ...options });
    await this.#standby.start();
  }

  get standby(): StandbyProcess {
    if (this.#standby === undefined) throw new Error('the standby of the test is not started');
    return this.#standby;
  }

  get rig(): SenderRig {
    if (this.#rig === undefined) throw new Error('the primary of the test is not started');
    return this.#rig;
  }

  get recorder(): Recorder {
    if (this.#recorder === undefined) throw new Error('the primary of the test is not started');
    return this.#recorder;
  }

  startPrimary({ base = BASE, firstSequence = 101, ...stream }: PrimaryStream = {}): void {
    this.#primaries += 1;
    const { primary, standby } = this.#identities;
    this.#rig = makeSender({
      peer: { host: '127.0.0.1', port: this.standby.port, certificate: standby.certificate },
      identity: primary,
      spillDirectory: join(this.top, `spill-${this.#primaries}`),
      ...stream,
      base,
      firstSequence,
    });
    this.#recorder = recordInto(this.#rig, this.source, firstSequence);
    this.#rig.sender.start();
  }

  endPrimary(): void {
    this.#rig?.sender.destroy();
    this.#recorder?.close();
  }

  /** Resolves when what is recorded by now is applied, or when `or` holds. */
  async applied(or: () => boolean = () => false): Promise<void> {
    const { rig, recorder, standby } = this;
    const { sequence } = recorder;
    await until(
      () => rig.sender.acked?.appliedSequence === sequence || or(),
      () => `record ${sequence} is applied, ${JSON.stringify(rig.sender.acked)}: ${standby.log}`,
      this.#waitMs,
    );
  }

  /** Resolves when the standby has asked for more than `count` scans. */
  async scanWanted(count: number): Promise<void> {
    await until(
      () => this.rig.scansWanted.length > count,
      () => `a scan is asked for: ${this.standby.log}`,
      this.#waitMs,
    );
  }

  async complete(): Promise<void> {
    await until(
      () => this.rig.sender.copy === 'up-to-date',
      () => `the copy is complete: ${this.standby.log}`,
      this.#waitMs,
    );
  }

  async close(): Promise<void> {
    this.endPrimary();
    await this.#standby?.kill();
    uncoverDirectories([this.copy]);
    rmSync(this.top, { recursive: true, force: true });
  }
}
