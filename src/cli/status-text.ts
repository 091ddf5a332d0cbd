// The status as people read it.
import { formatBytes, formatDurationMs } from '../core/units.ts';
import type { VerifyReportData } from '../mirror/verify-report.ts';
import type { OperationProgress } from '../service/admin-api/operations.ts';
import type { AgentView } from '../service/node-protocol.ts';
import type { CopyProgress, GroupStatus, ServiceStatus } from '../service/status.ts';
import { printable, table } from './output.ts';

const BAR_WIDTH = 30;
/** The other node is asked every few seconds: what is told of it is that old at most while all is well. */
const PEER_AGE_TOLD_MS = 5000;

export function statusText(status: ServiceStatus): string {
  const head = headText(status);
  if (status.groups.length === 0) return `${head}\nno groups`;
  return `${head}\n\n${groupsText(status.groups)}`;
}

/** This node and its partner, and how old what is told of that is. */
export function headText({ node, peer }: ServiceStatus): string {
  const self = `node ${node.name} (${node.host})`;
  if (peer === null) return `${self}, not paired`;
  const { name, host, reachable, fault, ageMs } = peer;
  const silent = fault === null ? 'not heard of yet' : 'NOT REACHABLE';
  const isLate = ageMs !== null && ageMs >= PEER_AGE_TOLD_MS;
  const present = isLate ? 'does not answer at present' : 'reachable';
  const partner = `partner ${name} (${host}): ${reachable ? present : silent}`;
  if (ageMs === null || (reachable && !isLate)) return `${self}, ${partner}`;
  return `${self}, ${partner}, last heard of ${formatDurationMs(ageMs)} ago`;
}

export function groupsText(groups: readonly GroupStatus[]): string {
  if (groups.length === 0) return 'no groups';
  const heading = ['GROUP', 'PRIMARY', 'STANDBY', 'MODE', 'COPY', 'LINK', 'LAG', 'BACKLOG'];
  const rows = groups.map((group) => [
    group.name,
    group.primary ?? '-',
    group.standby ?? '-',
    group.mode,
    group.copy,
    group.link,
    group.lagMs === null ? '-' : formatDurationMs(group.lagMs),
    group.backlogBytes === null ? '-' : formatBytes(group.backlogBytes),
  ]);
  const notes = groups.flatMap((group) =>
    notesOf(group).map(
      ({ isTrouble, text }) => `${isTrouble ? '!' : ' '} ${group.name}: ${printable(text)}`,
    ),
  );
  return [table([heading, ...rows]), ...notes].join('\n');
}

/** A sentence about a group below its line. */
export interface Note {
  /** An operator has to know it. */
  readonly isTrouble: boolean;
  readonly text: string;
}

const trouble = (text: string): Note => ({ isTrouble: true, text });
const remark = (text: string): Note => ({ isTrouble: false, text });

function notesOf(group: GroupStatus): Note[] {
  const { scan, verifying } = group;
  return [
    ...troublesOf(group),
    ...agentNotes(group),
    ...linkNotes(group),
    ...(scan === null ? [] : [remark(scanText(scan))]),
    ...(verifying === null ? [] : [remark(`compared, ${progressText(verifying, 'comparison')}`)]),
    ...verifyNotes(group),
    ...salvageNotes(group),
  ];
}

/** All but what has a bar of its own, see watch/. */
export function sentencesOf(group: GroupStatus): Note[] {
  return [
    ...troublesOf(group),
    ...agentNotes(group),
    ...linkNotes(group),
    ...verifyNotes(group),
    ...salvageNotes(group),
  ];
}

function troublesOf(group: GroupStatus): Note[] {
  const notes = group.troubles.map(trouble);
  if (group.alone) notes.push(trouble('the primary runs alone, nothing is mirrored'));
  if (group.linkReason !== null && group.link !== 'connected') {
    notes.push(trouble(`link ${group.link}: ${group.linkReason}`));
  }
  if (group.halted !== null) {
    const where = group.standby ?? 'the standby';
    const wayOut = `"understudy accept ${group.name}" there lets it go on`;
    notes.push(trouble(`HALTED on ${where}: ${group.halted}; ${wayOut}`));
  }
  return [...notes, ...[group.local, group.remote].flatMap(failoverNotes)];
}

function linkNotes({ limit, compressionRatio }: GroupStatus): Note[] {
  return [
    ...(limit === null ? [] : [remark(`bandwidth limit ${limit}`)]),
    ...(compressionRatio === null
      ? []
      : [remark(`compressed ${compressionRatio} : 1 on the link`)]),
  ];
}

/** One line per node: what is there is looked at there. */
function salvageNotes({ name, salvages }: GroupStatus): Note[] {
  return [...new Set(salvages.map(({ node }) => node))].map((node) => {
    const [newest, ...older] = salvages.filter((each) => each.node === node);
    const more = older.length === 0 ? '' : ` and ${older.length} older`;
    return remark(
      `kept aside on ${node}: ${newest?.name ?? ''}${more}; "understudy salvage list ${name}" there`,
    );
  });
}

