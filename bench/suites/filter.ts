// The bare filter, without a standby, against the file system underneath and, when its path is given
// in PASSTHROUGH_HP, libfuse's C++ example of that name (without passthrough and splice).
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { must, run } from '../../lab/run.ts';
import { median, type Row, row } from '../measure.ts';

const IMAGE_BYTES = '3G';
const SECONDS = 5;

interface Subject {
  readonly name: string;
  readonly directory: string;
  readonly values: Map<string, number[]>;
}

interface Workload {
  readonly name: string;
  readonly options: readonly string[];
}

const WORKLOADS: readonly Workload[] = [
  { name: 'random 4 KiB writes, 1 job', options: ['--rw=randwrite', '--bs=4k', '--numjobs=1'] },
  { name: 'random 4 KiB writes, 4 jobs', options: ['--rw=randwrite', '--bs=4k', '--numjobs=4'] },
  {
    name: '8 KiB appends + fdatasync',
    options: ['--rw=write', '--bs=8k', '--fdatasync=1', '--numjobs=1'],
  },
];

async function fio(directory: string, { options }: Workload): Promise<number> {
  const fixed = ['--name=bench', '--size=128m', '--ioengine=psync', '--group_reporting'];
  const time = ['--time_based', `--runtime=${SECONDS}`, '--output-format=json'];
  const output = await must(['fio', ...fixed, ...time, ...options, `--directory=${directory}`], {
    timeoutMs: 120_000,
  });
  const parsed = JSON.parse(output.slice(output.indexOf('{'))) as {
    jobs: { write: { iops: number } }[];
  };
  return parsed.jobs[0]?.write.iops ?? 0;
}

async function mountedProcess(argv: readonly string[], mountpoint: string): Promise<ChildProcess> {
  const [program, ...args] = argv;
  const child = spawn(program ?? '', args, { stdio: 'ignore' });
  for (let i = 0; i < 100; i += 1) {
    if ((await run(['mountpoint', '-q', mountpoint])).code === 0) return child;
    await sleep(100);
  }
  child.kill('SIGKILL');
  throw new Error(`${program} does not mount ${mountpoint}`);
}

export async function filter(rounds: number): Promise<Row[]> {
  const base = mkdtempSync(join(tmpdir(), 'understudy-bench-'));
  const disk = join(base, 'disk');
  const image = join(base, 'image');
  const children: { child: ChildProcess; mountpoint: string }[] = [];
  try {
    await must(['truncate', '-s', IMAGE_BYTES, image]);
    await must(['mkfs.ext4', '-q', '-F', image]);
    mkdirSync(disk);
    await must(['mount', '-o', 'loop', image, disk]);
    const subjects = await mountSubjects(base, disk, children);
    for (let round = 0; round < rounds; round += 1) {
      for (const workload of WORKLOADS) {
        for (const subject of subjects) {
          const values = subject.values.get(workload.name) ?? [];
          values.push(await fio(subject.directory, workload));
          subject.values.set(workload.name, values);
        }
      }
    }
    return rowsOf(subjects);
  } finally {
    for (const { child, mountpoint } of children) {
      await run(['umount', '-l', mountpoint]);
      child.kill('SIGTERM');
    }
    await sleep(1000);
    await run(['umount', '-l', disk]);
    rmSync(base, { recursive: true, force: true });
  }
}

async function mountSubjects(
  base: string,
  disk: string,
  children: { child: ChildProcess; mountpoint: string }[],
): Promise<Subject[]> {
  const make = (name: string): Subject => {
    mkdirSync(join(disk, name));
    return { name, directory: join(disk, name), values: new Map() };
  };
  const subjects = [make('native'), make('understudy')];
  const ours = join(disk, 'understudy');
  const program = join(import.meta.dirname, '../../test/support/bare-filter.ts');
  children.push({
    child: await mountedProcess([process.execPath, program, ours], ours),
    mountpoint: ours,
  });
  const peer = process.env['PASSTHROUGH_HP'];
  if (peer !== undefined) {
    make('peer-source');
    const mountpoint = join(base, 'peer');
    mkdirSync(mountpoint);
    const argv = [
      peer,
      '--foreground',
      '--nosplice',
      '--nopassthrough',
      join(disk, 'peer-source'),
      mountpoint,
    ];
    children.push({ child: await mountedProcess(argv, mountpoint), mountpoint });
    subjects.push({ name: 'passthrough_hp', directory: mountpoint, values: new Map() });
  }
  return subjects;
}

function rowsOf(subjects: readonly Subject[]): Row[] {
  return WORKLOADS.flatMap((workload) => {
    const valuesOf = (name: string): readonly number[] =>
      subjects.find((subject) => subject.name === name)?.values.get(workload.name) ?? [];
    const native = median(valuesOf('native'));
    const peer = median(valuesOf('passthrough_hp'));
    return subjects.map((subject) => {
      const what = {
        suite: 'filter',
        name: `${workload.name}: ${subject.name}`,
        unit: 'ops/s',
        values: valuesOf(subject.name),
      };
      const judged =
        subject.name === 'understudy' && peer > 0 && workload.name.startsWith('random');
      const target = { text: 'at least passthrough_hp', holds: (value: number) => value >= peer };
      return row(what, native, judged ? target : undefined);
    });
  });
}
