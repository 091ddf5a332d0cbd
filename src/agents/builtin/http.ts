// A page of a web application: its status, and what is on it.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { type Agent, type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { type Answer, askPage, shownUrl } from './support/http-request.ts';
import { isRefused, reasonOf } from './support/connection.ts';
import { absolutePath } from './support/parameters.ts';

const SHOWN_LENGTH_MAX = 80;

function isRegularExpression(text: string): boolean {
  try {
    return new RegExp(text) instanceof RegExp;
  } catch {
    return false;
  }
}

const parameters = z.strictObject({
  url: z.url({ protocol: /^https?$/ }).describe('Page to ask for: http://127.0.0.1:8080/health'),
  method: z.enum(['GET', 'HEAD', 'POST']).default('GET').describe('How it is asked for'),
  headers: z
    .record(z.string().max(128), z.string().max(4096))
    .default({})
    .describe('Further headers: { Host: shop.example.net }'),
  expectStatus: z
    .array(z.int().min(100).max(599))
    .min(1)
    .max(32)
    .default([200])
    .describe('Statuses that count as healthy'),
  expectText: z
    .string()
    .max(1024)
    .optional()
    .describe('Text that has to be in the first 64 KiB of the page'),
  expectPattern: z
    .string()
    .max(1024)
    .refine(isRegularExpression, 'write a regular expression')
    .optional()
    .describe('Regular expression that has to match there'),
  verifyCertificate: z
    .boolean()
    .default(false)
    .describe('Whether a certificate that is not trusted or has expired counts as failed'),
  caFile: absolutePath.optional().describe('PEM file of the authority that signed the certificate'),
  connectTo: z
    .string()
    .max(255)
    .optional()
    .describe(
      'Address to connect to instead of the one in the URL, which stays the name asked for',
    ),
});

export type HttpParameters = z.infer<typeof parameters>;

export const http: Agent<HttpParameters> = defineAgent({
  name: 'http',
  title: 'HTTP(S) page',
  description: 'Asks for a page and looks at its status and, if wanted, its text',
  parameters,
  defaults: { probeTimeoutMs: 5000 },
  validate: ({ caFile }) => {
    try {
      if (caFile !== undefined) readFileSync(caFile);
      return Promise.resolve([]);
    } catch {
      return Promise.resolve([`the caFile ${caFile} cannot be read: create it on both nodes`]);
    }
  },
  probe,
});

async function probe(given: HttpParameters, { signal }: AgentContext): Promise<ProbeResult> {
  const { url, method, headers, connectTo, caFile } = given;
  const page = shownUrl(url);
  let answer: Answer;
  try {
    answer = await askPage(url, {
      signal,
      method,
      headers,
      connectTo,
      verifyCertificate: given.verifyCertificate,
      ca: caFile === undefined ? undefined : readFileSync(caFile),
    });
  } catch (failure) {
    signal.throwIfAborted();
    return isRefused(failure)
      ? { state: 'stopped', sentence: `nobody listens at ${page}` }
      : { state: 'failed', sentence: `${page} cannot be asked for: ${reasonOf(failure)}` };
  }
  const fault = faultOf(given, answer);
  const { status, body, measures } = answer;
  if (fault !== undefined) return { state: 'failed', sentence: `${page} ${fault}`, measures };
  const sentence = `${page} answered ${status} with ${body.length} bytes`;
  return { state: 'ok', sentence, measures };
}

function faultOf(given: HttpParameters, { status, body }: Answer): string | undefined {
  const { expectStatus, expectText, expectPattern } = given;
  const start = JSON.stringify(body.slice(0, SHOWN_LENGTH_MAX));
  if (!expectStatus.includes(status)) {
    return `answered ${status} instead of ${expectStatus.join(' or ')}: ${start}`;
  }
  if (expectText !== undefined && !body.includes(expectText)) {
    return `answered ${status}, but "${expectText}" is not on the page: ${start}`;
  }
  if (expectPattern !== undefined && !new RegExp(expectPattern).test(body)) {
    return `answered ${status}, but nothing on the page matches /${expectPattern}/: ${start}`;
  }
  return undefined;
}
