// One request for a page, on a connection of its own that ends with it.
import { request as httpRequest, type ClientRequest, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { isIP } from 'node:net';
import { since } from './connection.ts';

const BODY_MAX = 64 * 1024;

export interface Answer {
  readonly status: number;
  /** The first 64 KiB. */
  readonly body: string;
  readonly measures: Readonly<Record<string, number>>;
}

export interface PageOptions {
  readonly signal: AbortSignal;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Address to connect to instead of the host of the URL. */
  readonly connectTo?: string | undefined;
  readonly verifyCertificate: boolean;
  readonly ca?: Buffer | undefined;
}

/** For sentences, which everybody reads: without a user and its password. */
export function shownUrl(url: string): string {
  return url.replace(/^(\w+:\/\/)[^/?#]*@/, '$1');
}

/** Redirections are answers like others. Rejects when no answer comes. */
export async function askPage(url: string, options: PageOptions): Promise<Answer> {
  const { signal, method = 'GET', headers = {}, connectTo, verifyCertificate, ca } = options;
  const address = new URL(url);
  const isTls = address.protocol === 'https:';
  const name = address.hostname.replace(/^\[|\]$/g, '');
  const from = performance.now();
  const request = (isTls ? httpsRequest : httpRequest)(address, {
    method,
    agent: false,
    signal,
    headers: { Host: address.host, 'User-Agent': 'understudy', ...headers },
    ...(connectTo === undefined ? {} : { host: connectTo, hostname: connectTo }),
    ...(isTls ? { rejectUnauthorized: verifyCertificate } : {}),
    ...(isTls && isIP(name) === 0 ? { servername: name } : {}),
    ...(ca === undefined ? {} : { ca }),
  });
  try {
    return await answerTo(request, from);
  } finally {
    request.destroy();
  }
}

async function answerTo(request: ClientRequest, from: number): Promise<Answer> {
  let connectMs = 0;
  request.once('socket', (socket) => {
    socket.once('connect', () => (connectMs = since(from)));
  });
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    request.once('response', resolve);
    request.once('error', reject);
    request.end();
  });
  const firstMs = since(from);
  // Errors from here on come through the response.
  request.on('error', () => undefined);
  response.setEncoding('utf8');
  let body = '';
  for await (const chunk of response) {
    body += String(chunk);
    if (body.length >= BODY_MAX) break;
  }
  const measures = { connectMs, firstMs, totalMs: since(from) };
  return { status: response.statusCode ?? 0, body: body.slice(0, BODY_MAX), measures };
}
