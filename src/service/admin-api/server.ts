// The API for people and programs: one set of routes, served on the Unix socket (root of this node) and, together with the
// node API, on the TLS port (docs/api.md, decision 17).
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import { chmodSync } from 'node:fs';
import { removeStaleSocket } from '../control-channel.ts';
import type { NodeService } from '../node-service.ts';
import { Authentication } from './authentication.ts';
import { type ApiContext, makeContext } from './context.ts';
import { buildRouteApp } from './route-app.ts';
import { allRoutes } from './routes.ts';

const LOCAL_CONNECTIONS_MAX = 64;
const REQUEST_TIMEOUT_MS = 15_000;

export interface AdminApi {
  readonly context: ApiContext;
  /** Serves what comes in over the TLS port. */
  readonly serve: (request: IncomingMessage, response: ServerResponse) => void;
  /** Opens the Unix socket. Errors: CONTROL_SOCKET_IN_USE. */
  readonly listen: () => Promise<void>;
  readonly close: () => Promise<void>;
}

/** Errors: STATE_FILE_INVALID. */
export async function buildAdminApi(service: NodeService): Promise<AdminApi> {
  const context = makeContext(service);
  const authentication = new Authentication({ tokens: context.tokens, peers: service.peers });
  const app = await buildRouteApp({
    routes: allRoutes(context),
    audit: context.audit,
    callerOf: (request) => authentication.callerOf(request),
    isUnlimited: (request) => authentication.isLocal(request),
  });
  const serve = (request: IncomingMessage, response: ServerResponse): void => {
    app.routing(request, response);
  };
  const local = localServer(authentication, serve);
  return {
    context,
    serve,
    listen: async () => {
      await listenLocally(local, service.paths.adminSocket);
      context.history.start();
    },
    close: async () => {
      context.history.stop();
      context.alerts.stop();
      await app.close();
      const closed = new Promise<void>((resolve) => {
        local.close(() => resolve());
      });
      local.closeAllConnections();
      await closed;
    },
  };
}

function localServer(
  authentication: Authentication,
  serve: (request: IncomingMessage, response: ServerResponse) => void,
): Server {
  const server = createServer({ requestTimeout: REQUEST_TIMEOUT_MS }, serve);
  server.maxConnections = LOCAL_CONNECTIONS_MAX;
  server.on('connection', (socket) => authentication.trust(socket));
  return server;
}

async function listenLocally(server: Server, path: string): Promise<void> {
  await removeStaleSocket(path);
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once('error', reject);
  // Node binds synchronously inside listen(), so nothing else runs under this mask.
  const mask = process.umask(0o177);
  server.listen(path, resolve);
  process.umask(mask);
  await promise;
  server.off('error', reject);
  chmodSync(path, 0o600);
}
