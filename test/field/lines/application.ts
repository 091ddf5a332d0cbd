// The application and the load of the machine.
import { hangApplication, keepKilling, killProgram, runaway } from '../faults.ts';
import { askGroup } from '../../../lab/node-admin.ts';
import { GROUP } from '../bed.ts';
import type { FieldLine } from '../types.ts';

const RUNAWAY_SECONDS = 8;
const KILLING_TIMEOUT_MS = 30_000;

export const applicationLines: readonly FieldLine[] = [
  {
    name: 'application-crash',
    fault: 'the application dies on the primary',
    expected: 'it is started again in place',
    moves: false,
    outageMsMax: 10_000,
    noticedBy: ['AGENT_RESTARTED'],
    strike: async ({ primary }) => {
      killProgram(primary, 'application');
      await Promise.resolve();
    },
  },
  {
    name: 'application-crash-loop',
    fault: 'the application dies again each time it has been started',
    expected: 'after three restarts in place it moves to the standby',
    moves: true,
    outageMsMax: 20_000,
    noticedBy: ['AGENT_RESTARTED'],
    strike: async ({ primary, standby, note }) => {
      let isOver = false;
      const look = async (): Promise<void> => {
        const group = await askGroup(standby, GROUP);
        isOver = group?.role === 'primary';
      };
      const watch = setInterval(() => void look(), 500);
      const times = await keepKilling(primary, () => isOver, KILLING_TIMEOUT_MS);
      clearInterval(watch);
      note(`the application was killed ${times} times`);
    },
  },
  {
    name: 'application-hang',
    fault: 'the application stops answering and cannot be asked to end (SIGSTOP)',
    expected: 'its probe times out, it is ended by force and started again in place',
    moves: false,
    outageMsMax: 15_000,
    noticedBy: ['AGENT_RESTARTED'],
    watchMs: 12_000,
    strike: async ({ primary }) => {
      hangApplication(primary);
      await Promise.resolve();
    },
  },
  {
    name: 'cpu-runaway',
    fault: 'programs on the primary take all processors (four endless loops on two cores)',
    expected: 'no failover',
    moves: false,
    outageMsMax: 2500,
    noticedBy: [],
    watchMs: (RUNAWAY_SECONDS + 1) * 1000,
    strike: async ({ primary }) => {
      runaway(primary, RUNAWAY_SECONDS);
      await Promise.resolve();
    },
  },
];
