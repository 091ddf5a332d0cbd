// Deaths of processes: Understudy's own, and the applications'.
import { setTimeout as sleep } from 'node:timers/promises';
import { filterProcesses, processesOf, type Program } from '../../field/faults.ts';
import { type Fault, hostOf, type Scene, type Parameters } from '../types.ts';

const SIDES = ['primary', 'standby'] as const;

/** Kills what there is at the moment: a second fault may have ended it already. */
function killAll(pids: readonly number[]): void {
  for (const pid of pids) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // Gone in this moment.
    }
  }
}

async function killTimes(
  times: number,
  pauseMs: number,
  find: () => readonly number[],
): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    if (time > 0) await sleep(pauseMs);
    killAll(find());
  }
}

function killing(name: string, weight: number, program: Program, sides: readonly string[]): Fault {
  return {
    name,
    kind: 'process',
    weight,
    draw: (random) => ({
      on: random.pick(sides),
      times: random.chance(0.7) ? 1 : 2 + random.below(3),
      pauseMs: random.skewed(3000),
    }),
    strike: async (scene, parameters) => {
      const host = hostOf(scene, parameters);
      await killTimes(Number(parameters['times']), Number(parameters['pauseMs']), () =>
        host.isRunning ? processesOf(host, program) : [],
      );
    },
  };
}

export const processFaults: readonly Fault[] = [
  killing('kill-service', 3, 'understudyd', SIDES),
  killing('kill-cluster', 2, 'cluster', SIDES),
  killing('kill-mirror', 4, 'mirror', ['standby']),
  killing('kill-application', 1, 'application', ['primary']),
  {
    name: 'kill-filter',
    kind: 'process',
    weight: 4,
    draw: (random) => ({
      times: random.chance(0.7) ? 1 : 2 + random.below(2),
      pauseMs: 200 + random.skewed(4000),
    }),
    strike: async ({ primary }: Scene, { times, pauseMs }: Parameters) => {
      await killTimes(Number(times), Number(pauseMs), () =>
        primary.isRunning ? filterProcesses(primary) : [],
      );
    },
  },
];
