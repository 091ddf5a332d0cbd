// All lines, in the order of the table.
import type { FieldLine } from '../types.ts';
import { applicationLines } from './application.ts';
import { diskLines } from './disk.ts';
import { networkLines } from './network.ts';
import { partition } from './partition.ts';
import { powerLines } from './power.ts';
import { saturation } from './saturation.ts';
import { serviceLines } from './service.ts';

/** Played only when they are named: they take long. */
export const longLines: readonly FieldLine[] = [saturation];

export const allLines: readonly FieldLine[] = [
  ...powerLines,
  ...networkLines,
  ...diskLines,
  ...applicationLines,
  ...serviceLines,
  partition,
];
