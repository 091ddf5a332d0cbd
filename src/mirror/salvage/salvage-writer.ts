// Keeps aside what a scan has replaced on a node that had data of its own: the versions of this node, as
// plain files. Runs when the end of the scan is applied and nothing more is; the copy is only read.
//
//   names and attributes then ─▶ what differs now? ─▶ contents from the undo log ─▶ whole, or ranges
//
// Only what this node may have changed since the point that both nodes know is kept: what is older, the
// other node had too.
import { mkdirSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Patterns } from '../../core/patterns.ts';
import { UnderstudyError } from '../../core/errors.ts';
import { AT, errno, errnoName, O } from '../../linux/constants.ts';
import { cpath, sys } from '../../linux/libc.ts';
import { readUndoSegments } from '../../journal/undo-reader.ts';
import { planRollback } from '../applier/rollback-plan.ts';
import { RollbackFailure } from '../applier/rollback-tree.ts';
import { DirectorySalvage } from './directory-salvage.ts';
import type { SalvageCounts, SalvageEntry, SalvageHead, SalvageReport } from './salvage-report.ts';
import { REPORT_FILE, SalvageStore } from './salvage-store.ts';

export interface SalvageOptions {
  readonly store: string;
  readonly head: SalvageHead;
  readonly logDirectory: string;
  readonly groupId: string;
  /** The state before the scan, in the undo log. */
  readonly target: number;
  /** Open roots of the protected directories, in the order of their index, and what is mirrored of them. */
  readonly directories: readonly SalvagedDirectory[];
  /** Objects with an older ctime (ms, this node's clock) are left out; NaN: none are. */
  readonly ownSinceMs: number;
  readonly limits: SalvageLimits;
}

export interface SalvagedDirectory {
  readonly fd: number;
  readonly label: string;
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

export interface SalvageLimits {
  /** Share of the disk that stays free where whole files are written. */
  readonly freeShare: number;
  /** Bytes of whole files at most; of what does not fit only the ranges that differ are kept. */
  readonly wholeBytesMax: number;
  /** Share of the disk below which not even that is written. */
  readonly freeShareMin: number;
}

export const SALVAGE_LIMITS: SalvageLimits = {
  freeShare: 0.1,
  wholeBytesMax: 16 * 1024 ** 3,
  freeShareMin: 0.03,
};

/** Paths listed in a report. */
const ENTRIES_MAX = 20_000;

/**
 * Makes a salvage below `.making-…` of the store, durable; the caller keeps or abandons it. Returns what is
 * in it; no paths: there is nothing to keep. Errors: SALVAGE_FAILED, UNDO_DAMAGED, REWIND_NOT_KEPT.
 */
export function writeSalvage(options: SalvageOptions): SalvageReport {
  const { head } = options;
  const store = new SalvageStore(options.store, head.group);
  const { freeShare, wholeBytesMax } = options.limits;
  try {
    try {
      return write(options, store, Math.min(wholeBytesMax, roomFor(options, freeShare)));
    } catch (error) {
      if (!(error instanceof RollbackFailure) || error.negative !== -errno.ENOSPC) throw error;
      // The disk filled meanwhile: as little as there may be.
      return write(options, store, 0);
    }
  } catch (error) {
    store.abandon(head.name);
    if (!(error instanceof RollbackFailure)) throw error;
    throw new UnderstudyError(
      'SALVAGE_FAILED',
      `cannot ${error.message} (${errnoName(error.negative)})`,
    );
  }
}

/** Bytes that may be written so that a share of the disk stays free. */
function roomFor({ store }: SalvageOptions, freeShare: number): number {
  mkdirSync(store, { recursive: true, mode: 0o700 });
  const { bavail, blocks, bsize } = statfsSync(store);
  return Math.max(0, (bavail - blocks * freeShare) * bsize);
}

function write(options: SalvageOptions, store: SalvageStore, wholeBytes: number): SalvageReport {
  const { logDirectory, groupId, target, directories, head, limits, ownSinceMs } = options;
  const { segments } = readUndoSegments(logDirectory, groupId);
  const plans = planRollback({ logDirectory, segments, target, directories: directories.length });
  const logBytes = segments.reduce((sum, { bytes }) => sum + bytes, 0);
  const isShort = logBytes > roomFor(options, limits.freeShareMin);
  if (isShort) throw new RollbackFailure(-errno.ENOSPC, `write to ${options.store}`);
  const top = store.begin(head.name);
  const room = { wholeBytes };
  const found: Found = { entries: [], counts: noCounts(), notListed: 0 };
  for (const [index, { fd, label, include, exclude }] of directories.entries()) {
    const plan = plans[index];
    if (plan === undefined) continue;
    const below = directories.length === 1 ? '' : `${index}-${label.replace(/^.*\//, '')}`;
    const salvage = new DirectorySalvage({
      top,
      below,
      index,
      fd,
      plan,
      log: { directory: logDirectory, segments, target },
      patterns: new Patterns(include, exclude),
      ownSinceMs,
      room,
      onEntry: (entry) => note(found, entry),
      onOlder: () => (found.counts.older += 1),
    });
    found.counts.keptBytes += salvage.run();
  }
  const report = { version: 1 as const, ...head, ...found };
  if (found.counts.paths > 0) {
    writeFileSync(join(top, REPORT_FILE), `${JSON.stringify(report, null, 1)}\n`, { mode: 0o600 });
    makeDurable(top);
  } else store.abandon(head.name);
  return report;
}

interface Found {
  readonly entries: SalvageEntry[];
  readonly counts: { -readonly [K in keyof SalvageCounts]: SalvageCounts[K] };
  notListed: number;
}

const noCounts = (): Found['counts'] => ({
  paths: 0,
  whole: 0,
  ranges: 0,
  attributes: 0,
  none: 0,
  changedBytes: 0,
  keptBytes: 0,
  older: 0,
});

function note(found: Found, entry: SalvageEntry): void {
  found.counts.paths += 1;
  found.counts[entry.kept] += 1;
  found.counts.changedBytes += entry.changedBytes;
  if (found.entries.length < ENTRIES_MAX) found.entries.push(entry);
  else found.notListed += 1;
}

function makeDurable(top: string): void {
  const fd = sys.openat(AT.FDCWD, cpath(top), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0);
  const result = fd < 0 ? fd : sys.syncfs(fd);
  if (fd >= 0) sys.close(fd);
  if (result < 0) throw new RollbackFailure(result, `bring ${top} to the disk`);
}
