// What "understudy status --watch" shows, as lines for a screen of a certain size. Pure: of a status, what was measured, and the clock.
//
//   node a (192.0.2.1), partner b (192.0.2.2): reachable                 14:05:30
//
//   shop  up-to-date    a → b   sync    connected  epoch 3
//     lag            3 ms  ▁▁▁▂▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
//     sent      1.2 MiB/s  ▁▁▁▃▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁▁
//     copy      [#####-----------]  34 %  1.0 GiB of 3.0 GiB  96.0 MiB/s  21 s left
//   ! shop: what an operator has to know
//
//   3 groups, 1 with trouble                                q quits  ↑↓ scrolls
import { formatBytes, formatDurationMs } from '../../core/units.ts';
import type { CopyProgress, GroupStatus, ServiceStatus } from '../../service/status.ts';
import { headText, sentencesOf } from '../status-text.ts';
import type { Samples } from './samples.ts';
import type { Line, Piece, Style } from './screen.ts';
import { progressBar, sparkline } from './sparkline.ts';
import { fit, harmless, widthOf, wrap } from './text.ts';

const LABEL_WIDTH = 8;
const VALUE_WIDTH = 12;
const SPARKLINE_WIDTH_MAX = 120;
const BAR_WIDTH_MIN = 10;
const BAR_WIDTH_MAX = 40;
/** What stands beside a progress bar at most. */
const BESIDE_BAR_WIDTH = 66;
const NAME_WIDTH_MAX = 24;
const COPY_WIDTH = 13;
/** What fills a sparkline at least: less is calm. */
const LAG_LEAST_MS = 1000;
const SENT_LEAST_BYTES = 64 * 1024;

export interface WatchState {
  readonly status: ServiceStatus;
  readonly samples: Samples;
  /** Why nothing is heard from the service, and since when; null: it answers. */
  readonly lost: { readonly sinceMs: number; readonly why: string } | null;
  readonly peerAgeMs: number | null;
  readonly nowMs: number;
  /** Lines above the first shown. */
  readonly scroll: number;
}

export interface WatchLook {
  readonly columns: number;
  readonly rows: number;
  readonly unicode: boolean;
}

export interface WatchFrame {
  readonly lines: readonly Line[];
  /** How far it can be scrolled. */
  readonly scrollMax: number;
}

export function watchFrame(state: WatchState, look: WatchLook): WatchFrame {
  const { rows } = look;
  const head = [...headLines(state, look), []];
  const blocks = blocksOf(state, look, rows - head.length - 1);
  const body = blocks.flatMap((lines, index) => (index === 0 ? lines : [...gap(blocks), ...lines]));
  const room = Math.max(0, rows - head.length - 1);
  const scrollMax = Math.max(0, body.length - room);
  const from = Math.min(Math.max(0, state.scroll), scrollMax);
  const shown = body.slice(from, from + room);
  const fill = Array.from({ length: room - shown.length }, (): Line => []);
  const foot = footLine(state, look, { from, to: from + shown.length, all: body.length });
  return { lines: [...head, ...shown, ...fill, foot].slice(0, rows), scrollMax };
}

/** A blank line between blocks, unless all of them are single lines. */
function gap(blocks: readonly (readonly Line[])[]): Line[] {
  return blocks.every(({ length }) => length === 1) ? [] : [[]];
}

/** All in full, or, where that is too much, those that need no attention in one line each. */
function blocksOf(state: WatchState, look: WatchLook, room: number): (readonly Line[])[] {
  const { groups } = state.status;
  if (groups.length === 0) return [[[plain('no groups')]]];
  const full = groups.map((group) => block(group, state, look));
  const height = full.reduce((sum, { length }) => sum + length + 1, -1);
  if (height <= room) return full;
  return groups.map((group, index) => {
    if (isTroubled(group) || group.scan !== null || group.verifying !== null) {
      return full[index] ?? [];
    }
    return [headline(group, state, look)];
  });
}

function headLines({ status, peerAgeMs, nowMs, lost }: WatchState, { columns }: WatchLook): Line[] {
  const { peer } = status;
  const seen = peer === null ? null : { ...peer, ageMs: peerAgeMs };
  const clock = clockOf(nowMs);
  const text = fit(harmless(headText({ ...status, peer: seen })), columns - widthOf(clock) - 1);
  const isLost = seen !== null && !seen.reachable && seen.fault !== null;
  const lines: Line[] = [
    [piece(`${text} `, isLost ? ['bold', 'red'] : ['bold']), piece(clock, ['dim'])],
  ];
  if (lost === null) return lines;
  const sentence = `! the service does not answer since ${clockOf(lost.sinceMs)} (${lost.why}): this is as of then`;
  return [...lines, ...troubleLines(harmless(sentence), columns)];
}

