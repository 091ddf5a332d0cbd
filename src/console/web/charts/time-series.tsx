// A chart of measures over time. What it shows is said in a sentence, and stands in a table as well: a canvas alone tells nothing to
// who cannot see it.
import 'uplot/dist/uPlot.min.css';
import './charts.css';
import { useComputedColorScheme } from '@mantine/core';
import { useEffect, useId, useMemo, useRef, useState } from 'react';
import { useTranslation } from 'react-i18next';
import uPlot from 'uplot';
import { formatTime } from '../app/format.ts';
import { currentLanguage } from '../app/i18n.ts';
import { ScrollRegion } from '../common/scroll-region.tsx';
import { plotOptions } from './plot-options.ts';
import { align, type Point, summaryOf, thinned } from './series.ts';
import { formatValue, type Unit } from './units.ts';

export interface ChartLine {
  readonly label: string;
  readonly points: readonly Point[];
}

export interface TimeSeriesProps {
  readonly title: string;
  readonly unit: Unit;
  readonly lines: readonly ChartLine[];
  readonly grainSeconds: number;
  /** Seconds since 1970: what the axis shows, whether there are points or not. */
  readonly from: number;
  readonly to: number;
  /** A value that is marked across the chart: a limit. */
  readonly mark?: { readonly label: string; readonly value: number } | undefined;
  readonly height?: number;
}

const ROWS = 12;

export function TimeSeries(props: TimeSeriesProps) {
  const { title, unit, lines, height = 190 } = props;
  const { t } = useTranslation('charts');
  const language = currentLanguage();
  const id = useId();
  const [at, setAt] = useState<number | null>(null);
  const value = (number: number): string => formatValue(number, unit, language);
  const summaries = lines.map(({ label, points }) => {
    const summary = summaryOf(points);
    if (summary === null) return t('summaryNone', { label });
    const { last, mean, least, most } = summary;
    const values = { last: value(last), mean: value(mean), least: value(least), most: value(most) };
    return t('summary', { label, ...values });
  });
  const isEmpty = lines.every(({ points }) => points.length === 0);
  return (
    <figure className="chart" aria-labelledby={id}>
      <figcaption className="chart-head">
        <span id={id} className="chart-title">
          {title}
        </span>
        <Legend {...props} at={at} />
      </figcaption>
      <div className="chart-plot" style={{ height }} role="img" aria-label={summaries.join(' ')}>
        <Plot {...props} height={height} onAt={setAt} />
        {isEmpty && <span className="chart-empty">{t('empty')}</span>}
      </div>
      <details className="chart-table">
        <summary>{t('table')}</summary>
        <p>{summaries.join(' ')}</p>
        {!isEmpty && <ValueTable {...props} />}
      </details>
    </figure>
  );
}

/** The values under the pointer, or the last ones. */
function Legend({ lines, unit, at, mark }: TimeSeriesProps & { readonly at: number | null }) {
  const language = currentLanguage();
  return (
    <span className="chart-legend" aria-hidden>
      {lines.map(({ label, points }, index) => {
        const point = at === null ? points.at(-1) : nearest(points, at);
        return (
          <span key={label} className="chart-key">
            <span className={`chart-swatch chart-swatch-${index}`} />
            {lines.length > 1 && <span>{label}</span>}
            <strong className="numbers">
              {point === undefined ? '–' : formatValue(point[1], unit, language)}
            </strong>
          </span>
        );
      })}
      {mark !== undefined && (
        <span className="chart-key">
          <span className="chart-swatch chart-swatch-mark" />
          <span>{mark.label}</span>
        </span>
      )}
      {at !== null && <span className="chart-at numbers">{formatTime(at * 1000, language)}</span>}
    </span>
  );
}

function nearest(points: readonly Point[], at: number): Point | undefined {
  let best: Point | undefined;
  for (const point of points) {
    if (best === undefined || Math.abs(point[0] - at) < Math.abs(best[0] - at)) best = point;
  }
  return best;
}

function ValueTable({ title, lines, unit }: TimeSeriesProps) {
  const { t } = useTranslation('charts');
  const language = currentLanguage();
  const times = thinned(
    lines.flatMap(({ points }) => points).toSorted(([a], [b]) => a - b),
    ROWS,
  );
  return (
    <ScrollRegion label={title} className="chart-scroll">
      <table>
        <thead>
          <tr>
            <th scope="col">{t('time')}</th>
            {lines.map(({ label }) => (
              <th scope="col" key={label}>
                {label}
              </th>
            ))}
          </tr>
        </thead>
        <tbody className="numbers">
          {times.map(([at], row) => (
            <tr key={`${row} ${at}`}>
              <th scope="row">{formatTime(at * 1000, language)}</th>
              {lines.map(({ label, points }) => {
                const point = nearest(points, at);
                return (
                  <td key={label}>
                    {point === undefined ? '–' : formatValue(point[1], unit, language)}
                  </td>
                );
              })}
            </tr>
          ))}
        </tbody>
      </table>
    </ScrollRegion>
  );
}

interface PlotProps extends TimeSeriesProps {
  readonly height: number;
  readonly onAt: (at: number | null) => void;
}

function Plot({ lines, unit, grainSeconds, from, to, mark, height, onAt }: PlotProps) {
  const scheme = useComputedColorScheme('light');
  const language = currentLanguage();
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const span = useRef({ from, to });
  const markValue = mark?.value;
  const data = useMemo((): uPlot.AlignedData => {
    const aligned = align(
      lines.map(({ points }) => points),
      grainSeconds,
    );
    const columns = aligned.lines.flatMap(({ mean, least, most }) => [mean, most, least]);
    return [aligned.times, ...columns] as unknown as uPlot.AlignedData;
  }, [lines, grainSeconds]);
  const count = lines.length;
  useEffect(() => {
    const element = place.current;
    if (element === null) return undefined;
    const options = plotOptions({
      count,
      unit,
      language,
      span,
      mark: markValue,
      onAt,
      style: getComputedStyle(element),
      size: { width: Math.max(120, element.clientWidth), height },
    });
    const made = new uPlot(options, [[], ...Array.from({ length: count * 3 }, () => [])], element);
    plot.current = made;
    const observer = new ResizeObserver(() => {
      if (element.clientWidth > 0) made.setSize({ width: element.clientWidth, height });
    });
    observer.observe(element);
    return () => {
      observer.disconnect();
      made.destroy();
      plot.current = null;
    };
    // A change of colours needs another drawing: uPlot keeps those it was made with.
  }, [count, unit, language, scheme, height, markValue, onAt]);
  useEffect(() => {
    span.current = { from, to };
    plot.current?.setData(data);
  }, [data, from, to, scheme, count, unit, language, height, markValue]);
  return <div ref={place} className="chart-canvas" aria-hidden />;
}
