// What is measured of a group for charts, taken from what its node says of it. Pure.
import type { GroupView } from '../node-protocol.ts';

/** Name → what it is and its unit; the names are those of the API. */
export const MEASURES = {
  lagMs: { unit: 'ms', help: 'Age of the oldest change that the standby does not have yet' },
  backlogBytes: { unit: 'bytes', help: 'Changes that the standby does not have yet' },
  recordBytesPerSecond: { unit: 'bytes/s', help: 'Changes captured and sent, before compression' },
  wireBytesPerSecond: { unit: 'bytes/s', help: 'Sent over the network' },
  journalBytes: { unit: 'bytes', help: "In the standby's journal" },
  journalFill: { unit: 'share', help: "Part of the standby's journal that is in use, 0 to 1" },
  probeMs: { unit: 'ms', help: 'How long the slowest probe of an agent took' },
} as const;
export type Measure = keyof typeof MEASURES;
export const MEASURE_NAMES = Object.keys(MEASURES) as Measure[];

export type Measured = Partial<Record<Measure, number>>;

export function measuresOf(view: GroupView, journalBytesMax: number): Measured {
  const { role, status, agents } = view;
  const measured: Measured = {};
  if (status !== null && role === 'primary') {
    const rates = status['rates'] as Record<string, unknown> | undefined;
    set(measured, 'lagMs', status['lagMs']);
    set(measured, 'backlogBytes', status['backlogBytes']);
    set(measured, 'recordBytesPerSecond', rates?.['bytesPerSecond']);
    set(measured, 'wireBytesPerSecond', rates?.['wireBytesPerSecond']);
  }
  if (status !== null && role === 'standby') {
    set(measured, 'journalBytes', status['journalBytes']);
    const { journalBytes } = measured;
    if (journalBytes !== undefined && journalBytesMax > 0) {
      measured.journalFill = Math.min(1, journalBytes / journalBytesMax);
    }
  }
  const probes = agents.flatMap(({ seen }) => (seen === null ? [] : [seen.ms]));
  if (probes.length > 0) measured.probeMs = Math.max(...probes);
  return measured;
}

function set(measured: Measured, name: Measure, value: unknown): void {
  if (typeof value === 'number' && Number.isFinite(value)) measured[name] = value;
}
