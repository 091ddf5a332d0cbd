// What is wrong with a group on this node, as sentences; shown until it is over.

export type Trouble =
  | 'process'
  | 'agents'
  | 'readiness'
  | 'conflict'
  | 'handover'
  | 'peer'
  | 'failover'
  | 'arbiter'
  | 'halt'
  /** They differ between the nodes. */
  | 'settings'
  /** Somebody meddles with the mounts. */
  | 'mounts'
  /** Files are written past the filter. */
  | 'bypass';

export class GroupTroubles {
  readonly #sentences = new Map<Trouble, string>();

  /** null: it is over. */
  set(kind: Trouble, sentence: string | null): void {
    if (sentence === null) this.#sentences.delete(kind);
    else this.#sentences.set(kind, sentence);
  }

  get(kind: Trouble): string | undefined {
    return this.#sentences.get(kind);
  }

  get all(): readonly string[] {
    return [...this.#sentences.values()];
  }
}
