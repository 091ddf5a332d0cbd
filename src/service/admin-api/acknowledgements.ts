// Which events an operator has seen. Bounded: acknowledgements of events that are long gone from the log go first.
import { z } from 'zod';
import { readOrPutAside, writeJsonDurably } from '../durable-file.ts';

const KEPT_MAX = 5000;

const fileSchema = z.strictObject({
  /** Everything up to this id counts as seen. */
  upTo: z.strictObject({ id: z.int().min(0), at: z.string(), by: z.string() }).nullable(),
  single: z.array(z.strictObject({ id: z.int().min(0), at: z.string(), by: z.string() })),
});

export interface Acknowledgement {
  /** ISO 8601. */
  readonly at: string;
  readonly by: string;
}

export class Acknowledgements {
  readonly #path: string;
  #kept: z.infer<typeof fileSchema>;

  /** Errors: STATE_FILE_INVALID. */
  constructor(path: string, onDamaged?: (sentence: string) => void) {
    this.#path = path;
    this.#kept = readOrPutAside(path, fileSchema, onDamaged) ?? { upTo: null, single: [] };
  }

  of(id: number): Acknowledgement | null {
    const single = this.#kept.single.find((one) => one.id === id);
    if (single !== undefined) return { at: single.at, by: single.by };
    const { upTo } = this.#kept;
    return upTo !== null && id <= upTo.id ? { at: upTo.at, by: upTo.by } : null;
  }

  acknowledge(ids: readonly number[], by: string): void {
    const at = new Date().toISOString();
    const fresh = ids.filter((id) => this.of(id) === null).map((id) => ({ id, at, by }));
    if (fresh.length === 0) return;
    const single = [...this.#kept.single, ...fresh].slice(-KEPT_MAX);
    this.#save({ ...this.#kept, single });
  }

  acknowledgeUpTo(id: number, by: string): void {
    const { upTo, single } = this.#kept;
    if (upTo !== null && upTo.id >= id) return;
    const later = single.filter((one) => one.id > id);
    this.#save({ upTo: { id, at: new Date().toISOString(), by }, single: later });
  }

  #save(kept: z.infer<typeof fileSchema>): void {
    writeJsonDurably(this.#path, kept);
    this.#kept = kept;
  }
}