function footLine(
  { status: { groups } }: WatchState,
  { columns, unicode }: WatchLook,
  shown: { readonly from: number; readonly to: number; readonly all: number },
): Line {
  const troubled = groups.filter(isTroubled).length;
  const count = `${groups.length} ${groups.length === 1 ? 'group' : 'groups'}`;
  const part = shown.to - shown.from < shown.all;
  const where = part ? `, lines ${shown.from + 1} to ${shown.to} of ${shown.all}` : '';
  const keys = part ? `q quits  ${unicode ? '↑↓' : 'up/down'} scrolls` : 'q quits';
  const left = `${count}${troubled === 0 ? '' : `, ${troubled} with trouble`}${where}`;
  return [
    piece(fit(left, Math.max(0, columns - widthOf(keys) - 1)), ['dim']),
    piece(` ${keys}`, ['dim']),
  ];
}

function block(group: GroupStatus, state: WatchState, look: WatchLook): Line[] {
  const { columns } = look;
  const width = Math.min(SPARKLINE_WIDTH_MAX, columns - 2 - LABEL_WIDTH - VALUE_WIDTH - 2);
  const { lagMs, wireBytesPerSecond } = state.samples.of(group.name);
  const chart = { width: Math.max(0, width), unicode: look.unicode };
  const lag = group.lagMs === null ? '-' : formatDurationMs(group.lagMs);
  const sent = group.wireBytesPerSecond;
  const rate = sent === null ? '-' : `${formatBytes(sent)}/s`;
  return [
    headline(group, state, look),
    measureLine('lag', lag, sparkline(lagMs, { ...chart, least: LAG_LEAST_MS })),
    measureLine('sent', rate, sparkline(wireBytesPerSecond, { ...chart, least: SENT_LEAST_BYTES })),
    ...((group.backlogBytes ?? 0) > 0
      ? [measureLine('behind', formatBytes(group.backlogBytes ?? 0), '')]
      : []),
    ...(group.scan === null ? [] : [progressLine('copy', group.scan, columns)]),
    ...(group.verifying === null ? [] : [progressLine('compare', group.verifying, columns)]),
    ...sentenceLines(group, columns),
  ];
}

function headline(group: GroupStatus, { status }: WatchState, { unicode }: WatchLook): Line {
  const widest = Math.max(...status.groups.map(({ name }) => widthOf(name)));
  const arrow = unicode ? '→' : '->';
  const nodes = `${group.primary ?? '-'} ${arrow} ${group.standby ?? '-'}`;
  const copy = fit(group.copy, COPY_WIDTH);
  return [
    piece(`${fit(group.name, Math.min(NAME_WIDTH_MAX, widest))}  `, ['bold']),
    piece(`${copy} `, copyStyles(group)),
    plain(`${nodes}  ${group.mode}  `),
    piece(group.link, group.link === 'connected' ? [] : ['yellow']),
    plain(`  epoch ${group.epoch}`),
  ];
}

function copyStyles(group: GroupStatus): Style[] {
  if (group.copy === 'up-to-date') return isTroubled(group) ? ['yellow'] : ['green'];
  const isUnderWay = group.copy === 'syncing' || group.copy === 'catching-up';
  return isUnderWay ? ['yellow'] : ['bold', 'red'];
}

function measureLine(label: string, value: string, chart: string): Line {
  return [
    piece(`  ${fit(label, LABEL_WIDTH)}`, ['dim']),
    plain(`${value.padStart(VALUE_WIDTH)}  `),
    plain(chart),
  ];
}

function progressLine(label: string, progress: CopyProgress, columns: number): Line {
  const { files, filesTotal, bytes, bytesTotal, secondsLeft } = progress;
  const rate = `${formatBytes(progress.rateBytesPerSecond)}/s`;
  const name = piece(`  ${fit(label, LABEL_WIDTH)}`, ['dim']);
  if (filesTotal === 0) return [name, plain(`${files} files  ${formatBytes(bytes)}  ${rate}`)];
  const share = Math.min(1, bytesTotal > 0 ? bytes / bytesTotal : files / filesTotal);
  const width = Math.max(BAR_WIDTH_MIN, Math.min(BAR_WIDTH_MAX, columns - BESIDE_BAR_WIDTH));
  const texts = [
    `${String(Math.floor(share * 100)).padStart(3)} %`,
    `${formatBytes(bytes)} of ${formatBytes(bytesTotal)}`,
    rate,
    ...(secondsLeft === null ? [] : [`${formatDurationMs(secondsLeft * 1000)} left`]),
  ];
  return [name, piece(progressBar(share, width), ['green']), plain(`  ${texts.join('  ')}`)];
}

function sentenceLines(group: GroupStatus, columns: number): Line[] {
  return sentencesOf(group).flatMap(({ isTrouble, text }) => {
    if (isTrouble) return troubleLines(harmless(`! ${text}`), columns);
    return [[piece(`  ${harmless(text)}`, ['dim'])]];
  });
}

/** What has to be known is shown to its end. */
function troubleLines(text: string, columns: number): Line[] {
  return wrap(text, columns, '    ').map((line) => [piece(line, ['red'])]);
}

export function isTroubled(group: GroupStatus): boolean {
  return sentencesOf(group).some(({ isTrouble }) => isTrouble);
}

function clockOf(ms: number): string {
  return new Date(ms).toTimeString().slice(0, 8);
}

const plain = (text: string): Piece => ({ text });
const piece = (text: string, styles: readonly Style[]): Piece => ({ text, styles });
