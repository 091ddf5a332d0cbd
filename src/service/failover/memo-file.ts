// What a group's machine must not forget (`failover.json`): its memo, and the number of its starts.
import { z } from 'zod';
import { firstMemo } from '../../cluster/machine/state.ts';
import type { Memo } from '../../cluster/machine/types.ts';
import { readJsonFile, writeJsonDurably } from '../durable-file.ts';

const markSchema = z.strictObject({ epoch: z.int().min(0), count: z.int().min(0) });
const memoFileSchema = z.strictObject({
  life: z.int().min(0),
  memo: z.strictObject({
    epoch: z.int().min(0),
    served: z.int().min(0),
    stale: z.boolean(),
    aloneSeen: markSchema.nullable(),
    paused: z.strictObject({ on: z.boolean(), version: z.int().min(0) }),
  }),
});

export class MemoFile {
  readonly #path: string;
  #life: number;
  #memo: Memo;

  /**
   * Reads the file, and counts one more start durably. The other node listens to no start before the newest that it knows: on a
   * disk that was put back to an earlier state, the time of day is what is ahead of that. Errors: STATE_FILE_INVALID.
   */
  constructor(path: string, isCreator: boolean) {
    this.#path = path;
    const kept = readJsonFile(path, memoFileSchema);
    this.#life = Math.max((kept?.life ?? 0) + 1, Math.floor(Date.now() / 1000));
    this.#memo = kept?.memo ?? firstMemo(isCreator);
    this.#write();
  }

  get life(): number {
    return this.#life;
  }

  get memo(): Memo {
    return this.#memo;
  }

  /**
   * Durable when this returns. Epochs never go back: the machine may not have heard yet of what was noted as served.
   */
  keep(memo: Memo): void {
    const epoch = Math.max(memo.epoch, this.#memo.epoch);
    const served = Math.max(memo.served, this.#memo.served);
    this.#memo = { ...memo, epoch, served };
    this.#write();
  }

  /** From now on this node may have written with `epoch`. */
  noteServing(epoch: number): void {
    this.keep({ ...this.#memo, epoch, served: epoch });
  }

  #write(): void {
    writeJsonDurably(this.#path, { life: this.#life, memo: this.#memo });
  }
}
