// How uPlot draws a chart: colours from the page's style, marks of the axes in the words of the measure.
import type { RefObject } from 'react';
import uPlot from 'uplot';
import { BYTE_STEPS } from './series.ts';
import { formatValue, type Unit } from './units.ts';

export interface PlotSettings {
  /** Lines; each has three columns: mean, most, least. */
  readonly count: number;
  readonly unit: Unit;
  readonly language: string;
  readonly span: RefObject<{ readonly from: number; readonly to: number }>;
  readonly mark: number | undefined;
  readonly onAt: (at: number | null) => void;
  readonly style: CSSStyleDeclaration;
  readonly size: { readonly width: number; readonly height: number };
}

/** What the axis reaches at least, so that noise does not look like a mountain. */
const LEAST_TOP: Readonly<Record<Unit, number>> = {
  bytes: 4096,
  'bytes/s': 4096,
  ms: 10,
  share: 1,
};

export function plotOptions(settings: PlotSettings): uPlot.Options {
  const { count, unit, language, span, mark, onAt, style, size } = settings;
  const color = (name: string): string => style.getPropertyValue(name).trim();
  const line = color('--chart-line');
  const axis = {
    stroke: color('--chart-text'),
    grid: { stroke: line, width: 1 },
    ticks: { show: false },
    font: `11px ${style.fontFamily}`,
  };
  const isBytes = unit === 'bytes' || unit === 'bytes/s';
  return {
    ...size,
    padding: [10, 8, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 6 } },
    scales: {
      x: { time: true, range: () => [span.current.from, span.current.to] },
      y: { range: (_plot, _least, most) => [0, topOf(most, unit, mark)] },
    },
    series: [{}, ...Array.from({ length: count }, (_, index) => seriesOf(index, color)).flat()],
    bands: Array.from({ length: count }, (_, index) => ({
      series: [index * 3 + 2, index * 3 + 3] as [number, number],
      fill: color(`--chart-band-${index}`),
    })),
    axes: [
      { ...axis, values: timeMarks(language), space: 52, size: 26 },
      {
        ...axis,
        size: 72,
        ...(isBytes ? { incrs: [...BYTE_STEPS] } : {}),
        values: (_plot, marks) => marks.map((value) => formatValue(value, unit, language)),
      },
    ],
    hooks: {
      setCursor: [(plot) => onAt(momentUnder(plot))],
      draw: mark === undefined ? [] : [(plot) => drawMark(plot, mark, color('--chart-mark'))],
    },
  };
}

function seriesOf(index: number, color: (name: string) => string): uPlot.Series[] {
  const stroke = color(`--chart-color-${index}`);
  const bound = { width: 0, points: { show: false }, spanGaps: false };
  return [
    { stroke, width: 1.75, points: { show: false }, spanGaps: false },
    { ...bound, stroke: 'transparent' },
    { ...bound, stroke: 'transparent' },
  ];
}

function topOf(most: number | null, unit: Unit, mark: number | undefined): number {
  if (unit === 'share') return 1;
  return Math.max(LEAST_TOP[unit], (most ?? 0) * 1.1, (mark ?? 0) * 1.1);
}

function momentUnder({ cursor, data }: uPlot): number | null {
  const { idx } = cursor;
  if (idx === null || idx === undefined || (cursor.left ?? -1) < 0) return null;
  return data[0][idx] ?? null;
}

function drawMark({ ctx, bbox, valToPos }: uPlot, value: number, stroke: string): void {
  const y = Math.round(valToPos(value, 'y', true));
  if (y < bbox.top) return;
  ctx.save();
  ctx.strokeStyle = stroke;
  ctx.lineWidth = devicePixelRatio;
  ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
  ctx.beginPath();
  ctx.moveTo(bbox.left, y);
  ctx.lineTo(bbox.left + bbox.width, y);
  ctx.stroke();
  ctx.restore();
}

const DAY_SECONDS = 86_400;

/** Times of day; dates as soon as marks are a day apart, seconds only where they are needed. */
function timeMarks(language: string): (plot: uPlot, marks: number[]) => string[] {
  const format = (options: Intl.DateTimeFormatOptions) =>
    new Intl.DateTimeFormat(language, { hourCycle: 'h23', ...options });
  const day = format({ month: 'numeric', day: 'numeric' });
  const minute = format({ hour: '2-digit', minute: '2-digit' });
  const second = format({ hour: '2-digit', minute: '2-digit', second: '2-digit' });
  return (_plot, marks) => {
    const [first = 0, next = first + 60] = marks;
    const step = next - first;
    const shown = step >= DAY_SECONDS ? day : step < 60 ? second : minute;
    return marks.map((at) => shown.format(at * 1000));
  };
}
