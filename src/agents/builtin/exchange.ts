// Microsoft Exchange: SMTP, and the health pages that its load balancers ask (managed availability):
// each protocol's /<name>/healthcheck.htm answers 200 while it is healthy.
import { z } from 'zod';
import { type Agent, type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { askPage } from './support/http-request.ts';
import { askSmtp, MailFault } from './support/mail-dialogue.ts';
import { describeTarget, isRefused, reasonOf } from './support/connection.ts';
import { port } from './support/parameters.ts';

const parameters = z.strictObject({
  host: z.string().max(255).default('127.0.0.1').describe('Address of the server'),
  smtpPort: port.default(25).describe('Port of SMTP'),
  httpsPort: port.default(443).describe('Port of the web services'),
  pages: z
    .array(z.string().startsWith('/').max(255))
    .min(1)
    .max(16)
    .default(['/owa/healthcheck.htm', '/mapi/healthcheck.htm'])
    .describe('Health pages that have to answer 200'),
  verifyCertificate: z
    .boolean()
    .default(false)
    .describe('Whether a certificate that is not trusted or has expired counts as failed'),
});

export type ExchangeParameters = z.infer<typeof parameters>;

export const exchange: Agent<ExchangeParameters> = defineAgent({
  name: 'exchange',
  title: 'Microsoft Exchange',
  description: 'SMTP greeting and EHLO; the health pages of Outlook on the web and MAPI answer 200',
  parameters,
  defaults: { probeIntervalMs: 10_000, probeTimeoutMs: 10_000 },
  probe,
});

async function probe(given: ExchangeParameters, context: AgentContext): Promise<ProbeResult> {
  const { host, httpsPort, pages, verifyCertificate } = given;
  const results = await Promise.all([
    smtp(given, context),
    ...pages.map(async (page): Promise<ProbeResult> => {
      const url = `https://${describeTarget({ host, port: httpsPort })}${page}`;
      return await ask(url, verifyCertificate, context);
    }),
  ]);
  context.signal.throwIfAborted();
  const measures = Object.assign({}, ...results.map((result) => result.measures ?? {})) as Record<
    string,
    number
  >;
  const bad = results.filter(({ state }) => state !== 'ok');
  const sentence = (bad.length === 0 ? results : bad).map((one) => one.sentence).join('; ');
  if (bad.length === 0) return { state: 'ok', sentence, measures };
  if (bad.length === results.length && bad.every(({ state }) => state === 'stopped')) {
    return { state: 'stopped', sentence, measures };
  }
  const isHard = bad.some(({ state }) => state !== 'degraded');
  return { state: isHard ? 'failed' : 'degraded', sentence, measures };
}

async function smtp(
  { host, smtpPort }: ExchangeParameters,
  { signal }: AgentContext,
): Promise<ProbeResult> {
  const target = { host, port: smtpPort };
  const options = { tls: 'off', verifyCertificate: false, name: 'understudy.localdomain' } as const;
  try {
    const answer = await askSmtp(target, { signal, ...options });
    const measures = { smtpMs: answer.answerMs };
    return { state: 'ok', sentence: `SMTP said "${answer.greeting}"`, measures };
  } catch (failure) {
    if (isRefused(failure)) {
      return { state: 'stopped', sentence: `nobody listens for SMTP at ${host}:${smtpPort}` };
    }
    const state = failure instanceof MailFault ? failure.state : 'failed';
    return { state, sentence: `SMTP at ${host}:${smtpPort}: ${reasonOf(failure)}` };
  }
}

async function ask(
  url: string,
  verifyCertificate: boolean,
  { signal }: AgentContext,
): Promise<ProbeResult> {
  const { pathname } = new URL(url);
  try {
    const { status, measures } = await askPage(url, { signal, verifyCertificate });
    const name = `${pathname.split('/')[1] ?? 'page'}Ms`;
    const taken = { [name]: measures['totalMs'] ?? 0 };
    if (status === 200) {
      return { state: 'ok', sentence: `${pathname} answered 200`, measures: taken };
    }
    const sentence = `${url} answered ${status} instead of 200`;
    return { state: 'failed', sentence, measures: taken };
  } catch (failure) {
    if (isRefused(failure)) return { state: 'stopped', sentence: `nobody listens at ${url}` };
    return { state: 'failed', sentence: `${url} cannot be asked for: ${reasonOf(failure)}` };
  }
}
