// GET /api/v1/stream: see stream.ts.
import { UnderstudyError } from '../../core/errors.ts';
import type { Caller } from './caller.ts';
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
      handle: ({ request, reply, caller }) => {
        const { kind, name, user } = caller;
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
        const lastEventId = Number.isSafeInteger(last) ? last : null;
        stream.add(reply.raw, lastEventId, mayGoOn(context, caller));
      },
    }),
  ];
}

/** Whether what let the caller in still does: a token that is revoked or over, a node that is paired no more, hear nothing more. */
function mayGoOn({ tokens, service }: ApiContext, { kind, name }: Caller): () => boolean {
  if (kind === 'token') {
    const id = tokens.list().find((token) => token.name === name)?.id;
    return () => id !== undefined && tokens.isGood(id);
  }
  const certificate = service.peers.peer?.certificate;
  return () => kind !== 'peer' || service.peers.peer?.certificate === certificate;
}
