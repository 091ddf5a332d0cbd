// What the heartbeat thread knows, in shared memory: any thread of the process reads it without
// asking. One writer, the heartbeat thread; each cell is an aligned 64-bit float.
//
//   thread       beat of its loop, longest delay of the loop, urgency
//   network × 8  last heard, received, lost, late, refused, faults, jitter, gaps, round trip
//   group × 64   last heard, lease
import { assert } from '../../core/assert.ts';

export const PATHS_MAX = 8;
export const GROUPS_MAX = 64;

const THREAD = { loopMs: 0, loopDelayMaxMs: 1 } as const;
const THREAD_CELLS = 8;
const PATH = {
  lastHeardMs: 0,
  received: 1,
  lost: 2,
  late: 3,
  sent: 4,
  sendFailed: 5,
  refused: 6,
  faults: 7,
  jitterMs: 8,
  gapMaxMs: 9,
  roundTripMs: 10,
  roundTripMaxMs: 11,
  peerHeardMs: 12,
} as const;
const PATH_CELLS = 16;
const GROUP = { lastHeardMs: 0, leaseUntilMs: 1 } as const;
const GROUP_CELLS = 2;
const CELLS = THREAD_CELLS + PATHS_MAX * PATH_CELLS + GROUPS_MAX * GROUP_CELLS;
assert(CELLS * 8 <= 4096, 'the board fits into a page');

export type PathCell = keyof typeof PATH;
export type GroupCell = keyof typeof GROUP;
export type ThreadCell = keyof typeof THREAD;

/** One network as measured since the start. Times: CLOCK_BOOTTIME in ms; 0: never. */
export type PathMeasurements = Readonly<Record<PathCell, number>>;

export class HeartbeatBoard {
  readonly buffer: SharedArrayBuffer;
  readonly #cells: Float64Array;

  constructor(buffer: SharedArrayBuffer = new SharedArrayBuffer(4096)) {
    this.buffer = buffer;
    this.#cells = new Float64Array(buffer);
  }

  thread(cell: ThreadCell): number {
    return this.#cells[THREAD[cell]] ?? 0;
  }

  setThread(cell: ThreadCell, value: number): void {
    this.#cells[THREAD[cell]] = value;
  }

  path(index: number, cell: PathCell): number {
    return this.#cells[pathAt(index, cell)] ?? 0;
  }

  setPath(index: number, cell: PathCell, value: number): void {
    this.#cells[pathAt(index, cell)] = value;
  }

  count(index: number, cell: PathCell, by = 1): void {
    this.setPath(index, cell, this.path(index, cell) + by);
  }

  /** All numbers of one network. */
  measurements(index: number): PathMeasurements {
    const names = Object.keys(PATH) as PathCell[];
    const entries = names.map((cell) => [cell, this.path(index, cell)] as const);
    return Object.fromEntries(entries) as PathMeasurements;
  }

  group(slot: number, cell: GroupCell): number {
    return this.#cells[groupAt(slot, cell)] ?? 0;
  }

  setGroup(slot: number, cell: GroupCell, value: number): void {
    this.#cells[groupAt(slot, cell)] = value;
  }
}

function pathAt(index: number, cell: PathCell): number {
  assert(index >= 0 && index < PATHS_MAX, 'a network has a place on the board');
  return THREAD_CELLS + index * PATH_CELLS + PATH[cell];
}

function groupAt(slot: number, cell: GroupCell): number {
  assert(slot >= 0 && slot < GROUPS_MAX, 'a group has a place on the board');
  return THREAD_CELLS + PATHS_MAX * PATH_CELLS + slot * GROUP_CELLS + GROUP[cell];
}
