// What a node uses while nothing happens.
import { readdirSync, readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { LabHost } from '../../lab/host.ts';
import { Bed } from '../bed.ts';
import { present } from '../../src/core/assert.ts';
import { type Row, row, type Target } from '../measure.ts';

const SETTLE_MS = 10_000;
const WATCH_MS = 60_000;
const TICKS_PER_SECOND = 100;

interface Kind {
  readonly prefix: string;
  readonly percentMax: number;
  readonly residentMiBMax: number;
}

const PLAIN: Kind = { prefix: '', percentMax: 1, residentMiBMax: 250 };
/** Heartbeats, and two more processes: the one that holds the lease, and a next primary that is prepared. */
const MANAGED: Kind = { prefix: 'with failover: ', percentMax: 4, residentMiBMax: 450 };

interface Usage {
  readonly ticks: number;
  /** Sum of what the processes have in memory: what several have in common counts for each of them. */
  readonly residentMiB: number;
  /** What several have in common (the runtime's program, for the most part) counted once. */
  readonly takenMiB: number;
}

/** Sum over Understudy's processes of a host, read from the host's own /proc. */
function usage(host: LabHost): Usage {
  const proc = host.pathFromOutside('/proc');
  let ticks = 0;
  let residentKiB = 0;
  let privateKiB = 0;
  let sharedKiB = 0;
  for (const pid of readdirSync(proc).filter((name) => /^\d+$/.test(name))) {
    const command = read(`${proc}/${pid}/cmdline`).replaceAll('\0', ' ');
    // The service has a title of its own.
    if (!/src\/(service|cli)\/|^understudyd/.test(command)) continue;
    const fields = read(`${proc}/${pid}/stat`).split(') ')[1]?.split(' ') ?? [];
    ticks += Number(fields[11] ?? 0) + Number(fields[12] ?? 0);
    const sizes = read(`${proc}/${pid}/smaps_rollup`);
    const own = kibibytes(sizes, 'Private_Clean') + kibibytes(sizes, 'Private_Dirty');
    const resident = kibibytes(sizes, 'Rss');
    residentKiB += resident;
    privateKiB += own;
    sharedKiB = Math.max(sharedKiB, resident - own);
  }
  return { ticks, residentMiB: residentKiB / 1024, takenMiB: (privateKiB + sharedKiB) / 1024 };
}

const kibibytes = (sizes: string, name: string): number =>
  Number(new RegExp(`^${name}: +(\\d+) kB`, 'm').exec(sizes)?.[1] ?? 0);

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
    const plain = await watch(bed, PLAIN);
    await bed.unprotect();
    await bed.protectManaged('sync');
    const managed = await watch(bed, MANAGED);
    await bed.unprotect();
    return [...plain, ...managed];
  });
}

const used = (name: string, unit: string, value: number, max?: number): Row =>
  row({ suite: 'idle', name, unit, values: [value] }, undefined, below(max, unit));

async function watch(bed: Bed, { prefix, percentMax, residentMiBMax }: Kind): Promise<Row[]> {
  await sleep(SETTLE_MS);
  const hosts = [bed.a, bed.b];
  const before = hosts.map(usage);
  await sleep(WATCH_MS);
  const after = hosts.map(usage);
  return hosts.flatMap((host, index) => {
    const of = `of the ${host === bed.a ? 'primary' : 'standby'}`;
    const { ticks, residentMiB, takenMiB } = present(after[index], 'what the host uses');
    const spent = ticks - present(before[index], 'what the host used').ticks;
    const percent = (100 * spent) / TICKS_PER_SECOND / (WATCH_MS / 1000);
    return [
      used(`${prefix}CPU ${of}`, '%', percent, percentMax),
      used(`${prefix}memory ${of}`, 'MiB', residentMiB, residentMiBMax),
      used(`${prefix}memory ${of}, common pages once`, 'MiB', takenMiB),
    ];
  });
}

function below(max: number | undefined, unit: string): Target | undefined {
  if (max === undefined) return undefined;
  return { text: `< ${max} ${unit}`, holds: (value) => value < max };
}
