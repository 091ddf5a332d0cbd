// Cables, cards, switches, and strangers on the network.
import { setTimeout as sleep } from 'node:timers/promises';
import { DEFEND_INTERVAL_MS } from '../../../src/cluster/address/conflict-watch.ts';
import { cardDown, cardUp, flood } from '../faults.ts';
import type { FieldLine, Scene } from '../types.ts';

const FLOOD_SECONDS = 6;

async function isolate({ bed }: Scene, name: string): Promise<void> {
  for (const other of bed.lab.hostNames()) if (other !== name) await bed.lab.cut(name, other);
}

const heal = async ({ bed }: Scene): Promise<void> => await bed.lab.heal();

export const networkLines: readonly FieldLine[] = [
  {
    name: 'lan-card-down',
    fault:
      'the card of the service network goes down on the primary; the replication network stays',
    expected: 'the primary hands over; nothing is lost',
    moves: true,
    outageMsMax: 10_000,
    noticedBy: ['NETWORK_FAILED', 'HANDING_OVER', 'GATEWAY_SILENT', 'HEALTH_CHANGED'],
    strike: async ({ primary }) => await cardDown(primary),
    mend: async ({ primary, bed }) => await cardUp(primary, bed.gateway.address('lan')),
  },
  {
    name: 'lan-cable-out',
    fault:
      'the cable of the service network is pulled on the primary; the replication network stays',
    expected: 'the primary hands over; nothing is lost',
    moves: true,
    outageMsMax: 10_000,
    noticedBy: ['NETWORK_FAILED', 'HANDING_OVER', 'GATEWAY_SILENT', 'HEALTH_CHANGED'],
    strike: async ({ primary }) => await primary.unplug('lan'),
    mend: async ({ primary }) => await primary.plug('lan'),
  },
  {
    name: 'replication-cut',
    fault: 'only the replication network between the nodes is cut',
    expected: 'no failover; commits go on after at most `syncTimeout`; the standby catches up',
    moves: false,
    outageMsMax: 5000,
    noticedBy: ['GOES_ON_ALONE_RECORDED', 'GOES_ON_ALONE_UNRECORDED', 'ALONE', 'LINK_DOWN'],
    watchMs: 6000,
    strike: async ({ bed }) => await bed.lab.cut('a', 'b', { network: 'sync' }),
    mend: heal,
  },
  {
    name: 'primary-isolated',
    fault: 'the primary is cut off from everybody on all networks',
    expected:
      'its lease ends before the standby may serve; the standby serves; the old primary rejoins',
    moves: true,
    outageMsMax: 10_000,
    noticedBy: ['PEER_SILENT'],
    watchMs: 3000,
    strike: async (scene) => await isolate(scene, scene.primary.name),
    mend: heal,
  },
  {
    name: 'standby-isolated',
    fault: 'the standby is cut off from everybody on all networks',
    expected:
      'the primary goes on after at most `syncTimeout`; the standby does not serve, and catches up',
    moves: false,
    outageMsMax: 5000,
    noticedBy: ['GOES_ON_ALONE_RECORDED', 'GOES_ON_ALONE_UNRECORDED', 'ALONE', 'PEER_SILENT'],
    watchMs: 6000,
    strike: async (scene) => await isolate(scene, scene.standby.name),
    mend: heal,
  },
  {
    name: 'address-conflict',
    fault: 'a third host claims the virtual address while it is held',
    expected:
      'the conflict is reported with the hardware address of the other host and defended; no failover',
    moves: false,
    // Two hosts answer for one address: the client may meet the wrong one until it gives up.
    outageMsMax: 6000,
    noticedBy: ['ADDRESS_CONFLICT'],
    strike: async ({ bed }) => await bed.gateway.claimAddress(bed.virtualAddress),
    // A claim within ten seconds of the last defence is answered late (RFC 5227): the next round is to find peace.
    mend: async ({ bed }) => {
      await bed.gateway.releaseAddress(bed.virtualAddress);
      await sleep(2 * DEFEND_INTERVAL_MS);
    },
  },
  {
    name: 'flood',
    fault: 'a host of the service network floods the primary with datagrams and connections',
    expected: 'no failover',
    moves: false,
    // The application itself is flooded; how well it serves meanwhile is its own matter.
    outageMsMax: 10_000,
    noticedBy: [],
    watchMs: (FLOOD_SECONDS + 2) * 1000,
    strike: async ({ bed, primary }) => {
      flood(bed.gateway, [primary.address('lan'), bed.virtualAddress], FLOOD_SECONDS);
      await Promise.resolve();
    },
  },
];
