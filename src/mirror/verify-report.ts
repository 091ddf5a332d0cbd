// What the last comparison of this copy found: kept across restarts, shown in the status.
//
//   none ──begin──▶ running ──end──▶ equal | differs
//                      └──restart, scan──▶ interrupted
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { replaceFile } from '../journal/replace-file.ts';
import type { Difference, VerifyNotice } from './applier/verification.ts';

/** Differences that are listed; more are only counted. */
const LISTED_MAX = 200;

const differenceSchema = z.strictObject({
  directory: z.int().min(0).max(255),
  path: z.string().max(8192),
  kind: z.string().max(20),
  offset: z.int().min(0),
  length: z.int().min(0),
});

const reportSchema = z.strictObject({
  version: z.literal(1),
  state: z.enum(['none', 'running', 'equal', 'differs', 'interrupted']),
  /** Wall clock, ms; 0: not yet. */
  beganAtMs: z.number().min(0),
  endedAtMs: z.number().min(0),
  objects: z.int().min(0),
  bytes: z.int().min(0),
  /** All that were found. */
  count: z.int().min(0),
  /** The first of them; paths are latin1. */
  differences: z.array(differenceSchema).max(LISTED_MAX),
});
export type VerifyReportData = Readonly<z.infer<typeof reportSchema>>;

const NONE: VerifyReportData = {
  version: 1,
  state: 'none',
  beganAtMs: 0,
  endedAtMs: 0,
  objects: 0,
  bytes: 0,
  count: 0,
  differences: [],
};

export class VerifyReport {
  readonly #path: string;
  #data: VerifyReportData;
  #isKept = true;

  /** A file that cannot be used counts as none: a comparison can be made again. */
  constructor(path: string) {
    this.#path = path;
    this.#data = readReport(path);
    if (this.#data.state === 'running') this.#data = { ...this.#data, state: 'interrupted' };
  }

  get data(): VerifyReportData {
    return this.#data;
  }

  /** Takes over what the applier says. Returns true at the end of a comparison. To be {@link keep | kept}. */
  note(notice: VerifyNotice, nowMs: number): boolean {
    switch (notice.kind) {
      case 'begin':
        this.#change({ ...NONE, state: 'running', beganAtMs: nowMs });
        return false;
      case 'difference':
        this.#add(notice.difference);
        return false;
      case 'end': {
        const { objects, bytes } = notice;
        const state = this.#data.count === 0 ? 'equal' : 'differs';
        this.#change({ ...this.#data, state, objects, bytes, endedAtMs: nowMs });
        return true;
      }
    }
  }

  /** A scan has begun, or the copy is given up. To be {@link keep | kept}. */
  interrupt(): void {
    if (this.#data.state === 'running') this.#change({ ...this.#data, state: 'interrupted' });
  }

  #add(difference: Difference): void {
    const { count, differences } = this.#data;
    const listed = count < LISTED_MAX ? [...differences, { ...difference }] : differences;
    this.#data = { ...this.#data, count: count + 1, differences: listed };
  }

  #change(data: VerifyReportData): void {
    this.#data = data;
    this.#isKept = false;
  }

  /** Writes down what another process will have to know. Errors: STATE_IO; then it is to be tried again. */
  keep(): void {
    if (this.#isKept) return;
    replaceFile(this.#path, `${JSON.stringify(this.#data)}\n`);
    this.#isKept = true;
  }
}

function readReport(path: string): VerifyReportData {
  try {
    return reportSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch (thrown) {
    const isMissing = (thrown as NodeJS.ErrnoException).code === 'ENOENT';
    return isMissing ? NONE : { ...NONE, state: 'interrupted' };
  }
}
