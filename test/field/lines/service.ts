// Understudy's own processes, and what a person asks for.
import { performance } from 'node:perf_hooks';
import { filterProcesses, kill, killProgram } from '../faults.ts';
import { understudy } from '../../../lab/pair.ts';
import { GROUP } from '../bed.ts';
import type { FieldLine } from '../types.ts';

export const serviceLines: readonly FieldLine[] = [
  {
    name: 'service-killed',
    fault: 'understudyd is killed on both nodes',
    expected: 'no client notices',
    moves: false,
    outageMsMax: 1000,
    noticedBy: [],
    strike: async ({ bed }) => {
      for (const host of [bed.a, bed.b]) killProgram(host, 'understudyd');
      await Promise.resolve();
    },
  },
  {
    name: 'cluster-killed',
    fault: 'the process with heartbeats and lease is killed on the primary',
    expected:
      'it is started again and nobody moves; on a machine too busy for that within a second, the standby takes over',
    moves: 'either',
    outageMsMax: 10_000,
    noticedBy: [],
    strike: async ({ primary }) => {
      killProgram(primary, 'cluster');
      await Promise.resolve();
    },
  },
  {
    name: 'filter-killed',
    fault: 'the filter process of the group is killed on the primary',
    expected: 'another one goes on in its place: no call fails, nobody moves',
    moves: false,
    outageMsMax: 2000,
    noticedBy: [],
    watchMs: 12_000,
    strike: async ({ primary }) => {
      kill(filterProcesses(primary), `the filter on ${primary.name}`);
      await Promise.resolve();
    },
  },
  {
    name: 'mirror-killed',
    fault: 'the process of the group is killed on the standby',
    expected: 'commits wait for at most `syncTimeout`; it is started again and catches up',
    moves: false,
    outageMsMax: 5000,
    noticedBy: [],
    strike: async ({ standby }) => {
      killProgram(standby, 'mirror');
      await Promise.resolve();
    },
  },
  {
    name: 'switchover',
    fault: 'a person asks for a switchover under load',
    expected:
      'planned: nothing is lost, and back in service soon, with stop and start of the application',
    moves: true,
    outageMsMax: 10_000,
    noticedBy: [],
    strike: async ({ primary, note }) => {
      const started = performance.now();
      await understudy(primary, ['switchover', GROUP], { timeoutMs: 60_000 });
      note(`the command took ${Math.round(performance.now() - started)} ms`);
    },
  },
  {
    name: 'shut-down',
    fault: 'the primary is shut down: "understudy leave", as its unit does, and then no power',
    expected:
      'planned: nothing is lost, and back in service as soon as after a switchover; the old primary rejoins',
    moves: true,
    outageMsMax: 10_000,
    noticedBy: [],
    strike: async ({ primary, note }) => {
      const started = performance.now();
      await understudy(primary, ['leave'], { timeoutMs: 60_000 });
      note(`the command took ${Math.round(performance.now() - started)} ms`);
      await primary.powerOff();
    },
    mend: async ({ primary }) => await primary.boot(),
  },
];
