// What happened on this node: looked through, acknowledged, exported.
import { z } from 'zod';
import { UnderstudyError } from '../../core/errors.ts';
import type { LoggedEvent } from '../event-log.ts';
import { nameOf } from './caller.ts';
import type { ApiContext } from './context.ts';
import { type AnyRoute, rawRoute, route } from './route.ts';
import { eventSchema, type EventView } from './schemas.ts';

const COUNT_MAX = 10_000;
const IDS_MAX = 1000;
const LEVELS = ['info', 'warning', 'error'] as const;

const filterShape = {
  level: z.enum(LEVELS).optional().describe('This level or a worse one'),
  code: z.string().max(64).optional(),
  group: z.string().max(40).optional(),
  text: z.string().max(200).optional().describe('In the message, whatever the case'),
  since: z.iso.datetime({ offset: true }).optional(),
  until: z.iso.datetime({ offset: true }).optional(),
  before: z.coerce.number().int().min(0).optional().describe('Only ids below: the next page'),
  unacknowledged: z.enum(['true', 'false']).optional(),
};
const filterSchema = z.strictObject({
  ...filterShape,
  count: z.coerce.number().int().min(1).max(COUNT_MAX).default(100),
});
type EventFilter = z.infer<typeof filterSchema>;

export function eventRoutes(context: ApiContext): AnyRoute[] {
  return [listRoute(context), exportRoute(context), acknowledgeRoute(context)];
}

/** An event as the API shows it. */
export function eventView({ acknowledgements }: ApiContext, event: LoggedEvent): EventView {
  return { ...event, acknowledged: acknowledgements.of(event.id) };
}

function listRoute(context: ApiContext): AnyRoute {
  return route({
    method: 'GET',
    path: '/events',
    role: 'viewer',
    tag: 'events',
    summary: 'What happened on this node, newest first.',
    query: filterSchema,
    reply: () => z.object({ events: z.array(eventSchema()) }),
    handle: ({ query }) => ({ events: findEvents(context, query) }),
  });
}

function findEvents(context: ApiContext, filter: EventFilter): EventView[] {
  const { service, acknowledgements } = context;
  const { level, code, group, text, since, until, before, unacknowledged } = filter;
  const worst = LEVELS.indexOf(level ?? 'info');
  const needle = text?.toLowerCase();
  const [from, to] = [Date.parse(since ?? ''), Date.parse(until ?? '')];
  const isWanted = (event: LoggedEvent): boolean => {
    if (before !== undefined && event.id >= before) return false;
    if (LEVELS.indexOf(event.level) < worst) return false;
    if (code !== undefined && event.code !== code) return false;
    if (group !== undefined && event.details['group'] !== group) return false;
    if (needle !== undefined && !event.message.toLowerCase().includes(needle)) return false;
    const at = Date.parse(event.at);
    if (at < from || at > to) return false;
    return unacknowledged !== 'true' || acknowledgements.of(event.id) === null;
  };
  return service.events.find(isWanted, filter.count).map((event) => eventView(context, event));
}

function exportRoute(context: ApiContext): AnyRoute {
  return rawRoute({
    method: 'GET',
    path: '/events/export',
    role: 'viewer',
    tag: 'events',
    summary: 'The same as a file: CSV, or JSON lines.',
    query: z.strictObject({
      ...filterShape,
      format: z.enum(['csv', 'jsonl']).default('csv'),
      count: z.coerce.number().int().min(1).max(COUNT_MAX).default(COUNT_MAX),
    }),
    handle: ({ query: { format, ...filter }, reply }) => {
      const events = findEvents(context, filter);
      const isCsv = format === 'csv';
      const text = isCsv
        ? csvOf(events)
        : events.map((event) => `${JSON.stringify(event)}\n`).join('');
      void reply
        .header('content-type', isCsv ? 'text/csv; charset=utf-8' : 'application/x-ndjson')
        .header('content-disposition', `attachment; filename="understudy-events.${format}"`)
        .send(text);
    },
  });
}

/** For spreadsheets: a cell that would be taken for a formula gets an apostrophe before it. */
export function csvOf(events: readonly EventView[]): string {
  const rows = events.map((event) => [
    String(event.id),
    event.at,
    event.level,
    event.code,
    event.message,
    JSON.stringify(event.details),
    event.acknowledged === null ? '' : `${event.acknowledged.by} ${event.acknowledged.at}`,
  ]);
  const heading = ['id', 'at', 'level', 'code', 'message', 'details', 'acknowledged'];
  return [heading, ...rows].map((row) => `${row.map(csvCell).join(',')}\r\n`).join('');
}

function csvCell(text: string): string {
  const safe = /^[=+\-@\t\r]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}

function acknowledgeRoute({ acknowledgements, service }: ApiContext): AnyRoute {
  return route({
    method: 'POST',
    path: '/events/acknowledge',
    role: 'operator',
    tag: 'events',
    summary: 'Notes that somebody has seen events: those named, or all up to one.',
    body: z.strictObject({
      ids: z.array(z.int().min(0)).max(IDS_MAX).optional(),
      upTo: z.int().min(0).optional(),
    }),
    reply: () => z.object({ by: z.string() }),
    handle: ({ body: { ids, upTo }, caller }) => {
      if (ids === undefined && upTo === undefined) {
        throw new UnderstudyError('REQUEST_INVALID', 'name events by "ids" or "upTo"');
      }
      // What has not happened yet nobody has seen.
      const newest = service.events.newestId;
      if (Math.max(upTo ?? 0, ...(ids ?? [])) > newest) {
        const fault = `the newest event is ${newest}`;
        throw new UnderstudyError('REQUEST_INVALID', fault, {
          details: { fields: [upTo === undefined ? 'ids' : 'upTo'], faults: [fault] },
        });
      }
      const by = nameOf(caller);
      if (ids !== undefined) acknowledgements.acknowledge(ids, by);
      if (upTo !== undefined) acknowledgements.acknowledgeUpTo(upTo, by);
      return { by };
    },
  });
}
