// A source directory with a recorder, a copy with an applier, and nothing in between.
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { EVERYTHING, type PatternTexts } from '../../src/core/patterns.ts';
import { sys } from '../../src/linux/libc.ts';
import { Applier } from '../../src/mirror/applier/applier.ts';
import type { Need } from '../../src/mirror/applier/context.ts';
import type { ApplyFault } from '../../src/mirror/applier/fault.ts';
import { prepareRedo } from '../../src/mirror/applier/redo.ts';
import type { Random } from './random.ts';
import { Recorder, namespaceBlock } from './recorder.ts';
import { type CompareOptions, compareTrees } from './tree.ts';

export interface ApplierRigOptions {
  /** Directory of the copy; by default one next to the source. */
  readonly copy?: string;
  /** What of it is mirrored; by default everything. */
  readonly patterns?: PatternTexts;
}

export class ApplierRig {
  readonly top: string;
  readonly source: string;
  readonly copy: string;
  readonly recorder: Recorder;
  /** Recorded and not yet applied. */
  records: Buffer[] = [];
  needs: Need[] = [];
  applier: Applier;
  readonly #patterns: PatternTexts;
  #copyFd: number;
  /** Records behind the checkpoint that were (perhaps) applied. */
  #behind: Buffer[] = [];
  #checkpoint = 0;

  constructor(options: ApplierRigOptions = {}) {
    this.top = fs.mkdtempSync(join(tmpdir(), 'applier-'));
    this.source = join(this.top, 'source');
    this.copy = options.copy ?? join(this.top, 'copy');
    this.#patterns = options.patterns ?? EVERYTHING;
    fs.mkdirSync(this.source, { mode: 0o755 });
    fs.mkdirSync(this.copy, { recursive: true, mode: 0o755 });
    this.recorder = new Recorder(this.source, (record) => this.records.push(record));
    this.#copyFd = fs.openSync(this.copy, 'r');
    // What a first copy would have brought.
    execFileSync('touch', ['-r', this.source, this.copy]);
    this.applier = this.#newApplier();
  }

  #newApplier(): Applier {
    const directories = [{ fd: this.#copyFd, label: this.copy, patterns: this.#patterns }];
    return new Applier({ directories, onNeed: (need) => this.needs.push(need) });
  }

  /** Applies one record. */
  apply(record: Buffer): ApplyFault | undefined {
    return this.applier.apply(record, new DataView(record.buffer, record.byteOffset), 0);
  }

  /** Applies everything recorded, in batches; throws at a fault. */
  applyAll(batch = 7): void {
    for (const [index, record] of this.records.splice(0).entries()) {
      this.#must(this.apply(record));
      this.#behind.push(record);
      if (index % batch === 0) this.#must(this.applier.endBatch());
    }
    this.#must(this.applier.endBatch());
  }

  /** Applies a random part of what is recorded; returns how many records are surely applied. */
  applySome(random: Random): number {
    const all = this.records;
    const reached = random.below(all.length + 1);
    let settled = this.#behind.length;
    for (const record of all.splice(0, reached)) {
      this.#must(this.apply(record));
      this.#behind.push(record);
      if (!random.chance(0.1)) continue;
      this.#must(this.applier.endBatch());
      settled = this.#behind.length;
    }
    return settled;
  }

  /** Brings everything that is applied to the disk. */
  sync(): void {
    this.#must(this.applier.endBatch());
    if (sys.syncfs(this.#copyFd) < 0) throw new Error('syncfs failed');
  }

  /** Records applied since the last checkpoint. */
  get applied(): number {
    return this.#behind.length;
  }

  /** Everything up to `count` records behind the last checkpoint will not be applied again. */
  moveCheckpoint(count: number): void {
    this.#behind.splice(0, count);
    this.#checkpoint += count;
  }

  /** Ends the applier as kill -9 does: times that are pending are lost, nothing else. */
  kill(): void {
    for (const volume of this.applier.volumes) volume.open.abandon();
    fs.closeSync(this.#copyFd);
    this.#copyFd = -1;
  }

  /** Starts an applier over what the killed one left; records behind the checkpoint come again. */
  restart(): void {
    this.#copyFd = fs.openSync(this.copy, 'r');
    this.applier = this.#newApplier();
    const behind = this.#behind.splice(0);
    this.records.unshift(...behind);
    const tail = this.#checkpoint + this.records.length;
    this.beforeRedo(this.#checkpoint, tail);
    const bytes = Buffer.from(new Uint8Array(Buffer.concat(this.records)));
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const runs = [{ bytes, view, at: 0, end: bytes.length }];
    const next = () => runs.shift();
    this.#must(prepareRedo(this.applier, { checkpoint: this.#checkpoint, tail, next }));
  }

  /** For what has to look at the copy before records are applied again. */
  protected beforeRedo(_checkpoint: number, _tail: number): void {}

  /** Payload of a `scanDirEnd`: what the source directory at `path` is like now. */
  directoryBlock(path: string): Buffer {
    return namespaceBlock(this.recorder.stat(path));
  }

  differences(options?: CompareOptions): string[] {
    return compareTrees(this.source, this.copy, options);
  }

  close(): void {
    if (this.#copyFd >= 0) {
      this.applier.close();
      fs.closeSync(this.#copyFd);
    }
    this.recorder.close();
    fs.rmSync(this.top, { recursive: true, force: true });
  }

  #must(fault: ApplyFault | undefined): void {
    if (fault !== undefined)
      throw new Error(`${fault.kind}, record ${fault.sequence}: ${fault.message}`);
  }
}
