// The web application's files, as they were built into `web/dist`. They hold no secrets: whoever may reach the port may have them.
//
// Nothing is loaded or sent anywhere but here. The page itself is sent with a nonce, which the application gives to the styles that
// it makes at run time: `<meta name="csp-nonce" content="__CSP_NONCE__">`.
import { randomBytes } from 'node:crypto';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import fastifyStatic from '@fastify/static';
import fastify, { type FastifyInstance, type FastifyReply } from 'fastify';

export const WEB_DIRECTORY = join(import.meta.dirname, 'web', 'dist');
const NONCE_BYTES = 16;
const NONCE_PLACE = '__CSP_NONCE__';
const ASSET_AGE_SECONDS = 31_536_000;

const NOT_BUILT =
  '<!doctype html><html lang="en"><meta charset="utf-8"><title>Understudy</title><p>The web application is not built in this installation. The API is at /api/console.</p></html>';

/** An app that does not listen itself. */
export async function buildWebApp({
  directory = WEB_DIRECTORY,
  isSecure,
}: {
  readonly directory?: string;
  readonly isSecure: boolean;
}): Promise<FastifyInstance> {
  const app = fastify({ logger: false });
  app.addHook('onRequest', async (_request, reply) => {
    void reply
      .header('x-content-type-options', 'nosniff')
      .header('referrer-policy', 'no-referrer')
      .header('cross-origin-opener-policy', 'same-origin')
      .header('cross-origin-resource-policy', 'same-origin');
    if (isSecure) void reply.header('strict-transport-security', 'max-age=31536000');
  });
  if (existsSync(directory)) {
    await app.register(fastifyStatic, {
      root: directory,
      index: false,
      preCompressed: true,
      dotfiles: 'deny',
      setHeaders: (response, path) => {
        void response.header('content-security-policy', policy(null));
        // Names of files in here carry a hash of what is in them.
        const isLasting = path.startsWith(join(directory, 'assets'));
        void response.header(
          'cache-control',
          isLasting ? `public, max-age=${ASSET_AGE_SECONDS}, immutable` : 'no-cache',
        );
      },
    });
  }
  app.get('/', async (_request, reply) => sendPage(reply, directory));
  app.get('/index.html', async (_request, reply) => sendPage(reply, directory));
  app.setNotFoundHandler(async (request, reply) => {
    // Places of the application are paths without a dot; a missing file is none of them.
    const isPlace = request.method === 'GET' && !/\.[^/]*$/.test(request.url.split('?')[0] ?? '');
    if (isPlace) return sendPage(reply, directory);
    return reply.status(404).type('text/plain').send('not found\n');
  });
  await app.ready();
  return app;
}

function sendPage(reply: FastifyReply, directory: string): FastifyReply {
  const file = join(directory, 'index.html');
  const nonce = randomBytes(NONCE_BYTES).toString('base64');
  const page = existsSync(file) ? readFileSync(file, 'utf8') : NOT_BUILT;
  return reply
    .header('content-security-policy', policy(nonce))
    .header('cache-control', 'no-store')
    .type('text/html; charset=utf-8')
    .send(page.replaceAll(NONCE_PLACE, nonce));
}

function policy(nonce: string | null): string {
  const styles = nonce === null ? '' : ` 'nonce-${nonce}'`;
  return [
    "default-src 'none'",
    "script-src 'self'",
    `style-src 'self'${styles}`,
    "img-src 'self' data:",
    "font-src 'self'",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
  ].join('; ');
}
