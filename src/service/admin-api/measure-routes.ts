// Measures: as a history for charts, and for Prometheus.
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import { nameSchema } from '../group-spec.ts';
import { type Measure, MEASURE_NAMES } from '../history/measures.ts';
import { understudyProcesses } from '../node-health/processes.ts';
import { collectStatus } from '../status.ts';
import type { ApiContext } from './context.ts';
import { type AnyRoute, rawRoute, route } from './route.ts';

const POINTS_MAX = 2000;
const SECONDS_MAX = 90 * 86_400;

export function measureRoutes(context: ApiContext): AnyRoute[] {
  return [historyRoute(context), metricsRoute(context)];
}

const timeSchema = z.coerce.number().int().min(0).max(1e11);

function historyRoute({ history }: ApiContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/history',
    role: 'viewer',
    tag: 'measures',
    summary:
      'Measures of a group over time, as this node saw them: lag and throughput on the primary, journal on the standby. Points: [seconds, mean, least, most].',
    query: z.strictObject({
      group: nameSchema,
      measures: z
        .string()
        .max(200)
        .default(MEASURE_NAMES.join(','))
        .describe(`Of ${MEASURE_NAMES.join(', ')}; separated by commas`),
      seconds: z.coerce.number().int().min(10).max(SECONDS_MAX).default(3600),
      until: timeSchema.optional().describe('Seconds since 1970; default: now'),
      points: z.coerce.number().int().min(1).max(POINTS_MAX).default(300),
    }),
    reply: () =>
      z.object({
        group: z.string(),
        fromSeconds: z.number(),
        toSeconds: z.number(),
        grainSeconds: z.number(),
        series: z
          .array(
            z.object({
              measure: z.string(),
              unit: z.string(),
              points: z
                .array(z.tuple([z.number(), z.number(), z.number(), z.number()]).readonly())
                .readonly(),
            }),
          )
          .readonly(),
      }),
    handle: async ({ query: { group, measures, seconds, until, points } }) => {
      const toSeconds = until ?? Math.floor(Date.now() / 1000);
      return history.answer({
        group,
        measures: measuresIn(measures),
        fromSeconds: toSeconds - seconds,
        toSeconds,
        points,
      });
    },
  });
}

function measuresIn(text: string): Measure[] {
  return text.split(',').map((name) => {
    const known = MEASURE_NAMES.find((one) => one === name.trim());
    if (known !== undefined) return known;
    throw new UnderstudyError(
      'REQUEST_INVALID',
      `"${name}" is no measure: there are ${MEASURE_NAMES.join(', ')}`,
      { details: { fields: ['measures'], faults: [`"${name}" is no measure`] } },
    );
  });
}

function metricsRoute({ service }: ApiContext): AnyRoute {
  const events: Record<string, number> = {};
  service.events.onEvent(({ level }) => {
    events[level] = (events[level] ?? 0) + 1;
  });
  return rawRoute({
    method: 'GET',
    path: '//metrics',
    role: 'viewer',
    tag: 'measures',
    summary: 'Everything that is measured, in the text format of Prometheus (docs/metrics.md).',
    handle: async ({ reply }) => {
      const { metricsText } = await import('../metrics/metrics.ts');
      const text = metricsText({
        status: await collectStatus(service),
        processes: understudyProcesses(service),
        journalBytesMax: (group) => service.group(group).definition.replication.journalBytesMax,
        events,
        eventsLost: service.events.lost,
      });
      void reply.header('content-type', 'text/plain; version=0.0.4; charset=utf-8').send(text);
    },
  });
}
