// The filter process of the primary is killed at random moments under load: no call of an application
// fails, nothing stalls for more than 2 s, the standby has everything once, and the stream goes on without
// a new scan. UNDERSTUDY_LONG=1 runs 200 kills under fio, pgbench and a compile job.
import { randomInt } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, PairUnderTest } from './pair-under-test.ts';

const long = process.env['UNDERSTUDY_LONG'] === '1';
const TIMEOUT_MS = long ? 3_600_000 : 170_000;
const KILLS = long ? 200 : 6;
// The promise is 2 s; a machine that runs other tests at the same time says nothing about that.
const STALL_MS_MAX = long ? 2000 : 60_000;
const POSTGRES = ['/usr/lib/postgresql/15/bin', '/usr/local/bin'].find((dir) =>
  existsSync(join(dir, 'pgbench')),
);

/** Appends and syncs in turns, and prints the longest that one call took, ms. */
const METER = `const fs = require('node:fs');
  const fd = fs.openSync(process.argv[1], 'a'); let worst = 0; let calls = 0;
  const until = () => fs.existsSync('/run/meter-stop');
  const step = () => { const t = performance.now(); fs.writeSync(fd, 'line\\n'); if (calls % 8 === 0) fs.fdatasyncSync(fd);
    worst = Math.max(worst, performance.now() - t); calls += 1;
    if (calls % 20 === 0 && until()) { console.log(JSON.stringify({ worst, calls })); return; } setTimeout(step, 5); };
  step();`;

interface Load {
  readonly name: string;
  readonly argv: readonly string[];
}

function loads(): Load[] {
  const seconds = long ? 900 : 25;
  const fio = `cd ${DIRECTORY} && mkdir -p fio && fio --name=verify --directory=fio --rw=randwrite --bs=4k --size=8m --numjobs=2 --verify=crc32c --verify_fatal=1 --time_based --runtime=${seconds} --fsync=32 --rate_iops=200 --group_reporting --minimal`;
  const build = `set -e; cd ${DIRECTORY}; n=0; while [ ! -e /run/meter-stop ]; do n=$((n + 1)); rm -rf build; mkdir build; cd build
    for i in 1 2 3 4 5 6 7 8; do printf 'int f%d(int x) { return x * %d; }\\n' $i $n > f$i.c; done
    echo 'int main(void) { return 0; }' > main.c; for f in *.c; do gcc -O1 -c $f -o \${f%.c}.o; done; ar rcs lib.a f*.o; gcc -o prog main.o lib.a; ./prog
    tar cf ../build.tar .; mkdir copy; tar xf ../build.tar -C copy; mv copy kept; ln prog kept/prog2; rm -r kept; cd ..; done`;
  return [
    {
      name: 'fio',
      argv: ['sh', '-c', `${fio} > /run/fio.out 2>&1 || { cat /run/fio.out; exit 1; }`],
    },
    { name: 'compile', argv: ['sh', '-c', build] },
  ];
}

function pgbench(bin: string): Load[] {
  const data = join(DIRECTORY, 'pg');
  const as = (command: string): string =>
    `su postgres -s /bin/sh -c "PATH=${bin}:$PATH; ${command}"`;
  const script = `set -e; install -d -o postgres ${data} /run/pg; ${as(`initdb -D ${data} > /dev/null`)}
    ${as(`pg_ctl -w -D ${data} -o '-k /run/pg -c listen_addresses=' -l /run/pg/log start > /dev/null`)}
    ${as('pgbench -h /run/pg -i -q -s 2 postgres > /dev/null 2>&1')}; touch /run/pg/ready
    ${as('while [ ! -e /run/meter-stop ]; do pgbench -h /run/pg -c 2 -T 10 postgres > /run/pg/out 2>&1 || { cat /run/pg/out; exit 1; }; grep -q aborted /run/pg/out && exit 1; done; true')}
    ${as(`pg_ctl -w -D ${data} stop > /dev/null`)}`;
  return [{ name: 'pgbench', argv: ['sh', '-c', script] }];
}

/** Kills the filter so many times; false as soon as it does not come back in time. */
async function killFilter(pair: PairUnderTest, kills: number): Promise<number> {
  let done = 0;
  let last = 0;
  while (done < kills) {
    await sleep(300 + randomInt(long ? 3000 : 1200));
    const alive = async (): Promise<number | undefined> => {
      const pid = (await pair.group())?.local.status?.['pid'];
      return typeof pid === 'number' && pid !== last ? pid : undefined;
    };
    let pid: number | undefined;
    const isThere = await waitUntil(async () => (pid = await alive()) !== undefined, 20_000, 100);
    if (!isThere || pid === undefined) throw new Error(`no filter after ${done} kills`);
    if ((await pair.a.exec(['kill', '-9', String(pid)])).code === 0) done += 1;
    last = pid;
  }
  return done;
}

test(
  'no call fails, nothing is scanned again, and the standby is the same bit by bit',
  async () => {
    await PairUnderTest.with(async (pair) => {
      await pair.protect('sync');
      const all = [...loads(), ...(long && POSTGRES !== undefined ? pgbench(POSTGRES) : [])];
      const running = all.map(({ name, argv }) => ({
        name,
        ended: pair.a.exec(argv, { timeoutMs: TIMEOUT_MS }),
      }));
      const meter = pair.a.exec([NODE, '-e', METER, join(DIRECTORY, 'meter')], {
        timeoutMs: TIMEOUT_MS,
      });
      const before = await pair.group();
      const kills = await killFilter(pair, KILLS);
      await pair.a.must(['touch', '/run/meter-stop']);
      const { worst, calls } = JSON.parse((await meter).stdout) as { worst: number; calls: number };
      for (const { name, ended } of running) {
        const { code, stdout, stderr } = await ended;
        expect(`${name}: ${code} ${code === 0 ? '' : stdout + stderr}`).toBe(`${name}: 0 `);
      }
      console.log(`${kills} kills, ${calls} measured calls, worst stall ${Math.round(worst)} ms`);
      expect(await pair.differences()).toEqual([]);
      const after = await pair.group();
      expect(after?.local.status?.['streamId']).toBe(before?.local.status?.['streamId']);
      const events = await pair.a.must(['understudy', 'events', '--json', '--count', '5000']);
      const count = (code: string): number => events.split(`"code":"${code}"`).length - 1;
      expect(count('GROUP_PROCESS_SUCCEEDED')).toBe(kills);
      expect(count('GROUP_PROCESS_DIED')).toBe(0);
      expect(count('SCAN_STARTED')).toBeLessThanOrEqual(1);
      expect(worst).toBeLessThan(STALL_MS_MAX);
    });
  },
  TIMEOUT_MS,
);
