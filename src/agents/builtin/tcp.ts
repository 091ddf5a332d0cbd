// Whether somebody listens at a port and, if wanted, says what is expected.
import { z } from 'zod';
import { type Agent, type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { Dialogue } from './support/dialogue.ts';
import { connectTo, describeTarget, isRefused, reasonOf, since } from './support/connection.ts';
import { port } from './support/parameters.ts';

const SHOWN_LENGTH_MAX = 80;

const parameters = z.strictObject({
  host: z.string().max(255).default('127.0.0.1').describe('Address to connect to'),
  port: port.describe('TCP port'),
  send: z
    .string()
    .max(4096)
    .optional()
    .describe(String.raw`Text to send first; \r and \n stand for the ends of lines`),
  expect: z
    .string()
    .max(1024)
    .optional()
    .describe('Text that has to be in the first 64 KiB of the answer'),
});

export type TcpParameters = z.infer<typeof parameters>;

export const tcp: Agent<TcpParameters> = defineAgent({
  name: 'tcp',
  title: 'TCP port',
  description: 'Connects to a port; if wanted sends a text and waits for an expected one',
  parameters,
  defaults: { probeTimeoutMs: 3000 },
  probe,
});

async function probe(given: TcpParameters, { signal }: AgentContext): Promise<ProbeResult> {
  const at = describeTarget(given);
  let connected;
  try {
    connected = await connectTo(given, signal);
  } catch (failure) {
    signal.throwIfAborted();
    return isRefused(failure)
      ? { state: 'stopped', sentence: `nobody listens at ${at}` }
      : { state: 'failed', sentence: `${at} cannot be reached: ${reasonOf(failure)}` };
  }
  const { socket, connectMs } = connected;
  try {
    if (given.send !== undefined) socket.write(unescaped(given.send));
    if (given.expect === undefined) {
      return { state: 'ok', sentence: `${at} accepts connections`, measures: { connectMs } };
    }
    const from = performance.now();
    // It reads bytes as if each were a letter; what people write is UTF-8.
    const dialogue = new Dialogue(socket);
    const expected = Buffer.from(given.expect).toString('latin1');
    const isThere = await dialogue.untilText(expected);
    signal.throwIfAborted();
    const measures = { connectMs, answerMs: since(from) };
    if (isThere) {
      return { state: 'ok', sentence: `${at} answered with "${given.expect}"`, measures };
    }
    const received = Buffer.from(dialogue.received, 'latin1').toString();
    const said = received.trim().slice(0, SHOWN_LENGTH_MAX);
    const answer = said === '' ? 'closed the connection' : `said "${said}"`;
    const sentence = `${at} ${answer} instead of "${given.expect}"`;
    return { state: 'failed', sentence, measures };
  } finally {
    socket.destroy();
  }
}

function unescaped(text: string): string {
  return text.replaceAll(String.raw`\r`, '\r').replaceAll(String.raw`\n`, '\n');
}
