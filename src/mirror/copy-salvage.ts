// Data that a node has of its own when it becomes a standby (an old primary's tail that nobody received,
// above all), and those of a copy that somebody has changed underneath, are not dropped by the scan that makes them equal to the
// primary: they are kept aside.
//
//   empty, diverged ──scan: the undo log has what it replaces──▶ end of the scan: complete ──▶ salvage/NAME ──▶ goes on
//                       └──the process dies, another scan──▶ the log goes on, back to the first beginning
//
// From the end of the scan on the copy may be promoted, but it stands still until the salvage is written: that is read from the copy,
// too. The next process begins with it. Where there is no room for it, an event says what is given up.
import { statfsSync } from 'node:fs';
import { dirname } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { EVERYTHING } from '../core/patterns.ts';
import type { PersistedCopy, StandbyStateData } from '../journal/standby-state.ts';
import type { ScanStart } from './receiver.ts';
import { type SalvageHead, salvageName } from './salvage/salvage-report.ts';
import { SalvageStore } from './salvage/salvage-store.ts';
import { SALVAGE_LIMITS } from './salvage/salvage-writer.ts';
import { salvageEvent } from './standby-events.ts';
import type { StandbyParts } from './standby-parts.ts';

/** Salvages kept at most, and the share of the disk that they may take together. */
const KEPT_MAX = 10;
const DISK_SHARE = 0.1;

type Salvage = NonNullable<StandbyStateData['salvage']>;

export class CopySalvage {
  readonly #parts: StandbyParts;
  readonly #store: SalvageStore | undefined;
  #isAborted = false;

  constructor(parts: StandbyParts) {
    this.#parts = parts;
    const { group, salvage } = parts.options;
    this.#store = salvage === undefined ? undefined : new SalvageStore(salvage.directory, group);
  }

  /** Something is to be kept at the end of the scan. */
  get isPending(): boolean {
    return this.#parts.state.data.salvage !== null;
  }

  /** After a crash: what was made in part goes, what was complete stays. */
  resume(): void {
    this.#store?.tidy();
    const { salvage } = this.#parts.state.data;
    if (salvage !== null && this.#store?.has(salvage.name) === true) this.#settle();
  }

  /** In this order: a log that does not go back to a copy must not be taken for one that does. */
  #settle(): void {
    const { state, undo } = this.#parts;
    undo.clear();
    state.update({ salvage: null });
  }

  /**
   * A scan begins that makes something else of the data at hand. `from`: what they were a copy of, and whether there are
   * any. Returns what has to be remembered; null: nothing, or it cannot be kept.
   */
  begin(
    { position, trustedSinceMs }: ScanStart,
    from: { readonly copy: PersistedCopy; readonly isEmpty: boolean },
  ): StandbyStateData['salvage'] {
    const { state, options, undo, clock, marks } = this.#parts;
    const pending = state.data.salvage;
    if (this.#store === undefined || options.undo === undefined) return null;
    const isOwn = from.copy === 'empty' && !from.isEmpty && options.salvage?.isBase !== true;
    if (pending === null && !isOwn && from.copy !== 'diverged') return null;
    // What a scan had made of a copy is no version of anybody's, and its log leads back to that copy.
    if (pending === null && state.data.staged !== null) return null;
    // What led to a diverged copy is not what was there.
    if (pending === null && from.copy === 'diverged') undo.clear();
    const why = undo.prepareScan(position.sequence, { goesOn: pending !== null });
    if (why !== undefined) {
      this.#tellLost(why);
      return null;
    }
    if (pending !== null) return pending;
    const atMs = clock.wallMs();
    const newest = marks.all.at(-1);
    return {
      name: salvageName(atMs, position.epoch),
      undo: position.sequence,
      atMs,
      ownSinceMs: Number.isFinite(trustedSinceMs) ? trustedSinceMs : null,
      own: newest === undefined ? null : { streamId: newest.streamId, sequence: newest.sequence },
    };
  }

  /** What a scan replaces cannot be kept any more. */
  lost(why: string): void {
    this.#parts.state.update({ salvage: null });
    this.#tellLost(why);
  }

  #tellLost(why: string): void {
    const { options, handlers } = this.#parts;
    const what = `what only this node had of group ${options.group} is being replaced and cannot be kept aside`;
    handlers.onEvent('error', 'SALVAGE_LOST', `${what}: ${why}`, {});
  }

  /** Writes the salvage. Nothing may change the copy meanwhile. */
  async keep(): Promise<void> {
    const { salvage } = this.#parts.state.data;
    if (salvage === null || this.#store === undefined) return;
    try {
      await this.#write(salvage, this.#store);
    } catch (error) {
      // The next process goes on with it.
      if (this.#isAborted) return;
      this.#store.abandon(salvage.name);
      this.#tellLost(messageOf(error));
    }
    this.#settle();
  }

  async #write(salvage: Salvage, store: SalvageStore): Promise<void> {
    const { options, undo, handlers } = this.#parts;
    const { name, undo: target, ownSinceMs } = salvage;
    const { directories, group } = options;
    const directoriesToRead = directories.map(({ fd, dir, patterns = EVERYTHING }) => {
      return { fd, label: dir, ...patterns };
    });
    const { counts } = await undo.salvage({
      store: store.directory,
      head: this.#head(salvage),
      target,
      directories: directoriesToRead,
      ownSinceMs: ownSinceMs ?? Number.NaN,
      limits: SALVAGE_LIMITS,
    });
    if (counts.paths === 0) return;
    store.keep(name);
    handlers.onEvent(...salvageEvent(group, name, counts));
    const { blocks, bsize } = statfsSync(dirname(store.directory));
    for (const removed of store.prune({
      countMax: KEPT_MAX,
      bytesMax: blocks * bsize * DISK_SHARE,
    })) {
      const what = `salvage "${removed}" of group ${group} is removed: at most ${KEPT_MAX} are kept, and a tenth of the disk`;
      handlers.onEvent('warning', 'SALVAGE_REMOVED', what, { name: removed });
    }
  }

  #head({ name, atMs, ownSinceMs, own }: Salvage): SalvageHead {
    const { options, state } = this.#parts;
    const { epoch, streamId } = state.data.checkpoint;
    return {
      name,
      group: options.group,
      at: new Date(atMs).toISOString(),
      epoch,
      streamId,
      own,
      since: ownSinceMs === null ? null : new Date(ownSinceMs).toISOString(),
      directories: options.directories.map(({ dir }) => dir),
    };
  }

  /** The process ends: a salvage that is being written is given up, the next process writes it. */
  abort(): void {
    this.#isAborted = true;
    this.#parts.undo.abortSalvage();
  }
}
