// `use: heartbeat`: an application that reports by itself. It posts to a socket of the service
// (agent-heartbeats.ts), which leaves the newest report in the agent's runtime directory; the probe reads
// it and looks at its age.
import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { formatDurationMs, parseDurationMs } from '../../core/units.ts';
import { boottimeMs } from '../../linux/boottime.ts';
import { type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { measuresSchema } from '../invoke.ts';

const FILE = 'heartbeat.json';

const duration = z
  .string()
  .max(40)
  .refine((text) => /^\s*\d+(\.\d+)?\s*(ms|s|m|min|h|d)\s*$/.test(text), 'write for example "5s"');

const parameters = z.strictObject({
  every: duration.default('5s').describe('how often the application reports'),
  missed: z.int().min(1).max(100).default(2).describe('reports that may be missing'),
  first: duration.default('30s').describe('how long after its start the first report may take'),
  user: z
    .string()
    .regex(/^[a-z_][a-z0-9_-]{0,31}\$?$/, 'the name of a user')
    .optional()
    .describe('user that may write to the socket besides root'),
});
type Parameters = z.infer<typeof parameters>;

/** What an application says of itself. */
export const heartbeatSchema = z.strictObject({
  /** Name of the agent, where a group has several of this kind. */
  agent: z.string().max(64).optional(),
  state: z.enum(['ok', 'degraded', 'failed']).default('ok'),
  // Both as a probe may say them: one that says something else tells nothing of its application.
  sentence: z.string().trim().min(1).max(1000).default('it reports'),
  measures: measuresSchema.optional(),
});
export type Heartbeat = z.infer<typeof heartbeatSchema>;

const keptSchema = heartbeatSchema.extend({ atMs: z.number(), isFirst: z.boolean() });

/** Leaves a report where the probe finds it. */
export function keepHeartbeat(
  runtimeDirectory: string,
  heartbeat: Heartbeat,
  isFirst = false,
): void {
  const path = join(runtimeDirectory, FILE);
  const kept = { ...heartbeat, atMs: boottimeMs(), isFirst };
  writeFileSync(`${path}.new`, JSON.stringify(kept), { mode: 0o600 });
  renameSync(`${path}.new`, path);
}

export const heartbeat = defineAgent<Parameters>({
  name: 'heartbeat',
  title: 'Heartbeat',
  description: 'Watches an application that reports by itself over a local socket',
  parameters,
  defaults: { probeIntervalMs: 1000, probeTimeoutMs: 2000 },

  starts: () => false,

  async probe({ every, missed, first }, context) {
    const kept = read(context);
    if (kept === undefined) return { state: 'stopped', sentence: 'it has never reported' };
    const ageMs = boottimeMs() - kept.atMs;
    const age = formatDurationMs(ageMs);
    if (kept.isFirst) {
      if (ageMs <= parseDurationMs(first)) {
        return { state: 'ok', sentence: `it was started ${age} ago and has not reported yet` };
      }
      return { state: 'failed', sentence: `it has not reported since its start ${age} ago` };
    }
    if (ageMs > parseDurationMs(every) * (missed + 1)) {
      const sentence = `its last report is ${age} old, one every ${every} is due ("${kept.sentence}")`;
      return { state: 'failed', sentence };
    }
    const { state, sentence, measures } = kept;
    const result: ProbeResult = { state, sentence };
    return measures === undefined ? result : { ...result, measures };
  },

  /** The application is started by another agent: from now on it is waited for. */
  async start(_given, context) {
    keepHeartbeat(context.runtimeDirectory, { state: 'ok', sentence: 'started' }, true);
  },

  async stop(_given, context) {
    rmSync(join(context.runtimeDirectory, FILE), { force: true });
  },
});

function read({ runtimeDirectory }: AgentContext): z.infer<typeof keptSchema> | undefined {
  try {
    const value: unknown = JSON.parse(readFileSync(join(runtimeDirectory, FILE), 'utf8'));
    return keptSchema.safeParse(value).data;
  } catch {
    return undefined;
  }
}
