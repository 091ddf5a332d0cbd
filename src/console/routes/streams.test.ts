// Streams to a browser that does not read, whose session ends: a window of a laptop that sleeps.
import { IncomingMessage, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import { Duplex, PassThrough } from 'node:stream';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import type { AnyRoute } from '../../service/admin-api/route.ts';
import type { BrowserGuard } from '../access/browser-guard.ts';
import { Sessions } from '../access/sessions.ts';
import type { ConsoleContext } from '../console-context.ts';
import { fleetRoutes } from './fleet-routes.ts';
import { proxyRoutes } from './proxy-routes.ts';

/** More than a session is looked at every so often. */
const LATER_MS = 11_000;

let faults: unknown[] = [];
beforeEach(() => {
  faults = [];
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
});
afterEach(() => vi.useRealTimers());

/** The answer to a browser that takes nothing. */
function stalled(): ServerResponse {
  const socket = new Duplex({ read: () => undefined, write: () => undefined }) as Socket;
  const response = new ServerResponse(new IncomingMessage(socket));
  response.assignSocket(socket);
  response.on('error', (error) => faults.push(error));
  return response;
}

function bed(routesOf: (context: ConsoleContext, guard: BrowserGuard) => AnyRoute[]) {
  const sessions = new Sessions(() => 0);
  const { session } = sessions.begin('ann');
  let tell: (message: unknown) => void = () => undefined;
  const answer = new PassThrough();
  const fleet = {
    overview: () => ({}),
    listen: (listener: (message: unknown) => void) => {
      tell = listener;
      return () => undefined;
    },
    dial: () => ({
      send: async () => Promise.resolve(Object.assign(answer, { statusCode: 200, headers: {} })),
    }),
  };
  const context = { fleet, sessions } as unknown as ConsoleContext;
  const guard = { of: () => ({ session }) } as unknown as BrowserGuard;
  const routes = routesOf(context, guard);
  const response = stalled();
  const call = async (path: string): Promise<void> => {
    const one = routes.find((each) => each.method === 'GET' && each.path === path);
    await one?.handle({
      params: { node: 'self', '*': 'api/v1/stream' },
      query: undefined,
      body: undefined,
      caller: { kind: 'user', name: 'ann', user: null, role: 'viewer', from: '' },
      request: { url: '/api/console/nodes/self/api/v1/stream', method: 'GET', headers: {} },
      reply: { hijack: () => undefined, raw: response },
    } as unknown as Parameters<AnyRoute['handle']>[0]);
  };
  return { sessions, response, answer, call, tell: (message: unknown) => tell(message) };
}

const turn = async (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

test('what the fleet tells after the end of a session is written to nobody, and ends nothing', async () => {
  const { sessions, response, call, tell } = bed(fleetRoutes);
  await call('/stream');
  tell({ name: 'node', data: 'x'.repeat(100_000) });
  sessions.endAll('ann');
  vi.advanceTimersByTime(LATER_MS);
  tell({ name: 'node', data: 'y' });
  await turn();
  expect([response.destroyed, faults]).toEqual([true, []]);
});

test('nor is what a node still sends', async () => {
  const { sessions, response, answer, call } = bed(proxyRoutes);
  await call('/nodes/:node/*');
  answer.write('event: traffic\ndata: {}\n\n');
  await turn();
  sessions.endAll('ann');
  vi.advanceTimersByTime(LATER_MS);
  answer.write('event: traffic\ndata: {}\n\n');
  await turn();
  expect([response.destroyed, faults]).toEqual([true, []]);
});
