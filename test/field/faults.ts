// Accidents inside a running host, made from outside.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { present } from '../../src/core/assert.ts';
import { NODE } from '../../lab/demo/application.ts';
import { CHECKOUT } from '../../lab/enter.ts';
import type { LabHost } from '../../lab/host.ts';
import { holdsFuseDevice } from '../../lab/process.ts';
import { waitUntil } from '../../lab/run.ts';

const FLOOD = join(CHECKOUT, 'test/field/flood.ts');

/**
 * Programs of a host that the field test ends or stops, by their command lines. Anchored: wrappers that entered
 * the host have the program among their arguments too.
 */
const PROGRAMS = {
  /** The service; it gives itself a title. */
  understudyd: /^understudyd/,
  /** Heartbeats, lease, addresses. */
  cluster: /^\S*node .*failover\/cluster-main\.ts/,
  /** The standby's side of a group. */
  mirror: /^\S*node .*service\/standby-main\.ts/,
  application: /^\S*node .*examples\/ledger\/main\.ts/,
} as const;
export type Program = keyof typeof PROGRAMS;

function commandLineOf(pid: number): string {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** Numbers, as the machine sees them, of a host's processes that run `program`. */
export function processesOf(host: LabHost, program: Program): number[] {
  return host.group.pids().filter((pid) => PROGRAMS[program].test(commandLineOf(pid)));
}

/** The filter process of the primary: the one that holds the FUSE device, apart from the service. */
export function filterProcesses(host: LabHost): number[] {
  const service = processesOf(host, 'understudyd');
  return host.group.pids().filter((pid) => !service.includes(pid) && holdsFuseDevice(pid));
}

/** Ends processes at once; returns their numbers. There must be one. */
export function kill(pids: readonly number[], what: string): readonly number[] {
  present(pids[0], `a process of ${what}`);
  for (const pid of pids) process.kill(pid, 'SIGKILL');
  return pids;
}

export function killProgram(host: LabHost, program: Program): void {
  kill(processesOf(host, program), `${program} on ${host.name}`);
}

/** Stops the application so that it answers nothing and cannot be asked to end. */
export function hangApplication(host: LabHost): void {
  const pids = processesOf(host, 'application');
  present(pids[0], `the application on ${host.name}`);
  for (const pid of pids) process.kill(pid, 'SIGSTOP');
}

/** Kills the application as soon as it is there, until `isOver`. Returns how often. */
export async function keepKilling(
  host: LabHost,
  isOver: () => boolean,
  timeoutMs: number,
): Promise<number> {
  const killed = new Set<number>();
  await waitUntil(
    () => {
      for (const pid of processesOf(host, 'application')) {
        if (killed.has(pid)) continue;
        killed.add(pid);
        process.kill(pid, 'SIGKILL');
      }
      return isOver();
    },
    timeoutMs,
    50,
  );
  return killed.size;
}

/** Takes all processors away for a while: more endless loops than cores. */
export function runaway(host: LabHost, seconds: number): void {
  const loops = `for i in 1 2 3 4; do timeout ${seconds} sh -c 'while :; do :; done' & done; wait`;
  host.spawn(['sh', '-c', loops], { stdio: 'ignore' });
}

/** Sends as many packets as it can to the heartbeat port and to the application. */
export function flood(from: LabHost, targets: readonly string[], seconds: number): void {
  from.spawn([NODE, FLOOD, String(seconds), ...targets], { stdio: 'ignore' });
}

/** The card of the service network goes down, as by a driver that has failed. */
export async function cardDown(host: LabHost): Promise<void> {
  await host.must(['ip', 'link', 'set', 'eth0', 'down']);
}

export async function cardUp(host: LabHost, gateway: string): Promise<void> {
  await host.must(['ip', 'link', 'set', 'eth0', 'up']);
  await host.must(['ip', 'route', 'replace', 'default', 'via', gateway]);
}
