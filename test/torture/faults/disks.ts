// Disks that are full, fail, or turn read-only, and journals that are damaged.
import { setTimeout as sleep } from 'node:timers/promises';
import { damageJournal, removeState } from '../damage-journal.ts';
import { processesOf } from '../../field/faults.ts';
import { type Fault, hostOf } from '../types.ts';

const SIDES = ['primary', 'standby'] as const;

export const diskFaults: readonly Fault[] = [
  {
    name: 'disk-full',
    kind: 'disk',
    weight: 4,
    draw: (random) => ({
      on: random.pick(SIDES),
      leaveBytes: random.chance(0.5) ? 0 : random.below(4 * 1024 * 1024),
    }),
    strike: async (scene, parameters) => {
      const host = hostOf(scene, parameters);
      if (host.isRunning) await host.fillDisk(Number(parameters['leaveBytes']));
    },
    heal: async (scene, parameters) => {
      const host = hostOf(scene, parameters);
      if (host.isRunning) await host.freeDisk();
    },
  },
  {
    name: 'disk-fails',
    kind: 'disk',
    weight: 4,
    draw: (random) => ({
      on: random.pick(SIDES),
      how: random.pick(['error', 'read-only'] as const),
    }),
    strike: async (scene, parameters) => {
      const host = hostOf(scene, parameters);
      if (host.isRunning) host.breakDisk(parameters['how'] as 'error' | 'read-only');
      await Promise.resolve();
    },
    // A broken disk comes back with the power.
    heal: async (scene, parameters) => {
      const host = hostOf(scene, parameters);
      if (host.isRunning) await host.powerOff();
      await host.boot();
    },
  },
  {
    name: 'journal-damaged',
    kind: 'journal',
    weight: 3,
    draw: (random) => ({
      how: random.pick(['flip', 'flip', 'cut', 'zeros', 'state'] as const),
      place: random.below(1_000_000),
      awayMs: random.skewed(3000),
    }),
    /** The standby's service and mirror process are away while its journal is damaged. */
    strike: async ({ standby, note }, { how, place, awayMs }) => {
      if (!standby.isRunning || standby.state.frozen) return;
      await standby.stopService('understudyd');
      for (const pid of processesOf(standby, 'mirror')) process.kill(pid, 'SIGKILL');
      await sleep(Number(awayMs));
      note(await damageJournal(standby, String(how), Number(place)));
      await standby.startService('understudyd');
    },
    /** A state that cannot be used is said to be so, and removed by a person as the message asks for. */
    heal: async ({ standby }, { how }) => {
      if (!standby.isRunning) return;
      if (how === 'state') removeState(standby);
      await standby.startService('understudyd');
    },
  },
];
