// All faults that the torture knows. Each says in its parameters everything that is random about it.
import { setTimeout as sleep } from 'node:timers/promises';
import { hostFaults } from './faults/hosts.ts';
import { networkFaults } from './faults/network.ts';
import { operatorFaults } from './faults/operator.ts';
import { processFaults } from './faults/processes.ts';
import { diskFaults } from './faults/disks.ts';
import { UnderstudyError } from '../../src/core/errors.ts';
import type { DrawnFault, Fault, PlannedStep, Scene } from './types.ts';

export const allFaults: readonly Fault[] = [
  ...hostFaults,
  ...networkFaults,
  ...processFaults,
  ...diskFaults,
  ...operatorFaults,
];

export function faultOf({ name }: DrawnFault): Fault {
  const fault = allFaults.find((each) => each.name === name);
  if (fault !== undefined) return fault;
  throw unknownFault(name);
}

/** The faults of those names, or all. Errors: USAGE. */
export function chooseFaults(names: readonly string[] | undefined): readonly Fault[] {
  if (names === undefined) return allFaults;
  return names.map((name) => faultOf({ name, parameters: {} }));
}

function unknownFault(name: string): UnderstudyError {
  const known = allFaults.map((fault) => fault.name).join(', ');
  return new UnderstudyError('USAGE', `there is no fault "${name}"; there are: ${known}`);
}

/** Strikes with every fault of a step, waits, and heals in reverse, whatever happened. */
export async function inflict(scene: Scene, step: PlannedStep): Promise<void> {
  const struck: DrawnFault[] = [];
  try {
    for (const [index, drawn] of step.faults.entries()) {
      if (index > 0) await sleep(step.gapMs);
      struck.push(drawn);
      await faultOf(drawn).strike(scene, drawn.parameters);
    }
    await sleep(step.holdMs);
  } finally {
    for (const drawn of struck.toReversed()) await faultOf(drawn).heal?.(scene, drawn.parameters);
  }
}
