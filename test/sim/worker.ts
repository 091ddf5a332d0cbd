// One core's share of the schedules. Sends its sums as it goes.
import { parentPort, workerData } from 'node:worker_threads';
import { runSchedule } from './run.ts';
import { addResult, emptyTotals, type Totals } from './totals.ts';
import type { Bugs } from './world.ts';

export interface SimWorkerData {
  readonly first: number;
  readonly count: number;
  readonly bugs: Bugs;
  readonly permitted: boolean;
  readonly secondsMax: number;
  readonly stopAtFirst: boolean;
}
export type FromSimWorker = Totals;

const REPORT_EVERY = 200;
const { first, count, bugs, permitted, secondsMax, stopAtFirst } = workerData as SimWorkerData;
const endsAt = performance.now() + secondsMax * 1000;
let totals = emptyTotals();
for (let seed = first; seed < first + count && performance.now() < endsAt; seed += 1) {
  addResult(totals, runSchedule({ seed, bugs, permitted }));
  if (stopAtFirst && totals.violations > 0) break;
  if (totals.schedules < REPORT_EVERY) continue;
  parentPort?.postMessage(totals);
  totals = emptyTotals();
}
parentPort?.postMessage(totals);
