// Calls one function of an agent: with checked parameters, a deadline, and a result that is what the
// contract says. Whatever an agent does, the outcome is one of a few.
import { z } from 'zod';
import { messageOf } from '../core/errors.ts';
import { describeFault } from '../core/strict-config.ts';
import type { Agent, AgentContext } from './agent.ts';

/** An agent that is told to give up and does not is not waited for any longer. */
export const GIVE_UP_MS = 1500;
const SENTENCE_LENGTH_MAX = 1000;

export type Operation =
  | 'validate'
  | 'probe'
  | 'start'
  | 'stop'
  | 'quiesce'
  | 'resume'
  | 'promoteCheck'
  | 'processes';

export type Outcome =
  | { readonly kind: 'done'; readonly value: unknown; readonly ms: number }
  /** The agent says that it did not work. */
  | { readonly kind: 'failed'; readonly why: string; readonly ms: number }
  /** Its time was over. */
  | { readonly kind: 'late'; readonly why: string; readonly ms: number }
  /** It was given up. */
  | { readonly kind: 'aborted'; readonly why: string; readonly ms: number }
  /** The agent itself is at fault: it answered garbage, or its process died. */
  | { readonly kind: 'unusable'; readonly why: string; readonly ms: number };

const sentence = z.string().transform((text) => text.slice(0, SENTENCE_LENGTH_MAX));

export const measuresSchema = z
  .record(z.string().max(64), z.number())
  .refine((all) => Object.keys(all).length <= 64, 'more than 64 measures');

export const probeResultSchema = z.object({
  state: z.enum(['ok', 'degraded', 'failed', 'stopped']),
  sentence: sentence.refine((text) => text.trim() !== '', 'the sentence is empty'),
  measures: measuresSchema.optional(),
});

const nothing = z.unknown().transform(() => null);
const results: Readonly<Record<Operation, z.ZodType>> = {
  validate: z.array(sentence).max(64),
  probe: probeResultSchema,
  start: nothing,
  stop: nothing,
  quiesce: nothing,
  resume: nothing,
  promoteCheck: sentence.nullish().transform((text) => text ?? null),
  processes: z.array(z.int().min(2)).max(10_000),
};

/** Outcomes as they come from a host, which may say anything. */
export function outcomeSchema(operation: Operation): z.ZodType<Outcome> {
  const ms = z.number().min(0);
  const why = z.string().transform((text) => text.slice(0, SENTENCE_LENGTH_MAX));
  return z.discriminatedUnion('kind', [
    z.strictObject({ kind: z.literal('done'), value: results[operation], ms }),
    z.strictObject({ kind: z.enum(['failed', 'late', 'aborted', 'unusable']), why, ms }),
  ]) as unknown as z.ZodType<Outcome>;
}

/** What an agent does that lacks a function. */
const absent: Readonly<Record<Operation, unknown>> = {
  validate: [],
  probe: undefined,
  start: undefined,
  stop: undefined,
  quiesce: undefined,
  resume: undefined,
  promoteCheck: null,
  processes: [],
};

export interface Invocation {
  readonly operation: Operation;
  /** As the group's YAML has them. */
  readonly parameters: unknown;
  readonly timeoutMs: number;
  readonly context: Omit<AgentContext, 'signal'>;
}

/** Calls the agent. Never throws. */
export async function invoke(
  agent: Agent,
  { operation, parameters, timeoutMs, context }: Invocation,
  given: AbortSignal,
): Promise<Outcome> {
  const beganMs = performance.now();
  const ms = (): number => performance.now() - beganMs;
  if (given.aborted) return { kind: 'aborted', why: 'it was given up before it began', ms: 0 };
  const parsed = agent.parameters.safeParse(parameters);
  if (!parsed.success) {
    const why = describeFault(agent.parameters, parsed.error);
    return { kind: 'failed', why: `its parameters are wrong: ${why}`, ms: ms() };
  }
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), timeoutMs);
  const signal = AbortSignal.any([given, deadline.signal]);
  const called = call(agent, operation, {
    parameters: parsed.data,
    context: { ...context, signal },
  });
  const settled = await Promise.race([called, givenUp(signal)]);
  clearTimeout(timer);
  if (signal.aborted) {
    const said = settled.kind === 'threw' ? ` (${settled.why})` : '';
    return given.aborted
      ? { kind: 'aborted', why: `it was given up${said}`, ms: ms() }
      : { kind: 'late', why: `it was not done within ${timeoutMs} ms${said}`, ms: ms() };
  }
  if (settled.kind === 'threw') return { kind: 'failed', why: settled.why, ms: ms() };
  return checked(operation, settled.kind === 'returned' ? settled.value : undefined, ms());
}

type Settled =
  | { readonly kind: 'returned'; readonly value: unknown }
  | { readonly kind: 'threw'; readonly why: string }
  | { readonly kind: 'silent' };

async function call(
  agent: Agent,
  operation: Operation,
  { parameters, context }: { parameters: unknown; context: AgentContext },
): Promise<Settled> {
  try {
    const value: unknown =
      agent[operation] === undefined
        ? absent[operation]
        : await agent[operation](parameters, context);
    return { kind: 'returned', value };
  } catch (thrown) {
    return { kind: 'threw', why: messageOf(thrown).slice(0, SENTENCE_LENGTH_MAX) };
  }
}

/** Resolves some time after the signal: who gives up in order says why before that. */
async function givenUp(signal: AbortSignal): Promise<Settled> {
  await new Promise<void>((resolve) => {
    const onAbort = (): void => void setTimeout(resolve, GIVE_UP_MS).unref();
    signal.addEventListener('abort', onAbort, { once: true });
  });
  return { kind: 'silent' };
}

function checked(operation: Operation, value: unknown, ms: number): Outcome {
  const parsed = results[operation].safeParse(value);
  if (parsed.success) return { kind: 'done', value: parsed.data, ms };
  const fault = describeFault(results[operation], parsed.error);
  const why = `its "${operation}" returned something else than the contract says: ${fault}`;
  return { kind: 'unusable', why, ms };
}
