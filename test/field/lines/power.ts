// Power and frozen hosts.
import { setTimeout as sleep } from 'node:timers/promises';
import type { FieldLine, Scene } from '../types.ts';

const boot = async ({ bed }: Scene): Promise<void> => {
  for (const host of [bed.a, bed.b]) if (!host.isRunning) await host.boot();
};

const OUTAGE_MS_MAX = 10_000;

/** A frozen node whose lease has ended says so when it wakes, and ends what it ran. */
const FROZEN_MS = 3000;

export const powerLines: readonly FieldLine[] = [
  {
    name: 'power-off',
    fault: 'the primary loses its power',
    expected: 'the standby serves by itself; the old primary rejoins as standby by itself',
    moves: true,
    outageMsMax: OUTAGE_MS_MAX,
    noticedBy: ['PEER_SILENT'],
    strike: async ({ primary }) => await primary.powerOff(),
    mend: boot,
  },
  {
    name: 'freeze',
    fault:
      'all programs of the primary stop at one instant (hung system, its kernel still answers), and go on later',
    expected:
      'the standby serves by itself; the old primary acknowledges nothing any more and rejoins',
    moves: true,
    outageMsMax: OUTAGE_MS_MAX,
    noticedBy: ['PEER_SILENT'],
    watchMs: FROZEN_MS,
    strike: async ({ primary }) => await primary.freeze(),
    mend: async ({ primary }) => await primary.thaw(),
  },
  {
    name: 'vm-stopped',
    fault:
      'the primary is a virtual machine that is stopped (not even its kernel answers), and goes on later',
    expected: 'as before',
    moves: true,
    outageMsMax: OUTAGE_MS_MAX,
    noticedBy: ['PEER_SILENT'],
    watchMs: FROZEN_MS,
    strike: async ({ primary }) => await primary.freeze({ silent: true }),
    mend: async ({ primary }) => await primary.thaw(),
  },
  {
    name: 'standby-power-off',
    fault: 'the standby loses its power',
    expected: 'the primary goes on after at most `syncTimeout`; the standby catches up',
    moves: false,
    outageMsMax: 5000,
    noticedBy: ['GOES_ON_ALONE_RECORDED', 'GOES_ON_ALONE_UNRECORDED', 'PEER_SILENT', 'ALONE'],
    strike: async ({ standby }) => await standby.powerOff(),
    mend: boot,
  },
  {
    name: 'both-power-off',
    fault: 'both lose their power at once, and get it back',
    expected: 'the node with the newer data serves by itself',
    moves: 'either',
    // Two services start from nothing.
    outageMsMax: 30_000,
    noticedBy: [],
    outageFromMend: true,
    watchMs: 1000,
    strike: async ({ primary, standby }) => {
      await Promise.all([primary.powerOff(), standby.powerOff()]);
    },
    mend: async ({ bed }) => {
      await Promise.all([bed.a.boot(), bed.b.boot()]);
    },
  },
  {
    name: 'standby-behind',
    fault: 'the replication network is cut, the primary goes on alone and then loses its power',
    expected:
      'the standby knows that it is behind and does not serve; the old primary serves again when it is back',
    moves: false,
    outageMsMax: 30_000,
    noticedBy: ['WAITS_FOR_OPERATOR', 'COPY_STALE', 'COPY_MAY_BE_STALE', 'PEER_SILENT'],
    outageFromMend: true,
    strike: async ({ bed, primary, note }) => {
      await bed.lab.cut('a', 'b', { network: 'sync' });
      await sleep(5000);
      note('the replication network has been cut for 5 s; power off');
      const struckAt = Date.now();
      await primary.powerOff();
      return struckAt;
    },
    mend: async ({ bed }) => {
      await bed.lab.heal();
      await boot({ bed } as Scene);
    },
  },
  {
    name: 'unsent-tail',
    fault:
      'mode async over a slow line: the primary loses its power with a tail that it had not sent',
    expected:
      'the standby serves; only a tail is lost; the old primary undoes its tail and rejoins',
    moves: true,
    mode: 'async',
    mayLoseTail: true,
    outageMsMax: OUTAGE_MS_MAX,
    noticedBy: ['PEER_SILENT'],
    strike: async ({ primary }) => {
      await primary.shape('sync', '400kbit');
      await sleep(3000);
      const struckAt = Date.now();
      await primary.powerOff();
      return struckAt;
    },
    mend: async ({ primary }) => {
      await primary.shape('sync', undefined);
      await primary.boot();
    },
  },
];