/** The agents of the primary, each with what its probe saw last. */
function agentNotes({ local, remote }: GroupStatus): Note[] {
  const primary = [local, remote].find((view) => view?.role === 'primary');
  return (primary?.agents ?? []).map((agent) => {
    const { state, sentence, isWell } = agentState(agent);
    const text = `agent "${agent.name}" (${agent.use}) ${state}${sentence}`;
    return { isTrouble: !isWell, text };
  });
}

function agentState({ phase, seen, fault, restarts, restartsMax }: AgentView): {
  readonly state: string;
  readonly sentence: string;
  readonly isWell: boolean;
} {
  const count = restarts === 0 ? '' : `; restarted ${restarts} of ${restartsMax} times`;
  if (fault !== null) return { state: phase, sentence: `: ${fault}${count}`, isWell: false };
  if (phase !== 'running' || seen === null) {
    return { state: phase, sentence: count, isWell: true };
  }
  const took = formatDurationMs(Math.max(1, seen.ms));
  const sentence = `: ${seen.sentence} (${took})${count}`;
  return { state: seen.state, sentence, isWell: seen.state === 'ok' };
}

function verifyNotes({ verify, verifying }: GroupStatus): Note[] {
  if (verifying !== null || verify === null || verify.state === 'none') return [];
  return [{ isTrouble: verify.state === 'differs', text: verifySummary(verify) }];
}

/** The outcome of a comparison in one line. */
export function verifySummary(report: VerifyReportData): string {
  const { state, objects, bytes, count, beganAtMs, endedAtMs } = report;
  const seen = `${objects} objects, ${formatBytes(bytes)}`;
  const took = formatDurationMs(endedAtMs - beganAtMs);
  switch (state) {
    case 'none':
      return 'the copies were not compared yet';
    case 'running':
      return `the copies are being compared since ${timeText(beganAtMs)}`;
    case 'interrupted':
      return 'the last comparison of the copies did not come to its end';
    case 'equal':
      return `the copies are equal: ${seen}, compared in ${took}, done ${timeText(endedAtMs)}`;
    case 'differs':
      return `THE COPIES DIFFER: ${count} differences in ${seen}, found ${timeText(endedAtMs)}`;
  }
}

/** As `understudy events` writes it, so that both can be laid side by side. */
const timeText = (wallMs: number): string => new Date(wallMs).toISOString();

/** What the machine of a managed group says: why it waits, and whether it is in maintenance. */
function failoverNotes(view: GroupStatus['remote']): Note[] {
  if (view === null || view.failover === null) return [];
  const { paused, leaving, waiting, reason } = view.failover;
  return [
    ...(paused === true ? [remark('paused, nothing moves by itself')] : []),
    ...(leaving === true ? [remark('about to be shut down, takes no part any more')] : []),
    ...(typeof waiting === 'string' && waiting !== ''
      ? [trouble(`does not take over (${String(reason)})`)]
      : []),
  ];
}

/** `[######------]  50 %  120/240 files  1.2 GiB of 2.4 GiB  96.0 MiB/s  13 s left`. */
export const scanText = (scan: CopyProgress): string => progressText(scan, 'first copy');

/** The same of anything that goes through all files; `what` is said while the end is not known. */
export function progressText(scan: CopyProgress, what: string): string {
  const rate = `${formatBytes(scan.rateBytesPerSecond)}/s`;
  if (scan.filesTotal === 0) {
    return `${what}: ${scan.files} files  ${formatBytes(scan.bytes)}  ${rate}`;
  }
  const done = scan.bytesTotal > 0 ? scan.bytes / scan.bytesTotal : scan.files / scan.filesTotal;
  const share = Math.min(1, done);
  const filled = Math.round(share * BAR_WIDTH);
  return [
    `[${'#'.repeat(filled)}${'-'.repeat(BAR_WIDTH - filled)}] ${String(Math.floor(share * 100)).padStart(3)} %`,
    `${scan.files}/${scan.filesTotal} files`,
    `${formatBytes(scan.bytes)} of ${formatBytes(scan.bytesTotal)}`,
    rate,
    ...(scan.secondsLeft === null ? [] : [`${formatDurationMs(scan.secondsLeft * 1000)} left`]),
  ].join('  ');
}

/** How far an operation is: `comparing  50 %  1.2 GiB of 2.4 GiB  13 s left`. */
export function operationText({
  phase,
  done,
  total,
  unit,
  secondsLeft,
}: OperationProgress): string {
  const amount = (value: number): string => (unit === 'bytes' ? formatBytes(value) : String(value));
  const what = unit === 'files' ? ' files' : '';
  if (done === null) return phase;
  if (total === null || total === 0) return `${phase}  ${amount(done)}${what}`;
  return [
    phase,
    `${Math.floor(Math.min(1, done / total) * 100)} %`,
    `${amount(done)} of ${amount(total)}${what}`,
    ...(secondsLeft === null ? [] : [`${formatDurationMs(secondsLeft * 1000)} left`]),
  ].join('  ');
}
