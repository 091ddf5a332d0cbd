// One step of the torture: load, faults, healing, and then everything is compared and counted.
import { setTimeout as sleep } from 'node:timers/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { outagesIn } from '../../examples/ledger/client-log.ts';
import { messageOf } from '../../src/core/errors.ts';
import { waitUntil } from '../../lab/run.ts';
import type { Roles } from '../support/managed-pair.ts';
import type { TortureBed } from './bed.ts';
import { inflict } from './faults.ts';
import type { PlannedStep, StepResult } from './types.ts';

const SETTLE_TIMEOUT_MS = 180_000;
const ANSWER_TIMEOUT_MS = 200_000;
/** Load on the pair that is whole again, before it is stopped. */
const AFTER_MS = 1000;
const QUIET_MS = 500;
/**
 * While only these happen, no call of an application on the primary may fail: the file worker's mismatches
 * are findings then. During all others its calls may rightly fail or be lost.
 */
const UNNOTICED: ReadonlySet<string> = new Set([
  'kill-service',
  'kill-filter',
  'kill-mirror',
  'slow-link',
]);

interface Course {
  roles: Roles | undefined;
  after: Roles | undefined;
  struckAt: number;
  healedAt: number;
  wholeAt: number;
}

/** Plays it; never rejects: what went wrong is a finding. */
export async function playStep(
  bed: TortureBed,
  step: PlannedStep,
  { seed, note }: { readonly seed: number; readonly note: (text: string) => void },
): Promise<StepResult> {
  const course: Course = {
    roles: undefined,
    after: undefined,
    struckAt: 0,
    healedAt: 0,
    wholeAt: 0,
  };
  const findings: string[] = [];
  const before = bed.acknowledged.length;
  try {
    await play(bed, step, course, note);
    if (course.after !== undefined) findings.push(...(await bed.check(course.after)));
  } catch (failure) {
    findings.push(messageOf(failure));
  }
  findings.push(...judgeMismatches(bed, step));
  const evidence = findings.length === 0 ? null : await keep(bed, { seed, step, course });
  const times = bed.acknowledged.slice(before).map(({ at }) => at);
  return {
    step,
    findings,
    outageMs: Math.max(0, ...outagesIn(times, 1).map(({ ms }) => ms)),
    catchUpMs: course.wholeAt === 0 ? 0 : course.wholeAt - course.healedAt,
    commits: times.length,
    moved: course.after !== undefined && course.after.primary !== course.roles?.primary,
    evidence,
  };
}

async function play(
  bed: TortureBed,
  step: PlannedStep,
  course: Course,
  note: (text: string) => void,
): Promise<void> {
  course.roles = await bed.pair.settle(SETTLE_TIMEOUT_MS);
  await bed.startLoad();
  try {
    await waitForAnswer(bed, 'nobody answered before the fault');
    await sleep(step.warmUpMs);
    course.struckAt = Date.now();
    try {
      await inflict({ bed, ...course.roles, note }, step);
    } finally {
      course.healedAt = Date.now();
    }
    course.after = await bed.pair.settle(SETTLE_TIMEOUT_MS);
    course.wholeAt = Date.now();
    await waitForAnswer(bed, 'nobody answers after the healing');
    await bed.turnLoad();
    await sleep(AFTER_MS);
  } finally {
    await bed.stopLoad();
  }
  await sleep(QUIET_MS);
  course.after = await bed.pair.settle(SETTLE_TIMEOUT_MS);
}

async function waitForAnswer(bed: TortureBed, why: string): Promise<void> {
  const from = bed.answers.length;
  if (await waitUntil(() => bed.answers.length > from, ANSWER_TIMEOUT_MS, 50)) return;
  throw new Error(why);
}

function judgeMismatches(bed: TortureBed, step: PlannedStep): string[] {
  const mismatches = bed.mismatches();
  if (!step.faults.every(({ name }) => UNNOTICED.has(name))) return [];
  return mismatches.map((text) => `file worker on ${text.slice(0, 2000)}`);
}

async function keep(
  bed: TortureBed,
  { seed, step, course }: { seed: number; step: PlannedStep; course: Course },
): Promise<string | null> {
  const name = `understudy-torture-${seed}-${step.index}-${Date.now()}`;
  try {
    const events = await bed.pair.events(course.struckAt);
    return await bed.keepEvidence(join(tmpdir(), name), [step, ...events]);
  } catch {
    return null;
  }
}
