// The charts of a group: what it sends, how far behind the standby is, how full its journal. From the last five minutes, second by
// second, to a month.
import { SegmentedControl, SimpleGrid, Stack } from '@mantine/core';
import { useState } from 'react';
import { useTranslation } from 'react-i18next';
import type { Measure } from '../../../service/history/measures.ts';
import { serverNow, useServerNow } from '../app/server-clock.ts';
import { Fault } from '../app/ui/fault.tsx';
import { type Range, RANGE_SETTINGS, RANGES } from './ranges.ts';
import { appendLive, type Point } from './series.ts';
import { TimeSeries } from './time-series.tsx';
import { useHistory } from './use-history.ts';
import { trafficPoints, useTraffic } from './use-traffic.ts';
import type { Unit } from './units.ts';

const MEASURED: readonly Measure[] = [
  'wireBytesPerSecond',
  'recordBytesPerSecond',
  'lagMs',
  'backlogBytes',
  'journalFill',
  'probeMs',
];

interface ChartSpec {
  readonly name: 'throughput' | 'lag' | 'backlog' | 'journal' | 'probe';
  readonly unit: Unit;
  readonly measures: readonly Measure[];
}

const CHARTS: readonly ChartSpec[] = [
  {
    name: 'throughput',
    unit: 'bytes/s',
    measures: ['wireBytesPerSecond', 'recordBytesPerSecond'],
  },
  { name: 'lag', unit: 'ms', measures: ['lagMs'] },
  { name: 'backlog', unit: 'bytes', measures: ['backlogBytes'] },
  { name: 'journal', unit: 'share', measures: ['journalFill'] },
  { name: 'probe', unit: 'ms', measures: ['probeMs'] },
];

export interface GroupChartsProps {
  /** Its name. */
  readonly group: string;
  /** Console ids; null: the console does not have that node. */
  readonly primaryId: string | null;
  readonly standbyId: string | null;
  readonly hasAgents?: boolean;
  /** The limit in force, bytes per second; it is marked in the chart. */
  readonly limit?: number | null;
}

export function GroupCharts(props: GroupChartsProps) {
  const { group, primaryId, standbyId, hasAgents = true, limit = null } = props;
  const { t } = useTranslation('charts');
  const [range, setRange] = useState<Range>('live');
  const isLive = range === 'live';
  useServerNow(isLive ? 1000 : 10_000);
  const nodes = [standbyId, primaryId].flatMap((id) => id ?? []);
  const history = useHistory(group, nodes, range, MEASURED);
  const traffic = useTraffic(isLive ? primaryId : null);
  const to = Math.ceil(serverNow() / 1000);
  const from = to - RANGE_SETTINGS[range].seconds;
  const pointsOf = (measure: Measure): readonly Point[] => {
    const remembered = history.pointsOf(measure);
    const isTold =
      measure === 'wireBytesPerSecond' || measure === 'lagMs' || measure === 'backlogBytes';
    if (!isLive || !isTold) return remembered;
    return appendLive(remembered, trafficPoints(traffic, group, measure), from);
  };
  return (
    <Stack gap="md">
      <SegmentedControl
        value={range}
        onChange={(value) => setRange(value as Range)}
        data={RANGES.map((value) => ({ value, label: t(`range.${value}`) }))}
        aria-label={t('rangeLabel')}
        className="chart-ranges"
      />
      {history.error !== null && <Fault error={history.error} />}
      <SimpleGrid cols={{ base: 1, lg: 2 }} spacing="md">
        {CHARTS.filter(({ name }) => name !== 'probe' || hasAgents).map(
          ({ name, unit, measures }) => (
            <div className="card" key={name} data-chart={name}>
              <TimeSeries
                title={t(`chart.${name}`)}
                unit={unit}
                lines={measures.map((measure) => ({
                  label: t(`measure.${measure}`),
                  points: pointsOf(measure),
                }))}
                grainSeconds={history.grainSeconds}
                from={from}
                to={to}
                mark={
                  name === 'throughput' && limit !== null
                    ? { label: t('limit'), value: limit }
                    : undefined
                }
              />
            </div>
          ),
        )}
      </SimpleGrid>
    </Stack>
  );
}
