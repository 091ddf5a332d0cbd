// Power and frozen hosts.
import { setTimeout as sleep } from 'node:timers/promises';
import { type Fault, hostOf } from '../types.ts';

const SIDES = ['primary', 'standby'] as const;

export const hostFaults: readonly Fault[] = [
  {
    name: 'power-off',
    kind: 'host',
    weight: 5,
    draw: (random) => ({ on: random.pick(SIDES) }),
    strike: async (scene, parameters) => hostOf(scene, parameters).powerOff(),
    heal: async (scene, parameters) => hostOf(scene, parameters).boot(),
  },
  {
    name: 'power-off-both',
    kind: 'host',
    weight: 2,
    alone: true,
    draw: (random) => ({
      apartMs: random.chance(0.5) ? 0 : random.below(3000),
      first: random.pick(SIDES),
      bootApartMs: random.below(3000),
      bootFirst: random.pick(SIDES),
    }),
    strike: async (scene, { first, apartMs }) => {
      const [one, other] = [scene[first as 'primary'], scene[opposite(first)]];
      await one.powerOff();
      await sleep(Number(apartMs));
      await other.powerOff();
    },
    heal: async (scene, { bootFirst, bootApartMs }) => {
      await scene[bootFirst as 'primary'].boot();
      await sleep(Number(bootApartMs));
      await scene[opposite(bootFirst)].boot();
    },
  },
  {
    name: 'power-flicker',
    kind: 'host',
    weight: 2,
    draw: (random) => ({
      on: random.pick(SIDES),
      times: 2 + random.below(2),
      upMs: random.below(4000),
    }),
    strike: async (scene, parameters) => {
      const host = hostOf(scene, parameters);
      for (let time = 0; time < Number(parameters['times']); time += 1) {
        await host.powerOff();
        await host.boot();
        await sleep(Number(parameters['upMs']));
      }
    },
  },
  {
    name: 'freeze',
    kind: 'host',
    weight: 4,
    draw: (random) => ({
      on: random.pick(SIDES),
      silent: random.chance(0.5),
      forMs: 500 + random.below(8000),
    }),
    strike: async (scene, parameters) => {
      const host = hostOf(scene, parameters);
      await host.freeze({ silent: parameters['silent'] === true });
      await sleep(Number(parameters['forMs']));
      await host.thaw();
    },
    heal: async (scene, parameters) => {
      const host = hostOf(scene, parameters);
      if (host.isRunning && host.state.frozen) await host.thaw();
    },
  },
];

const opposite = (side: unknown): 'primary' | 'standby' =>
  side === 'primary' ? 'standby' : 'primary';
