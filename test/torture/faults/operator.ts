// What a person asks for while everything is under load.
import { setTimeout as sleep } from 'node:timers/promises';
import { messageOf } from '../../../src/core/errors.ts';
import { understudy } from '../../../lab/pair.ts';
import { GROUP } from '../names.ts';
import type { Fault } from '../types.ts';

const COMMAND_TIMEOUT_MS = 90_000;

export const operatorFaults: readonly Fault[] = [
  {
    name: 'switchover',
    kind: 'operator',
    weight: 4,
    alone: true,
    draw: (random) => ({ there: random.chance(0.3) ? 'and back' : 'only' }),
    strike: async (scene, { there }) => {
      const { primary, standby, bed } = scene;
      await understudy(primary, ['switchover', GROUP], { timeoutMs: COMMAND_TIMEOUT_MS });
      if (there !== 'and back') return;
      await bed.pair.settle(COMMAND_TIMEOUT_MS);
      await understudy(standby, ['switchover', GROUP], { timeoutMs: COMMAND_TIMEOUT_MS });
    },
  },
  {
    name: 'switchover-in-trouble',
    kind: 'operator',
    weight: 1,
    draw: () => ({}),
    strike: async ({ primary, note }) => {
      if (!primary.isRunning || primary.state.frozen) return;
      try {
        await understudy(primary, ['switchover', GROUP], { timeoutMs: COMMAND_TIMEOUT_MS });
      } catch (refusal) {
        // The pair is in trouble already: a refusal is an answer.
        note(`switchover: ${messageOf(refusal).slice(0, 160)}`);
      }
    },
  },
  {
    name: 'verify',
    kind: 'operator',
    weight: 2,
    draw: () => ({}),
    /** Applications work meanwhile; what differs then is no difference. */
    strike: async ({ primary, note }) => {
      if (!primary.isRunning || primary.state.frozen) return;
      const argv = ['understudy', 'verify', GROUP, '--json'];
      const { stdout, stderr } = await primary.exec(argv, { timeoutMs: COMMAND_TIMEOUT_MS });
      const state = /"state":\s*"(\w+)"/.exec(stdout)?.[1];
      if (state === 'differs') throw new Error(`verify: ${stdout.slice(0, 1000)}`);
      note(`verify: ${state ?? stderr.trim().slice(0, 160)}`);
    },
  },
  {
    name: 'pause-resume',
    kind: 'operator',
    weight: 2,
    draw: (random) => ({ forMs: 500 + random.skewed(4000) }),
    strike: async ({ primary, note }, { forMs }) => {
      if (!primary.isRunning || primary.state.frozen) return;
      for (const command of ['pause', 'resume']) {
        try {
          await understudy(primary, [command, GROUP], { timeoutMs: COMMAND_TIMEOUT_MS });
        } catch (refusal) {
          note(`${command}: ${messageOf(refusal).slice(0, 160)}`);
        }
        if (command === 'pause') await sleep(Number(forMs));
      }
    },
    heal: async ({ bed }) => bed.resume(),
  },
];
