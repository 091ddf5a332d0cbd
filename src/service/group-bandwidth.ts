// The bandwidth limit of a group: the newer one holds on both nodes, and the primary's process is told.
import { messageOf } from '../core/errors.ts';
import type { Bandwidth } from './bandwidth.ts';
import type { GroupDefinition } from './group-definition.ts';
import type { GroupView } from './node-protocol.ts';

const TIMEOUT_MS = 5000;

export interface GroupBandwidthOptions {
  readonly group: string;
  readonly definition: () => GroupDefinition;
  readonly isPrimary: () => boolean;
  /** The primary's process runs here. */
  readonly isRunning: () => boolean;
  /** Persists the limit. */
  readonly save: (bandwidth: Bandwidth) => void;
  readonly call: (method: string, params: Record<string, unknown>, ms: number) => Promise<unknown>;
  readonly onTold: () => void;
  readonly warn: (code: string, sentence: string) => void;
}

export class GroupBandwidth {
  readonly #options: GroupBandwidthOptions;
  /** Revision that the process was started with or told; -1: not known. */
  #toldRevision = -1;
  /** Of the limit that could not be brought into force last: it is tried again, and told once. */
  #warnedRevision = -1;
  #isTelling = false;

  constructor(options: GroupBandwidthOptions) {
    this.#options = options;
  }

  get #present(): Bandwidth {
    return this.#options.definition().replication.bandwidth;
  }

  /** A process is started with the present limit. */
  started(): void {
    this.#toldRevision = this.#present.revision;
  }

  /** A process was found that may have been started with any limit. */
  found(): void {
    this.#toldRevision = -1;
  }

  /** Persisted, then told to the primary's process if it runs here. One that is being started reads it anyway. */
  async change(bandwidth: Bandwidth): Promise<void> {
    if (bandwidth.revision < this.#present.revision) return;
    this.#options.save(bandwidth);
    await this.#tell();
  }

  /** The process runs. */
  async running(): Promise<void> {
    if (this.#toldRevision !== this.#present.revision) await this.#tell();
  }

  async #tell(): Promise<void> {
    const { isRunning, call, onTold } = this.#options;
    if (!isRunning()) return;
    const bandwidth = this.#present;
    this.#toldRevision = bandwidth.revision;
    this.#isTelling = true;
    try {
      await call('limit', { bandwidth }, TIMEOUT_MS);
    } catch (thrown) {
      this.#notSet(bandwidth, thrown);
    }
    this.#isTelling = false;
    onTold();
  }

  /** The primary's process goes by the limit of this revision: what it did not hear of is told again. */
  async seen(revision: unknown): Promise<void> {
    const isBehind = typeof revision === 'number' && revision < this.#present.revision;
    if (isBehind && !this.#isTelling) await this.#tell();
  }

  /** The primary's process: its share of the node's limit, bytes per second; null: the node has none. */
  async tellShare(share: number | null): Promise<void> {
    await this.#options.call('share', { share }, TIMEOUT_MS);
  }

  /** Of two equally new limits that of the primary holds. */
  adopt(other: GroupView | undefined): void {
    const { definition, isPrimary } = this.#options;
    if (other?.groupId !== definition().groupId || other.bandwidth === null) return;
    const own = this.#present;
    const isNewer =
      other.bandwidth.revision > own.revision ||
      (other.bandwidth.revision === own.revision &&
        other.role === 'primary' &&
        !isPrimary() &&
        JSON.stringify(other.bandwidth) !== JSON.stringify(own));
    if (!isNewer) return;
    const { bandwidth } = other;
    this.change(bandwidth).catch((thrown: unknown) => this.#notSet(bandwidth, thrown));
  }

  #notSet({ revision }: Bandwidth, thrown: unknown): void {
    const { group, warn } = this.#options;
    if (this.#warnedRevision === revision) return;
    this.#warnedRevision = revision;
    const sentence = `group "${group}": the bandwidth limit is not in force: ${messageOf(thrown)}`;
    warn('LIMIT_NOT_SET', sentence);
  }
}
