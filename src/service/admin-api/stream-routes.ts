// GET /api/v1/stream: see stream.ts.
import { UnderstudyError } from '../../core/errors.ts';
import type { ApiContext } from './context.ts';
import { type AnyRoute, rawRoute } from './route.ts';
import { Seats } from './seats.ts';
import { ChangeStream } from './stream.ts';

const LISTENERS_MAX = 32;

export function streamRoutes(context: ApiContext): AnyRoute[] {
  const seats = new Seats(LISTENERS_MAX);
  let stream: ChangeStream | undefined;
  return [
    rawRoute({
      method: 'GET',
      path: '/stream',
      role: 'viewer',
      tag: 'stream',
      summary:
        'Live changes as server-sent events: "status" (as /status, when it has changed), "traffic" (each second), "event", "operation". With Last-Event-ID, missed events come first.',
      handle: ({ request, reply, caller: { kind, name, user } }) => {
        stream ??= new ChangeStream(context);
        if (!seats.take(reply.raw, [`${kind} ${name}`, user ?? ''])) {
          throw new UnderstudyError(
            'REQUESTS_TOO_MANY',
            `${LISTENERS_MAX} listeners follow this node already: close one`,
          );
        }
        reply.hijack();
        reply.raw.writeHead(200, {
          'content-type': 'text/event-stream; charset=utf-8',
          'cache-control': 'no-store',
          'x-accel-buffering': 'no',
        });
        const last = Number(request.headers['last-event-id'] ?? Number.NaN);
        stream.add(reply.raw, Number.isSafeInteger(last) ? last : null);
      },
    }),
  ];
}
