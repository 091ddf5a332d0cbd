// The process that agents live in: loads them when they are first asked for, calls them, and ends with the
// service, giving up what is under way.
import { Socket } from 'node:net';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../core/errors.ts';
import type { Agent } from '../agent.ts';
import { invoke, type Invocation } from '../invoke.ts';
import {
  agentSourceSchema,
  HOST_DESCRIPTOR,
  HostChannel,
  type HostRequest,
  requestSchema,
} from './host-protocol.ts';
import { checkParameters, describeAgent, loadAgent } from './load-agent.ts';

const KIT = pathToFileURL(join(import.meta.dirname, '../sdk.ts')).href;
/** For programs that are given up at the end. */
const LAST_MS = 200;

/** `import … from 'understudy/agent'` finds the kit, wherever the agent lies. */
function provideKit(): void {
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'understudy/agent'
        ? { url: KIT, format: 'module-typescript', shortCircuit: true }
        : next(specifier, context),
  });
}

const loaded = new Map<string, Promise<Agent>>();
const running = new Map<number, AbortController>();

async function agentFrom(value: unknown): Promise<Agent> {
  const source = agentSourceSchema.parse(value);
  const key = JSON.stringify(source);
  const present = loaded.get(key) ?? loadAgent(source);
  loaded.set(key, present);
  try {
    return await present;
  } catch (thrown) {
    loaded.delete(key);
    throw thrown;
  }
}

async function answer(
  request: Exclude<HostRequest, { abort: number }>,
  signal: AbortSignal,
): Promise<unknown> {
  const { method, params } = request;
  const agent = await agentFrom(params['source']);
  if (method === 'describe') return describeAgent(agent);
  if (method === 'check') return checkParameters(agent, params['parameters']);
  const { context, ...rest } = params['invocation'] as Invocation;
  // A line for the log goes through standard error, which the service bounds.
  const log = (line: string): void => void process.stderr.write(`${context.agent}: ${line}\n`);
  return invoke(agent, { ...rest, context: { ...context, log } }, signal);
}

function serve(): void {
  const socket = new Socket({ fd: HOST_DESCRIPTOR, readable: true, writable: true });
  const channel = new HostChannel(
    socket,
    (message) => {
      const request = requestSchema.safeParse(message);
      if (!request.success) process.exit(1);
      if ('abort' in request.data) running.get(request.data.abort)?.abort();
      else void handle(request.data);
    },
    () => void end(),
  );

  async function handle(request: Exclude<HostRequest, { abort: number }>): Promise<void> {
    const { id } = request;
    const control = new AbortController();
    running.set(id, control);
    try {
      const result = await answer(request, control.signal);
      if (!channel.send({ id, result })) channel.send({ id, error: 'its answer is too long' });
    } catch (thrown) {
      channel.send({ id, error: messageOf(thrown).slice(0, 4000) });
    } finally {
      running.delete(id);
    }
  }

  channel.send({ ready: true });
}

async function end(): Promise<void> {
  for (const control of running.values()) control.abort();
  if (running.size > 0) await sleep(LAST_MS);
  process.exit(0);
}

provideKit();
serve();
