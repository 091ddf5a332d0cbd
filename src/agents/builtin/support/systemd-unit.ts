// systemd units through systemctl(1), one call for each question.
import { existsSync } from 'node:fs';
import type { Agent, AgentContext } from '../../agent.ts';
import { describeRun, runProgram } from './run-program.ts';

const SYSTEMD_RUNS = '/run/systemd/system';
const PROPERTIES = [
  'LoadState',
  'ActiveState',
  'SubState',
  'UnitFileState',
  'MainPID',
  'NRestarts',
  'Result',
  'NeedDaemonReload',
] as const;
/** States of a unit file that start it at boot. */
const STARTS_AT_BOOT = new Set(['enabled', 'enabled-runtime']);

export interface UnitState {
  /** `loaded`, `not-found`, `masked`, `error`. */
  readonly load: string;
  /** `active`, `inactive`, `failed`, `activating`, `deactivating`, `reloading`. */
  readonly active: string;
  readonly sub: string;
  readonly startsAtBoot: boolean;
  readonly mainPid: number;
  readonly restarts: number;
  /** Why it failed: `exit-code`, `signal`, `timeout`, `start-limit-hit`. */
  readonly result: string;
}

/** Errors: no systemd here, or it does not answer. */
export async function unitState(unit: string, context: AgentContext): Promise<UnitState> {
  checkSystemd();
  const properties = PROPERTIES.join(',');
  const run = await runProgram(['systemctl', 'show', '--property', properties, '--', unit], {
    context,
  });
  if (run.code !== 0) throw new Error(`systemctl cannot tell of ${unit}: ${describeRun(run)}`);
  const values = new Map(
    run.stdout.split('\n').map((line) => {
      const at = line.indexOf('=');
      return [line.slice(0, at), line.slice(at + 1)];
    }),
  );
  const value = (name: (typeof PROPERTIES)[number]): string => values.get(name) ?? '';
  return {
    load: value('LoadState'),
    active: value('ActiveState'),
    sub: value('SubState'),
    startsAtBoot: STARTS_AT_BOOT.has(value('UnitFileState')),
    mainPid: Number(value('MainPID')) || 0,
    restarts: Number(value('NRestarts')) || 0,
    result: value('Result'),
  };
}

/** `UNDERSTUDY_SYSTEMD` stands in for its runtime directory in tests. */
function checkSystemd(): void {
  const mark = process.env['UNDERSTUDY_SYSTEMD'] ?? SYSTEMD_RUNS;
  if (existsSync(mark)) return;
  throw new Error(
    'this node was not booted with systemd, so it has no units: use the agent "supervised" or "command"',
  );
}

export async function startUnit(unit: string, context: AgentContext): Promise<void> {
  await changeUnit('start', unit, context);
  const { active, sub, result } = await unitState(unit, context);
  if (active === 'active' || active === 'reloading') return;
  throw new Error(
    `systemctl started ${unit}, but it is ${active} (${sub}, ${result}): see "journalctl -u ${unit}"`,
  );
}

export async function stopUnit(unit: string, context: AgentContext): Promise<void> {
  const { load, active } = await unitState(unit, context);
  // A unit that is not there has nothing running.
  if (load === 'not-found') return;
  if (active === 'inactive' || active === 'failed') return;
  await changeUnit('stop', unit, context);
  const after = await unitState(unit, context);
  if (after.active === 'inactive' || after.active === 'failed') return;
  throw new Error(`systemctl stopped ${unit}, but it is ${after.active} (${after.sub})`);
}

async function changeUnit(
  verb: 'start' | 'stop',
  unit: string,
  context: AgentContext,
): Promise<void> {
  checkSystemd();
  const run = await runProgram(['systemctl', verb, '--', unit], { context });
  if (run.code === 0) return;
  throw new Error(
    `"systemctl ${verb} ${unit}" failed (${describeRun(run)}): see "journalctl -u ${unit}"`,
  );
}

/** What keeps a unit from being used on this node. */
export async function unitFindings(unit: string, context: AgentContext): Promise<string[]> {
  let state: UnitState;
  try {
    state = await unitState(unit, context);
  } catch (failure) {
    return [failure instanceof Error ? failure.message : String(failure)];
  }
  const findings: string[] = [];
  if (state.load === 'not-found') {
    findings.push(`there is no unit ${unit} on this node: install the application here too`);
  } else if (state.load !== 'loaded') {
    findings.push(`the unit ${unit} is ${state.load}: "systemctl status ${unit}" tells why`);
  }
  if (state.startsAtBoot) {
    findings.push(
      `the unit ${unit} starts by itself at boot, also on a node that must not run it: "systemctl disable ${unit}"`,
    );
  }
  return findings;
}

/** Start and stop of an agent that leaves both to a unit, and does neither without one. */
export const byUnit: Required<
  Pick<Agent<{ readonly unit?: string | undefined }>, 'starts' | 'start' | 'stop'>
> = {
  starts: ({ unit }) => unit !== undefined,
  start: async ({ unit }, context) => {
    if (unit !== undefined) await startUnit(unit, context);
  },
  stop: async ({ unit }, context) => {
    if (unit !== undefined) await stopUnit(unit, context);
  },
};
