// The sequence of faults of a seed. Pure: each step depends on the seed and its number only, so that any
// part of a run can be repeated.
import { present } from '../../src/core/assert.ts';
import { Random } from '../support/random.ts';
import type { DrawnFault, Fault, PlannedStep } from './types.ts';

/** Share of the steps with a second fault while the first one lasts. */
const SECOND_SHARE = 0.3;

/** Step `index` (from 1) of `seed`, from the faults given. */
export function planStep(seed: number, index: number, faults: readonly Fault[]): PlannedStep {
  const random = new Random(Math.imul(seed, 0x9e3779b1) ^ Math.imul(index, 0x85ebca6b));
  const first = pick(random, faults);
  const chosen = [first];
  if (first.alone !== true && random.chance(SECOND_SHARE)) {
    const others = faults.filter(({ kind, alone }) => kind !== first.kind && alone !== true);
    if (others.length > 0) chosen.push(pick(random, others));
  }
  const drawn = chosen.map(({ name, draw }): DrawnFault => ({ name, parameters: draw(random) }));
  return {
    index,
    faults: drawn,
    warmUpMs: 800 + random.below(1500),
    gapMs: random.below(2500),
    holdMs: 300 + random.below(7000),
  };
}

function pick(random: Random, faults: readonly Fault[]): Fault {
  let left = random.below(faults.reduce((sum, { weight }) => sum + weight, 0));
  const chosen = faults.find(({ weight }) => (left -= weight) < 0);
  return present(chosen, 'a fault to draw');
}

/** `power-off on=primary, cut network=sync`. */
export function describeStep({ faults }: PlannedStep): string {
  return faults
    .map(({ name, parameters }) => {
      const list = Object.entries(parameters).map(([key, value]) => `${key}=${value}`);
      return [name, ...list].join(' ');
    })
    .join(', then ');
}
