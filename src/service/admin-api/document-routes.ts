// The API's own description: OpenAPI as JSON, and as a page. Made when somebody asks for the first time, since the library
// for it and the document take memory that an idle node can spare.
import type { ApiContext } from './context.ts';
import { type AnyRoute, rawRoute } from './route.ts';

/** The page has no script at all. */
const PAGE_POLICY =
  "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

export function documentRoutes(context: ApiContext, routes: () => AnyRoute[]): AnyRoute[] {
  const { version } = context.service;
  return [
    rawRoute({
      method: 'GET',
      path: '//api/openapi.json',
      role: 'viewer',
      tag: 'document',
      summary: 'This description, as OpenAPI 3.',
      handle: async ({ reply }) => {
        const { openApiDocument } = await import('./openapi.ts');
        void reply
          .header('content-type', 'application/json')
          .send(JSON.stringify(await openApiDocument(routes(), version)));
      },
    }),
    rawRoute({
      method: 'GET',
      path: '//api/docs',
      role: 'viewer',
      tag: 'document',
      summary: 'This description, as a page.',
      handle: async ({ reply }) => {
        const { openApiDocument } = await import('./openapi.ts');
        const { documentPage } = await import('./document-page.ts');
        void reply
          .header('content-type', 'text/html; charset=utf-8')
          .header('content-security-policy', PAGE_POLICY)
          .send(documentPage(await openApiDocument(routes(), version)));
      },
    }),
  ];
}
