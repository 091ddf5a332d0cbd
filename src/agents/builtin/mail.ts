// A mail server: what SMTP and IMAP say first, and whether STARTTLS works.
import { z } from 'zod';
import { type Agent, type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { askImap, askSmtp, MailFault } from './support/mail-dialogue.ts';
import { describeTarget, isRefused, reasonOf } from './support/connection.ts';
import { port } from './support/parameters.ts';

const parameters = z
  .strictObject({
    host: z.string().max(255).default('127.0.0.1').describe('Address of the server'),
    smtp: z.boolean().default(true).describe('Whether SMTP is asked'),
    smtpPort: port.default(25).describe('Port of SMTP'),
    imap: z.boolean().default(false).describe('Whether IMAP is asked'),
    imapPort: port.default(143).describe('Port of IMAP'),
    tls: z
      .enum(['off', 'offered', 'starttls', 'implicit'])
      .default('off')
      .describe(
        'off: not looked at; offered: STARTTLS must be offered; starttls: and a TLS session must come about; implicit: TLS from the first byte (ports 465, 993)',
      ),
    verifyCertificate: z
      .boolean()
      .default(false)
      .describe('Whether a certificate that is not trusted or has expired counts as failed'),
    ehloName: z.string().max(255).default('understudy.localdomain').describe('Name said in EHLO'),
  })
  .refine(({ smtp, imap }) => smtp || imap, 'has to ask "smtp" or "imap"');

export type MailParameters = z.infer<typeof parameters>;

export const mail: Agent<MailParameters> = defineAgent({
  name: 'mail',
  title: 'Mail server (SMTP, IMAP)',
  description: 'Waits for the greeting, says EHLO or asks for CAPABILITY, and tries STARTTLS',
  parameters,
  defaults: { probeIntervalMs: 5000, probeTimeoutMs: 10_000 },
  probe,
});

async function probe(given: MailParameters, context: AgentContext): Promise<ProbeResult> {
  const { host, tls, verifyCertificate, ehloName: name } = given;
  const sentences: string[] = [];
  const measures: Record<string, number> = {};
  const asked = [
    { is: given.smtp, protocol: 'smtp', port: given.smtpPort, ask: askSmtp },
    { is: given.imap, protocol: 'imap', port: given.imapPort, ask: askImap },
  ] as const;
  for (const { is, protocol, port: number, ask } of asked) {
    if (!is) continue;
    const target = { host, port: number };
    const at = `${protocol.toUpperCase()} at ${describeTarget(target)}`;
    try {
      const answer = await ask(target, { signal: context.signal, tls, verifyCertificate, name });
      sentences.push(`${at} said "${answer.greeting}"${answer.isTls ? ', with TLS' : ''}`);
      measures[`${protocol}ConnectMs`] = answer.connectMs;
      measures[`${protocol}AnswerMs`] = answer.answerMs;
    } catch (failure) {
      context.signal.throwIfAborted();
      if (isRefused(failure)) return { state: 'stopped', sentence: `nobody listens for ${at}` };
      const state = failure instanceof MailFault ? failure.state : 'failed';
      return { state, sentence: `${at}: ${reasonOf(failure)}`, measures };
    }
  }
  return { state: 'ok', sentence: sentences.join('; '), measures };
}
