// What the torture does to a pair: faults, drawn with parameters from a seed.
import type { LabHost } from '../../lab/host.ts';
import type { Random } from '../support/random.ts';
import type { Roles } from '../support/managed-pair.ts';
import type { TortureBed } from './bed.ts';

export type Parameters = Readonly<Record<string, string | number | boolean>>;

/** One moment of the torture: who is who, and how to write down what is done. */
export interface Scene extends Roles {
  readonly bed: TortureBed;
  readonly note: (text: string) => void;
}

/** At most one fault of each kind at a time: two of them would undo or hide each other. */
export type FaultKind = 'host' | 'network' | 'process' | 'disk' | 'journal' | 'operator';

export interface Fault {
  readonly name: string;
  readonly kind: FaultKind;
  /** How often it is drawn, against the others. */
  readonly weight: number;
  /** Never drawn together with another fault, since it moves roles by itself or needs a quiet pair. */
  readonly alone?: boolean;
  /** Everything about it that is random, from the seed. */
  readonly draw: (random: Random) => Parameters;
  readonly strike: (scene: Scene, parameters: Parameters) => Promise<void>;
  /** Ends it. Called also when `strike` failed half-way. */
  readonly heal?: (scene: Scene, parameters: Parameters) => Promise<void>;
}

/** A fault with its parameters drawn. */
export interface DrawnFault {
  readonly name: string;
  readonly parameters: Parameters;
}

/** What happens in one step: one fault or a few, one after the other, then healing in reverse. */
export interface PlannedStep {
  readonly index: number;
  readonly faults: readonly DrawnFault[];
  /** Load before the first fault. */
  readonly warmUpMs: number;
  /** Between two faults. */
  readonly gapMs: number;
  /** From the last fault to the healing. */
  readonly holdMs: number;
}

export interface StepResult {
  readonly step: PlannedStep;
  readonly findings: readonly string[];
  /** Longest time without an acknowledged transfer. */
  readonly outageMs: number;
  /** From the healing to a pair that is whole. */
  readonly catchUpMs: number;
  /** Acknowledged while it lasted. */
  readonly commits: number;
  /** Whether the other node is primary now. */
  readonly moved: boolean;
  /** Where logs, journals and events of a bad step are. */
  readonly evidence: string | null;
}

/** The host that a parameter `on` names. */
export function hostOf(scene: Scene, { on }: Parameters): LabHost {
  return on === 'standby' ? scene.standby : scene.primary;
}
