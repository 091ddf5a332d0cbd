// A source with a recorder, and a copy with an applier and an undo log: what the applier's loop does,
// without a journal.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { errno } from '../../src/linux/constants.ts';
import type { ApplyFault } from '../../src/mirror/applier/fault.ts';
import { sys } from '../../src/linux/libc.ts';
import { sequenceAt } from '../../src/journal/segment.ts';
import { rollBack } from '../../src/mirror/applier/rollback.ts';
import {
  UndoKeeper,
  type UndoTold,
  type UndoSettings,
} from '../../src/mirror/applier/undo-keeper.ts';
import { ApplierRig, type ApplierRigOptions } from './applier-rig.ts';
import { compareTrees, snapshotTree, type CompareOptions } from './tree.ts';

export const GROUP_ID = 'ab'.repeat(16);

/** What the source was like after a record. */
export interface Moment {
  readonly sequence: number;
  readonly tree: ReturnType<typeof snapshotTree>;
}

export class UndoRig extends ApplierRig {
  readonly logDirectory: string;
  readonly news: UndoTold[] = [];
  /** States that have to be told one by one. */
  readonly marks: number[] = [];
  keeper: UndoKeeper;
  /** What is different for the keeper of the next {@link restart}. */
  afterRestart: Partial<UndoSettings> = {};
  #settings: UndoSettings;
  #open = true;

  constructor(options: ApplierRigOptions & Partial<UndoSettings> = {}) {
    super(options);
    this.logDirectory = options.directory ?? join(this.top, 'undo');
    this.#settings = {
      directory: this.logDirectory,
      groupId: GROUP_ID,
      hours: 24,
      diskPercent: 10,
      begin: 'complete',
      marks: [],
      redoUntil: 0,
      ownSinceMs: Number.NaN,
      ...options,
    };
    this.keeper = this.startKeeper(0);
  }

  startKeeper(checkpoint: number, change: Partial<UndoSettings> = {}): UndoKeeper {
    this.#settings = { ...this.#settings, ...change };
    this.keeper = new UndoKeeper(this.#settings, this.applier, (news) => this.news.push(news));
    const fault = this.keeper.start(checkpoint);
    if (fault !== undefined) throw new Error(fault.message);
    this.#open = true;
    return this.keeper;
  }

  /** A full disk gets what the undo log and the shelf have, as in the applier's loop. */
  override apply(record: Buffer): ApplyFault | undefined {
    const fault = super.apply(record);
    if (fault?.errno !== -errno.ENOSPC) return fault;
    this.keeper.makeRoom();
    return super.apply(record);
  }

  /** Applies what is recorded; `onBatch` may end it before a batch is applied, as a crash does. */
  applyKept(onBatch: (last: number) => boolean = () => true): void {
    const records = this.records.splice(0);
    if (records.length === 0) return;
    const bytes = Buffer.from(new Uint8Array(Buffer.concat(records)));
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    let next = 0;
    for (let at = 0; at < bytes.length;) {
      const end = this.keeper.take(bytes, view, at, bytes.length);
      const part: Buffer[] = [];
      for (; at < end; at += part.at(-1)?.length ?? 0)
        part.push(records[next++] ?? Buffer.alloc(0));
      const last = part.at(-1) ?? Buffer.alloc(0);
      const go = onBatch(sequenceAt(new DataView(last.buffer, last.byteOffset), 0));
      if (!go) {
        this.records = records.slice(next - part.length);
        return;
      }
      this.records = part;
      this.applyAll(part.length);
      this.keeper.applied(this.applier.sequence);
    }
  }

  /** The state of the source now, which the copy gets. */
  moment(): Moment {
    this.applyKept();
    this.keeper.rest(this.applier.sequence);
    this.marks.push(this.recorder.sequence);
    return { sequence: this.recorder.sequence, tree: snapshotTree(this.source) };
  }

  /** Takes the copy back; the log then ends there. */
  goBack(target: number): void {
    this.closeKeeper();
    this.applier.close();
    const fd = fs.openSync(this.copy, 'r');
    const directories = [{ fd, label: this.copy }];
    rollBack({ logDirectory: this.logDirectory, groupId: GROUP_ID, target, directories });
    sys.syncfs(fd);
    fs.closeSync(fd);
  }

  /** Everything applied is on the disk and will not be applied again. */
  checkpoint(): void {
    this.keeper.rest(this.applier.sequence);
    this.sync();
    this.moveCheckpoint(this.applied);
  }

  override kill(): void {
    this.closeKeeper();
    super.kill();
  }

  protected override beforeRedo(checkpoint: number, tail: number): void {
    this.startKeeper(checkpoint, { redoUntil: tail, marks: this.marks, ...this.afterRestart });
  }

  closeKeeper(): void {
    if (this.#open) this.keeper.close();
    this.#open = false;
  }

  differencesTo({ tree }: Moment, options?: CompareOptions): string[] {
    return compareTrees(tree, this.copy, options);
  }

  override close(): void {
    this.closeKeeper();
    super.close();
  }
}
