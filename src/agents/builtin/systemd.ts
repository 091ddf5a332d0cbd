// A systemd unit as an application.
import { z } from 'zod';
import { type Agent, type AgentContext, defineAgent, type ProbeResult } from '../agent.ts';
import { since } from './support/connection.ts';
import { startUnit, stopUnit, unitFindings, unitState } from './support/systemd-unit.ts';

const parameters = z.strictObject({
  unit: z
    .string()
    .min(1)
    .max(256)
    .regex(/^[A-Za-z0-9:_.@\\-]+$/, 'write the name of a unit: nginx.service')
    .describe('Unit to start and stop: nginx.service; it must be disabled at boot'),
});

export type SystemdParameters = z.infer<typeof parameters>;

export const systemd: Agent<SystemdParameters> = defineAgent({
  name: 'systemd',
  title: 'systemd unit',
  description:
    'Starts and stops a unit and asks whether it is active; add a probe of its protocol beside it',
  parameters,
  defaults: { startTimeoutMs: 120_000, stopTimeoutMs: 120_000, probeTimeoutMs: 5000 },
  validate: async (given, context) => await unitFindings(unitOf(given), context),
  probe,
  start: async (given, context) => await startUnit(unitOf(given), context),
  stop: async (given, context) => await stopUnit(unitOf(given), context),
});

/** systemctl(1) takes a name without its kind for a service. */
const unitOf = ({ unit }: SystemdParameters): string =>
  /\.[a-z]+$/.test(unit) ? unit : `${unit}.service`;

async function probe(given: SystemdParameters, context: AgentContext): Promise<ProbeResult> {
  const unit = unitOf(given);
  const from = performance.now();
  const state = await unitState(unit, context);
  const measures = { queryMs: since(from), restarts: state.restarts };
  const said = `${unit} is ${state.active} (${state.sub})`;
  switch (state.active) {
    case 'active':
    case 'reloading':
      return { state: 'ok', sentence: said, measures };
    case 'inactive':
      return { state: 'stopped', sentence: said, measures };
    default:
      return { state: 'failed', sentence: `${said}: ${state.result}`, measures };
  }
}
