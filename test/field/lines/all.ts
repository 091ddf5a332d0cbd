// All lines, in the order of the table.
import type { FieldLine } from '../types.ts';
import { applicationLines } from './application.ts';
import { diskLines } from './disk.ts';
import { networkLines } from './network.ts';
import { partition } from './partition.ts';
import { powerLines } from './power.ts';
import { serviceLines } from './service.ts';

export const allLines: readonly FieldLine[] = [
  ...powerLines,
  ...networkLines,
  ...diskLines,
  ...applicationLines,
  ...serviceLines,
  partition,
];
