// The TLS port, 7440/tcp. What begins with `/v1/` is the node API, between the two nodes: a caller is known by the
// certificate it proved to own in the handshake; only `/v1/pairing/join` is open to unknown ones, and needs a secret.
// Everything else is for people and programs (admin-api/server.ts), which share the port and the certificate, nothing more.
//
// Everything is bounded: body, headers, times, connections. Errors are
// {"error":{"code","message","details"}}.
import { createHash, X509Certificate } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { createServer, type Server } from 'node:https';
import type { TLSSocket } from 'node:tls';
import fastify, { type FastifyError, type FastifyInstance, type FastifyRequest } from 'fastify';
import {
  serializerCompiler,
  validatorCompiler,
  type ZodTypeProvider,
} from 'fastify-type-provider-zod';
import { z } from 'zod';
import { messageOf, UnderstudyError } from '../core/errors.ts';
import { limitConnections } from './connection-limit.ts';
import { takeFromPeer } from './group-edit.ts';
import { deleteGroup, deleteStandby } from './group-deletion.ts';
import { nameSchema } from './group-spec.ts';
import {
  acceptedSchema,
  BODY_BYTES_MAX,
  checkReplySchema,
  emptyReplySchema,
  groupRefSchema,
  joinReplySchema,
  joinRequestSchema,
  nodeViewSchema,
  outcomeSchema,
  promoteRequestSchema,
  readinessSchema,
  rewindRestoreSchema,
  standbyRequestSchema,
  settingsRequestSchema,
  yieldRequestSchema,
} from './node-protocol.ts';
import type { NodeService } from './node-service.ts';
import { acceptJoin } from './pairing.ts';
import { promote } from './promotion.ts';
import { checkStandby, createStandby } from './standby-creation.ts';
import {
  markOnStandby,
  listHere,
  markReplySchema,
  markRequestSchema,
  pointOf,
  pointReplySchema,
  pointRequestSchema,
  restoredSchema,
  restoreHere,
  rewindListSchema,
} from './rewind.ts';
import { acceptHere } from './safety-accept.ts';
import { switchover } from './switchover.ts';
import { yieldTo } from './takeover.ts';

const GUESTS_MAX = 256;
const PEER_PATHS = '/v1/';
const KEEP_ALIVE_MS = 30_000;
const HANDSHAKE_TIMEOUT_MS = 5000;
const REQUEST_TIMEOUT_MS = 15_000;
const JOIN_PATH = '/v1/pairing/join';

const groupParams = z.object({ group: nameSchema });

/** Serves what is not for the other node. */
export type PeopleHandler = (request: IncomingMessage, response: ServerResponse) => void;

/** Builds the server; `listen` it on the node's port. */
export function buildNodeApi(service: NodeService, people: PeopleHandler): FastifyInstance {
  const server = fastify({
    serverFactory: (peers) => tlsServer(service, peers, people),
    bodyLimit: BODY_BYTES_MAX,
    forceCloseConnections: true,
    logger: false,
  });
  server.setValidatorCompiler(validatorCompiler);
  server.setSerializerCompiler(serializerCompiler);
  server.addHook('onRequest', async (request) => {
    if (request.routeOptions.url !== JOIN_PATH) requirePeer(service, request);
  });
  server.setErrorHandler(async (error: FastifyError, _request, reply) => {
    const known = asUnderstudyError(error);
    await reply.status(known.code === 'NOT_TRUSTED' ? 403 : 409).send({ error: known.serialize() });
  });
  server.setNotFoundHandler(async (_request, reply) => {
    const error = new UnderstudyError('METHOD_UNKNOWN', 'the node API has no such method');
    await reply.status(404).send({ error: error.serialize() });
  });
  addRoutes(server.withTypeProvider<ZodTypeProvider>() as unknown as FastifyInstance, service);
  return server as unknown as FastifyInstance;
}

function tlsServer(service: NodeService, peers: PeopleHandler, people: PeopleHandler): Server {
  const { certificate, key } = service.identity;
  const server = createServer(
    {
      cert: certificate,
      key,
      minVersion: 'TLSv1.3',
      requestCert: true,
      // Certificates are self-signed: who is trusted is decided by the pinned ones.
      rejectUnauthorized: false,
      handshakeTimeout: HANDSHAKE_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      headersTimeout: REQUEST_TIMEOUT_MS,
      keepAliveTimeout: KEEP_ALIVE_MS,
    },
    (request, response) => {
      const serve = request.url?.startsWith(PEER_PATHS) === true ? peers : people;
      serve(request, response);
    },
  );
  limitConnections(server, {
    guestsMax: GUESTS_MAX,
    isPeer: (socket) => isTrusted(service, socket.getPeerCertificate().raw),
  });
  return server;
}

function addRoutes(untyped: FastifyInstance, service: NodeService): void {
  const server = untyped.withTypeProvider<ZodTypeProvider>();
  server.post(
    JOIN_PATH,
    { schema: { body: joinRequestSchema, response: { 200: joinReplySchema } } },
    async (request) => ({
      node: await acceptJoin(service, request.body, callerCertificate(request)),
    }),
  );
  server.get('/v1/node', { schema: { response: { 200: nodeViewSchema } } }, async () =>
    service.view(),
  );
  addGroupRoutes(untyped, service);
}

