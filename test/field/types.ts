// What the field test plays: one `FieldLine` for each line of the table of accidents.
import type { LabHost } from '../../lab/host.ts';
import type { NodeEvent } from '../support/managed-pair.ts';
import type { Bed } from './bed.ts';

/** One round: who is who when the accident happens. */
export interface Scene {
  readonly bed: Bed;
  readonly primary: LabHost;
  readonly standby: LabHost;
  /** Progress for people. */
  readonly note: (text: string) => void;
}

export interface FieldLine {
  readonly name: string;
  readonly fault: string;
  /** For people: what has to happen. */
  readonly expected: string;
  /** Whether the standby has to become primary; `either`: both are right. */
  readonly moves: boolean | 'either';
  /**
   * Longest time without an acknowledgement that is still right. Loose, since other work may share the cores; the
   * table shows what it was.
   */
  readonly outageMsMax: number;
  /** Codes of the events by which the accident was noticed; the first of them in time counts. */
  readonly noticedBy: readonly string[];
  readonly mode?: 'sync' | 'async';
  /** Default: the gateway. */
  readonly arbiter?: 'etcd';
  /** Acknowledged transfers may be lost, as long as they are a tail (mode `async`). */
  readonly mayLoseTail?: boolean;
  /** How long to watch that nothing moves, and how long to go on after a move. Default 4 s and 1.5 s. */
  readonly watchMs?: number;
  /**
   * Makes the accident; resolves when it is there. With the time at which it happened when something had to be
   * prepared first.
   */
  readonly strike: (scene: Scene) => Promise<number | void>;
  /** Ends it, before the next round. */
  readonly mend?: (scene: Scene) => Promise<void>;
  /** The outage is counted from the mending on: nobody could have served before. */
  readonly outageFromMend?: boolean;
  /** Looked at after all else: what is not as it should be. */
  readonly inspect?: (scene: Scene, round: RoundFacts) => Promise<string[]>;
}

/** What was seen in one round. */
export interface RoundFacts {
  readonly struckAt: number;
  readonly mendedAt: number | null;
  readonly moved: boolean;
  /** From the accident to the first event that names it; null: none did. */
  readonly noticedMs: number | null;
  readonly outageMs: number;
  readonly acknowledged: number;
  readonly lost: number;
  /** Programs that wanted a core, on the whole machine, in the minute before (getloadavg(3)). */
  readonly load: number;
  readonly events: readonly NodeEvent[];
}

export interface RoundResult extends RoundFacts {
  readonly line: string;
  readonly round: number;
  /** What was not as expected; empty: as designed. */
  readonly findings: readonly string[];
  /** Where the logs of a bad round are. */
  readonly logs: string | null;
}
