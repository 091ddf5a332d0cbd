// Whether both nodes have the same settings of a group. A change that is cut short between them, because a service ends or an answer is
// lost, is on one of them only: nobody would notice before the other one is the primary, in another replication mode perhaps.
import { createHash } from 'node:crypto';
import type { GroupSettings } from './group-edit-input.ts';
import type { GroupTroubles } from './group-troubles.ts';
import { PROGRAM } from './installation.ts';
import type { GroupView, NodeView } from './node-protocol.ts';

/** One node has them first: that is no difference yet. */
const PATIENCE_MS = 10_000;
const DIGEST_LENGTH = 32;

/**
 * The same for the same settings. Without agents, which a node may not understand as the other one does, and the bandwidth limit,
 * which finds its way by itself.
 */
export function settingsDigest(settings: GroupSettings): string {
  const { replication, replicationPort, safety, verifyEveryMs } = settings;
  const compared = {
    replication: { ...replication, bandwidth: undefined },
    replicationPort,
    safety,
    verifyEveryMs,
  };
  return createHash('sha256')
    .update(JSON.stringify(compared, inOrder))
    .digest('hex')
    .slice(0, DIGEST_LENGTH);
}

/** Keys are in the order in which somebody wrote or read them. */
function inOrder(_key: string, value: unknown): unknown {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) return value;
  return Object.fromEntries(Object.entries(value).toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

export interface SettingsWatchOptions {
  readonly groupId: string;
  readonly settings: () => GroupSettings;
  /** They are being changed here. */
  readonly isEdited: () => boolean;
  readonly troubles: GroupTroubles;
}

export class SettingsWatch {
  readonly #options: SettingsWatchOptions;
  /** Since when they differ (performance.now()). */
  #since: number | undefined;

  constructor(options: SettingsWatchOptions) {
    this.#options = options;
  }

  /** The other node has others, and no change is under way. */
  get isDifferent(): boolean {
    return this.#options.troubles.get('settings') !== undefined;
  }

  /** The other node was asked, and knows the group as `other`. */
  look({ node }: NodeView, other: GroupView | undefined): void {
    const { groupId, settings, isEdited, troubles } = this.#options;
    // Another version may keep more of them, or less.
    const isComparable = other?.groupId === groupId && node.version === PROGRAM.version;
    const theirs = isComparable ? other.settings : undefined;
    const differ = theirs !== undefined && theirs !== settingsDigest(settings());
    this.#since = differ && !isEdited() ? (this.#since ?? performance.now()) : undefined;
    const isLong = this.#since !== undefined && performance.now() - this.#since >= PATIENCE_MS;
    const sentence = `its settings are others than on node "${node.name}", since a change of them was cut short: give the last "understudy group edit" again, with all that it was to change`;
    troubles.set('settings', isLong ? sentence : null);
  }
}
