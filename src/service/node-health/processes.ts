// The processes of Understudy on this node, with their memory.
import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { once } from '../admin-api/once.ts';
import type { NodeService } from '../node-service.ts';
import { isLocked, lockOwner } from '../process-lock.ts';

export const processSchema = once(() =>
  z.object({
    pid: z.number(),
    kind: z.enum(['service', 'primary', 'standby', 'prepared', 'cluster']),
    group: z.string().nullable(),
    residentBytes: z.number(),
    threads: z.number(),
    cpuSeconds: z.number(),
  }),
);
export type ProcessView = z.infer<ReturnType<typeof processSchema>>;

const TICKS_PER_SECOND = 100;

export function understudyProcesses(service: NodeService): ProcessView[] {
  const groups = [...service.groups.values()].flatMap((runtime) => {
    const { pid, preparedPid } = runtime.process;
    const { role } = runtime.state;
    return [
      ...(pid === undefined ? [] : [{ pid, kind: role, group: runtime.name }]),
      ...(preparedPid === undefined
        ? []
        : [{ pid: preparedPid, kind: 'prepared' as const, group: runtime.name }]),
    ];
  });
  const { clusterLock } = service.paths;
  const cluster = isLocked(clusterLock) ? lockOwner(clusterLock) : undefined;
  const all: Pick<ProcessView, 'pid' | 'kind' | 'group'>[] = [
    { pid: process.pid, kind: 'service', group: null },
    ...(cluster === undefined ? [] : [{ pid: cluster, kind: 'cluster' as const, group: null }]),
    ...groups,
  ];
  return all.flatMap((one) => {
    const usage = usageOf(one.pid);
    return usage === undefined ? [] : [{ ...one, ...usage }];
  });
}

function usageOf(
  pid: number,
): Pick<ProcessView, 'residentBytes' | 'threads' | 'cpuSeconds'> | undefined {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'latin1');
    const fields = readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1]?.split(' ') ?? [];
    return {
      residentBytes: Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1] ?? 0) * 1024,
      threads: Number(/^Threads:\s+(\d+)/m.exec(status)?.[1] ?? 0),
      cpuSeconds: (Number(fields[11] ?? 0) + Number(fields[12] ?? 0)) / TICKS_PER_SECOND,
    };
  } catch {
    return undefined;
  }
}
