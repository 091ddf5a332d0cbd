// A console: the API for browsers below `/api/console/`, and the web application everywhere else.
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { FastifyRequest } from 'fastify';
import { buildRouteApp } from '../service/admin-api/route-app.ts';
import type { AnyRoute } from '../service/admin-api/route.ts';
import { BrowserGuard } from './access/browser-guard.ts';
import { type ConsoleContext, type ConsoleOptions, makeConsoleContext } from './console-context.ts';
import { accountRoutes } from './routes/account-routes.ts';
import { fleetRoutes } from './routes/fleet-routes.ts';
import { proxyRoutes } from './routes/proxy-routes.ts';
import { userRoutes } from './routes/user-routes.ts';
import { buildWebApp } from './web-files.ts';

export const CONSOLE_PREFIX = '/api/console';

export interface Console {
  readonly context: ConsoleContext;
  readonly routes: readonly AnyRoute[];
  readonly serve: (request: IncomingMessage, response: ServerResponse) => void;
  readonly close: () => Promise<void>;
}

/** Builds a console and begins to watch its nodes. Errors: STATE_FILE_INVALID. */
export async function buildConsole(
  options: ConsoleOptions & { readonly webDirectory?: string },
): Promise<Console> {
  const context = makeConsoleContext(options);
  const guard = new BrowserGuard(context, CONSOLE_PREFIX);
  const routes = consoleRoutes(context, guard);
  const api = await buildRouteApp({
    routes,
    audit: context.audit,
    callerOf: (request) => guard.callerOf(request),
    check: (request: FastifyRequest) => guard.checkOrigin(request),
    isUnlimited: () => false,
  });
  const web = await buildWebApp({
    isSecure: options.isSecure,
    ...(options.webDirectory === undefined ? {} : { directory: options.webDirectory }),
  });
  context.fleet.start();
  return {
    context,
    routes,
    serve: (request, response) => {
      const app = request.url?.startsWith('/api/') === true ? api : web;
      app.routing(request, response);
    },
    close: async () => {
      context.fleet.stop();
      await api.close();
      await web.close();
    },
  };
}

function consoleRoutes(context: ConsoleContext, guard: BrowserGuard): AnyRoute[] {
  return [
    ...accountRoutes(context, guard),
    ...userRoutes(context),
    ...fleetRoutes(context, guard),
    ...proxyRoutes(context, guard),
  ].map((one) => ({ ...one, path: `/${CONSOLE_PREFIX}${one.path}` }));
}
