// The start of the applier: looks at the markers, and makes the plans that they call for.
import { recordType } from '../../journal/record.ts';
import { RENAME, errno } from '../../linux/constants.ts';
import type { Applier } from './applier.ts';
import { type ApplyFault, callFault } from './fault.ts';
import { type Marker, readMarker } from './marker.ts';
import { isChangeMade } from './name-changes.ts';
import { RecordView } from './record-view.ts';
import { type NameChange, RedoPlan } from './redo-plan.ts';
import type { Volume } from './volume.ts';

/** Whole checked records `bytes[at … end)`, valid until the next are asked for. */
export interface RecordRun {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  readonly at: number;
  readonly end: number;
}

export interface RedoOptions {
  /** Last record that counts as applied, and is on the disk with all its effects. */
  readonly checkpoint: number;
  /** Last record of the journal. */
  readonly tail: number;
  /** The records behind the checkpoint, in order, from the first on. */
  readonly next: () => RecordRun | undefined;
}

/**
 * Prepares an applier for records that may have been applied before: everything behind the checkpoint.
 * Returns a fault when a marker cannot be read. With a marker that is not of this journal, the applier
 * accepts nothing but the beginning of a scan.
 */
export function prepareRedo(applier: Applier, options: RedoOptions): ApplyFault | undefined {
  const { checkpoint, tail } = options;
  const plans: (RedoPlan | undefined)[] = [];
  let last = checkpoint;
  for (const volume of applier.volumes) {
    const marker = readMarker(volume.root.fd);
    if (typeof marker === 'number') {
      return callFault(marker, checkpoint, { what: 'the marker', where: volume.label });
    }
    if (marker !== undefined && marker.sequence > tail) {
      applier.expectScan(unknownMarker(volume, marker));
      return undefined;
    }
    volume.resume(marker);
    const behind = marker !== undefined && marker.sequence > checkpoint;
    plans.push(behind ? new RedoPlan(checkpoint + 1) : undefined);
    if (behind) last = Math.max(last, marker.sequence);
  }
  if (last > checkpoint) {
    const stranger = fillPlans(applier.volumes, plans, { last, next: options.next });
    if (stranger?.marker !== undefined) {
      applier.expectScan(unknownMarker(stranger, stranger.marker));
      return undefined;
    }
  }
  applier.resume({ until: tail, plans });
  return undefined;
}

function unknownMarker(volume: Volume, marker: Marker): ApplyFault {
  const message =
    `${volume.label} was last changed by record ${marker.sequence} of epoch ${marker.epoch}, which ` +
    'the journal does not have: a new scan has to compare and repair the copy';
  const { sequence } = marker;
  return { kind: 'diverged', code: 'MARKER_UNKNOWN', sequence, errno: -errno.ENOENT, message };
}

interface PlanSource {
  readonly last: number;
  readonly next: () => RecordRun | undefined;
}

/** Returns a volume whose marker does not fit its record, if any. */
function fillPlans(
  volumes: readonly Volume[],
  plans: readonly (RedoPlan | undefined)[],
  { last, next }: PlanSource,
): Volume | undefined {
  const record = new RecordView();
  const confirmed = new Set<Volume>();
  for (let sequence = 0; sequence < last;) {
    const run = next();
    if (run === undefined) break;
    for (let at = run.at; at < run.end && sequence < last; at += record.totalBytes) {
      record.load(run.bytes, run.view, at);
      sequence = record.sequence;
      // What a scan finds is as it is: it makes markers of its own.
      if (record.type === recordType.scanBegin) return volumes.find((volume) => volume.marker);
      const volume = volumes[record.directory];
      if (volume?.marker === undefined) continue;
      if (isOf(volume.marker, record)) confirmed.add(volume);
      addToPlan(plans[record.directory], volume, record);
    }
  }
  return volumes.find((volume, index) => plans[index] !== undefined && !confirmed.has(volume));
}

const isOf = (marker: Marker, record: RecordView): boolean =>
  marker.sequence === record.sequence && marker.epoch === record.epoch;

/** The plan ends with the marked change if that was made, else before it. */
function addToPlan(plan: RedoPlan | undefined, volume: Volume, record: RecordView): void {
  const marked = volume.marker?.sequence ?? 0;
  if (plan === undefined || record.sequence > marked) return;
  if (record.sequence <= volume.floor) return;
  if (record.sequence === marked && !isChangeMade(volume, record)) return;
  const change = changeOf(record);
  if (change === undefined) return;
  const two = change === 'link' || change === 'rename' || change === 'exchange';
  const { sequence, path } = record;
  plan.add({ sequence, change, path, path2: two ? record.path2 : '' });
}

function changeOf(record: RecordView): NameChange | undefined {
  switch (record.type) {
    case recordType.create:
    case recordType.mkdir:
    case recordType.mknod:
    case recordType.symlink:
      return 'create';
    case recordType.link:
      return 'link';
    case recordType.rename:
      return (record.aux & RENAME.EXCHANGE) === 0 ? 'rename' : 'exchange';
    case recordType.unlink:
    case recordType.rmdir:
      return 'remove';
    default:
      return record.type < recordType.commit ? 'touch' : undefined;
  }
}
