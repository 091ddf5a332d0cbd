// The OpenAPI document, made by a server that never listens from the same routes as the real one.
import swagger from '@fastify/swagger';
import fastify from 'fastify';
import {
  jsonSchemaTransform,
  serializerCompiler,
  validatorCompiler,
} from 'fastify-type-provider-zod';
import { type AnyRoute, urlOf } from './route.ts';
import { errorSchema } from './schemas.ts';

export interface OpenApiOperation {
  readonly summary: string;
  readonly description?: string;
  readonly tags?: readonly string[];
  readonly parameters?: readonly OpenApiParameter[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { schema: unknown }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { schema: unknown }>> }>
  >;
  readonly 'x-role': string;
}

export interface OpenApiParameter {
  readonly name: string;
  readonly in: 'path' | 'query';
  readonly required?: boolean;
  readonly description?: string;
  readonly schema: unknown;
}

export interface OpenApiDocument {
  readonly openapi: string;
  readonly info: { readonly title: string; readonly version: string };
  /** Path → method in lower case → operation. */
  readonly paths: Readonly<Record<string, Readonly<Record<string, OpenApiOperation>>>>;
}

const DESCRIPTION =
  'The API of one node. Callers need an access token ("understudy token create"), sent as "Authorization: Bearer TOKEN"; on the Unix socket root is the administrator. Each route names the role that it needs (x-role). Failures are {"error": {"code", "message", "details"}}.';

let made: { readonly version: string; readonly document: OpenApiDocument } | undefined;

/** Made once for each version. */
export async function openApiDocument(
  routes: readonly AnyRoute[],
  version: string,
): Promise<OpenApiDocument> {
  if (made?.version === version) return made.document;
  const document = await make(routes, version);
  made = { version, document };
  return document;
}

async function make(routes: readonly AnyRoute[], version: string): Promise<OpenApiDocument> {
  const app = fastify({ logger: false });
  app.setValidatorCompiler(validatorCompiler);
  app.setSerializerCompiler(serializerCompiler);
  await app.register(swagger, {
    openapi: {
      openapi: '3.1.0',
      info: { title: 'Understudy', version, description: DESCRIPTION },
      security: [{ token: [] }],
      components: { securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
    },
    transform: jsonSchemaTransform,
  });
  for (const one of routes) {
    const { method, role, params, query, body, reply, status, summary, tag } = one;
    app.route({
      method,
      url: urlOf(one),
      schema: {
        summary,
        description: `Role: ${role}.`,
        tags: [tag],
        ...(params === undefined ? {} : { params }),
        ...(query === undefined ? {} : { querystring: query }),
        ...(body === undefined ? {} : { body }),
        ...(reply === undefined ? {} : { response: { [status]: reply(), default: errorSchema() } }),
      },
      handler: () => undefined,
    });
  }
  await app.ready();
  const document = app.swagger() as unknown as OpenApiDocument;
  await app.close();
  return withRoles(document, routes);
}

function withRoles(document: OpenApiDocument, routes: readonly AnyRoute[]): OpenApiDocument {
  for (const one of routes) {
    const path = urlOf(one).replaceAll(/:(\w+)/g, '{$1}');
    const operation = document.paths[path]?.[one.method.toLowerCase()];
    if (operation !== undefined) Object.assign(operation, { 'x-role': one.role });
  }
  return document;
}
