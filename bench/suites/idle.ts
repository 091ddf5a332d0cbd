// What a node uses while nothing happens.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabHost } from '../../lab/host.ts';
import { Bed } from '../bed.ts';
import { type Row, row } from '../measure.ts';

const SETTLE_MS = 10_000;
const WATCH_MS = 60_000;
const TICKS_PER_SECOND = 100;

interface Usage {
  readonly ticks: number;
  readonly residentMiB: number;
}

/** Sum over Understudy's processes of a host, read from the host's own /proc. */
function usage(host: LabHost): Usage {
  const proc = host.pathFromOutside('/proc');
  let ticks = 0;
  let residentKiB = 0;
  for (const pid of readdirSync(proc).filter((name) => /^\d+$/.test(name))) {
    const command = read(`${proc}/${pid}/cmdline`).replaceAll('\0', ' ');
    // The service has a title of its own.
    if (!/src\/(service|cli)\/|^understudyd/.test(command)) continue;
    const fields = read(`${proc}/${pid}/stat`).split(') ')[1]?.split(' ') ?? [];
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    residentKiB += Number(/VmRSS:\s+(\d+)/.exec(read(`${proc}/${pid}/status`))?.[1] ?? 0);
  }
  return { ticks, residentMiB: residentKiB / 1024 };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

export async function idle(): Promise<Row[]> {
  return Bed.with(async (bed) => {
    await bed.protect('sync');
    await sleep(SETTLE_MS);
    const hosts = [bed.a, bed.b];
    const before = hosts.map(usage);
    await sleep(WATCH_MS);
    const after = hosts.map(usage);
    const rows: Row[] = [];
    hosts.forEach((host, index) => {
      const role = host === bed.a ? 'primary' : 'standby';
      const ticks = (after[index]?.ticks ?? 0) - (before[index]?.ticks ?? 0);
      const share = (100 * ticks) / TICKS_PER_SECOND / (WATCH_MS / 1000);
      rows.push(
        row({ suite: 'idle', name: `CPU of the ${role}`, unit: '%', values: [share] }, undefined, {
          text: '< 1 %',
          holds: (value) => value < 1,
        }),
        row(
          {
            suite: 'idle',
            name: `memory of the ${role}`,
            unit: 'MiB',
            values: [after[index]?.residentMiB ?? 0],
          },
          undefined,
          { text: '< 250 MiB', holds: (value) => value < 250 },
        ),
      );
    });
    await bed.unprotect();
    return rows;
  });
}
