// Stand-in for Microsoft Exchange: SMTP, and the health pages of its web services.
import { createServer } from 'node:https';
import { smtpServer } from './mail-server.ts';
import type { StandIn } from './serve.ts';

export interface ExchangeStandIn extends AsyncDisposable {
  readonly smtp: StandIn;
  readonly httpsPort: number;
  /** Status of each page, which a test may change. */
  readonly pages: Map<string, number>;
}

export async function exchangeServer(identity: {
  readonly key: string;
  readonly certificate: string;
}): Promise<ExchangeStandIn> {
  const pages = new Map([
    ['/owa/healthcheck.htm', 200],
    ['/mapi/healthcheck.htm', 200],
  ]);
  const greeting = '220 ex1.example.net Microsoft ESMTP MAIL Service ready';
  const smtp = await smtpServer({ greeting });
  const { key, certificate } = identity;
  const https = createServer({ key, cert: certificate }, (request, response) => {
    const status = pages.get(request.url ?? '') ?? 404;
    response.writeHead(status, { 'Content-Type': 'text/html' });
    response.end(status === 200 ? '200 OK<br/>EX1.EXAMPLE.NET' : 'unhealthy');
  });
  await new Promise<void>((resolve) => {
    https.listen(0, '127.0.0.1', resolve);
  });
  const address = https.address();
  return {
    smtp,
    httpsPort: typeof address === 'object' && address !== null ? address.port : 0,
    pages,
    [Symbol.asyncDispose]: async () => {
      await smtp[Symbol.asyncDispose]();
      https.closeAllConnections();
      await new Promise<void>((resolve) => {
        https.close(() => resolve());
      });
    },
  };
}
