// Holds copies of the descriptors of a running filter, so that its mounts live on when it dies, until
// another process serves them. Whoever decides that nobody shall serve them lets go: the kernel then
// ends everything that waits for them.
import { z } from 'zod';
import type { FilterDescriptors } from '../filter/filter.ts';
import { SharedState } from '../filter/shared-state.ts';
import { sys } from '../linux/libc.ts';
import { takeDescriptors } from '../linux/pidfd.ts';

const fdSchema = z.int().min(0);
export const filterDescriptorsSchema = z.strictObject({
  memory: fdSchema,
  store: fdSchema,
  storeEnd: fdSchema,
  directories: z.array(z.strictObject({ rootFd: fdSchema, fuseFd: fdSchema })).min(1),
});
/** Descriptors and the process that they are of. */
export const heldFilterSchema = z.strictObject({
  pid: z.int().min(1),
  held: filterDescriptorsSchema,
});
export type HeldFilter = z.infer<typeof heldFilterSchema>;

/** Copies, in this process, of descriptors of process `pid`; or a negative errno. */
export function copyDescriptors({ pid, held }: HeldFilter): FilterDescriptors | number {
  const pairs = held.directories.flatMap(({ rootFd, fuseFd }) => [rootFd, fuseFd]);
  const taken = takeDescriptors(pid, [held.memory, held.store, held.storeEnd, ...pairs]);
  if (typeof taken === 'number') return taken;
  const [memory = -1, store = -1, storeEnd = -1, ...rest] = taken;
  const directories = held.directories.map((_, index) => ({
    rootFd: rest[2 * index] ?? -1,
    fuseFd: rest[2 * index + 1] ?? -1,
  }));
  return { memory, store, storeEnd, directories };
}

export class FilterHolder {
  #held: FilterDescriptors | undefined;

  get isHolding(): boolean {
    return this.#held !== undefined;
  }

  /** What a successor needs to know. */
  get held(): HeldFilter | null {
    return this.#held === undefined
      ? null
      : heldFilterSchema.parse({ pid: process.pid, held: this.#held });
  }

  /** Why a filter of this installation cannot go on with what is held, as a clause; null: it can. */
  get whyUnusable(): string | null {
    if (this.#held === undefined) return 'the kernel does not let its mounts be handed over';
    return SharedState.whyUnusable(this.#held.memory);
  }

  /** Takes copies from a running filter. Returns 0 or a negative errno. */
  take(of: HeldFilter): number {
    this.letGo();
    const copies = copyDescriptors(of);
    if (typeof copies === 'number') return copies;
    this.#held = copies;
    return 0;
  }

  letGo(): void {
    const held = this.#held;
    this.#held = undefined;
    if (held === undefined) return;
    for (const { fuseFd, rootFd } of held.directories) {
      sys.close(fuseFd);
      sys.close(rootFd);
    }
    for (const fd of [held.memory, held.store, held.storeEnd]) sys.close(fd);
  }
}