function addGroupRoutes(untyped: FastifyInstance, service: NodeService): void {
  const server = untyped.withTypeProvider<ZodTypeProvider>();
  server.post(
    '/v1/groups/check',
    { schema: { body: standbyRequestSchema, response: { 200: checkReplySchema } } },
    async ({ body }) => checkStandby(service, body),
  );
  server.put(
    '/v1/groups/:group',
    {
      schema: {
        params: groupParams,
        body: standbyRequestSchema,
        response: { 200: emptyReplySchema },
      },
    },
    async ({ body }) => {
      await createStandby(service, body);
      return {};
    },
  );
  const byId = { params: groupParams, body: groupRefSchema };
  server.delete(
    '/v1/groups/:group',
    { schema: { ...byId, response: { 200: emptyReplySchema } } },
    async ({ params, body }) => {
      await deleteStandby(service, service.groupById(params.group, body.groupId));
      return {};
    },
  );
  server.post(
    '/v1/groups/:group/delete',
    { schema: { ...byId, response: { 200: emptyReplySchema } } },
    async ({ params, body }) => {
      service.groupById(params.group, body.groupId);
      await deleteGroup(service, params.group, { force: false });
      return {};
    },
  );
  server.post(
    '/v1/groups/:group/switchover',
    { schema: { ...byId, response: { 200: outcomeSchema } } },
    async ({ params, body }) => {
      service.groupById(params.group, body.groupId);
      return switchover(service, params.group, service.peers.requirePeer().name);
    },
  );
  server.post(
    '/v1/groups/:group/readiness',
    { schema: { ...byId, response: { 200: readinessSchema } } },
    async ({ params, body }) => {
      const { agents } = service.groupById(params.group, body.groupId);
      return { reasons: await agents.questions.reasonsAgainst() };
    },
  );
  server.post(
    '/v1/groups/:group/promote',
    {
      schema: {
        params: groupParams,
        body: promoteRequestSchema,
        response: { 200: outcomeSchema },
      },
    },
    async ({ params, body }) => promote(service.groupById(params.group, body.groupId), body),
  );
  server.post(
    '/v1/groups/:group/point',
    {
      schema: {
        params: groupParams,
        body: pointRequestSchema,
        response: { 200: pointReplySchema },
      },
    },
    async ({ params, body }) => ({
      sequence: await pointOf(service.groupById(params.group, body.groupId), body.quiesce),
    }),
  );
  server.post(
    '/v1/groups/:group/rewind-mark',
    {
      schema: {
        params: groupParams,
        body: markRequestSchema,
        response: { 200: markReplySchema },
      },
    },
    async ({ params, body }) => {
      const runtime = service.groupById(params.group, body.groupId);
      return markOnStandby(runtime, body.name, body.sequence);
    },
  );
  addForwardedRoutes(untyped, service);
  server.put(
    '/v1/groups/:group/settings',
    {
      schema: {
        params: groupParams,
        body: settingsRequestSchema,
        response: { 200: emptyReplySchema },
      },
    },
    async ({ params, body: { groupId, ...change } }) => {
      await takeFromPeer(service, service.groupById(params.group, groupId), change);
      return {};
    },
  );
  server.post(
    '/v1/groups/:group/yield',
    {
      schema: { params: groupParams, body: yieldRequestSchema, response: { 200: outcomeSchema } },
    },
    async ({ params, body }) => yieldTo(service.groupById(params.group, body.groupId), body.epoch),
  );
}

/** What a person has asked of the other node, and is for this one. */
function addForwardedRoutes(untyped: FastifyInstance, service: NodeService): void {
  const server = untyped.withTypeProvider<ZodTypeProvider>();
  const byId = { params: groupParams, body: groupRefSchema };
  server.post(
    '/v1/groups/:group/accept',
    { schema: { ...byId, response: { 200: acceptedSchema } } },
    async ({ params, body }) => acceptHere(service, service.groupById(params.group, body.groupId)),
  );
  server.post(
    '/v1/groups/:group/rewind-list',
    { schema: { ...byId, response: { 200: rewindListSchema } } },
    async ({ params, body }) => listHere(service.groupById(params.group, body.groupId)),
  );
  server.post(
    '/v1/groups/:group/rewind-restore',
    {
      schema: {
        params: groupParams,
        body: rewindRestoreSchema,
        response: { 200: restoredSchema },
      },
    },
    async ({ params, body: { groupId, wish } }) =>
      restoreHere(service, service.groupById(params.group, groupId), wish),
  );
}

function requirePeer(service: NodeService, request: FastifyRequest): void {
  if (isTrusted(service, peerCertificateOf(request))) return;
  throw new UnderstudyError(
    'NOT_TRUSTED',
    `node "${service.config.name}" does not know the caller: pair the nodes with "understudy invite" and "understudy join"`,
  );
}

/** `raw`: DER of a certificate that its owner has proved to own. */
function isTrusted({ peers }: NodeService, raw: Buffer | undefined): boolean {
  if (raw === undefined) return false;
  return peers.byFingerprint(createHash('sha256').update(raw).digest('hex')) !== undefined;
}

/** DER of the certificate that the caller proved to own. */
function peerCertificateOf(request: FastifyRequest): Buffer | undefined {
  return (request.raw.socket as TLSSocket).getPeerCertificate().raw;
}

function callerCertificate(request: FastifyRequest): string {
  const raw = peerCertificateOf(request);
  if (raw === undefined) {
    throw new UnderstudyError('NOT_TRUSTED', 'the joining node showed no certificate');
  }
  return new X509Certificate(raw).toString();
}

function asUnderstudyError(error: FastifyError): UnderstudyError {
  if (error instanceof UnderstudyError) return error;
  const isFault = error.statusCode !== undefined && error.statusCode < 500;
  const code = isFault ? 'REQUEST_INVALID' : 'INTERNAL';
  return new UnderstudyError(code, messageOf(error).slice(0, 2000), { cause: error });
}
