// Cables and networks. The nodes are never cut off from each other alone on both networks: two nodes that
// both reach the gateway and not each other are outside of what the arbiter "gateway" promises
// (docs/failover.md).
import { setTimeout as sleep } from 'node:timers/promises';
import type { NetworkName } from '../../../lab/state.ts';
import { type Fault, hostOf, type Scene } from '../types.ts';

const SIDES = ['primary', 'standby'] as const;
const NETWORKS: readonly NetworkName[] = ['sync', 'lan'];
const RATES = ['400kbit', '1mbit', '10mbit'] as const;

const heal = async ({ bed }: Scene): Promise<void> => bed.lab.heal();

export const networkFaults: readonly Fault[] = [
  {
    name: 'cut',
    kind: 'network',
    weight: 4,
    draw: (random) => ({
      network: random.pick(NETWORKS),
      direction: random.pick(['both', 'both', 'to-standby', 'to-primary'] as const),
    }),
    strike: async ({ bed, primary, standby }, { network, direction }) => {
      const [from, to] = direction === 'to-primary' ? [standby, primary] : [primary, standby];
      const options = { network: network as NetworkName, oneWay: direction !== 'both' };
      await bed.lab.cut(from.name, to.name, options);
    },
    heal,
  },
  {
    name: 'isolate',
    kind: 'network',
    weight: 3,
    draw: (random) => ({ on: random.pick(SIDES), oneWay: random.chance(0.3) }),
    strike: async (scene, parameters) => {
      const { name } = hostOf(scene, parameters);
      const oneWay = parameters['oneWay'] === true;
      for (const other of scene.bed.lab.hostNames()) {
        if (other !== name) await scene.bed.lab.cut(name, other, { oneWay });
      }
    },
    heal,
  },
  {
    name: 'flap',
    kind: 'network',
    weight: 3,
    draw: (random) => ({
      on: random.pick(SIDES),
      network: random.pick(NETWORKS),
      times: 2 + random.below(6),
      downMs: 50 + random.skewed(2500),
      upMs: 50 + random.skewed(2500),
    }),
    strike: async (scene, parameters) => {
      const host = hostOf(scene, parameters);
      const network = parameters['network'] as NetworkName;
      for (let time = 0; time < Number(parameters['times']); time += 1) {
        await host.unplug(network);
        await sleep(Number(parameters['downMs']));
        await host.plug(network);
        await sleep(Number(parameters['upMs']));
      }
    },
    heal: async (scene, parameters) => {
      await hostOf(scene, parameters).plug(parameters['network'] as NetworkName);
    },
  },
  {
    name: 'slow-link',
    kind: 'network',
    weight: 3,
    draw: (random) => ({ rate: random.pick(RATES), network: 'sync' }),
    strike: async ({ primary }, { rate }) => primary.shape('sync', String(rate)),
    heal: async ({ primary }) => primary.shape('sync', undefined),
  },
];
