// The filter process of the primary is killed while the first copy runs: another one goes on in the same
// stream with a scan of its own, no call fails, and the copy is complete and the same bit by bit.
import { randomInt } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import type { GroupStatus } from '../../src/service/status.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const TIMEOUT_MS = 240_000;
const KILLS = 2;
const STEP_MS = 60_000;

/** Writes, renames and removes until it is told to stop; any failure is one of the test. */
const WORK = `const fs = require('node:fs'); let count = 0;
  while (!fs.existsSync('/run/work-stop')) {
    const name = '${DIRECTORY}/live/f' + (count % 50);
    fs.writeFileSync(name + '.new', 'x'.repeat(count % 20000)); fs.renameSync(name + '.new', name);
    if (count % 7 === 3) fs.unlinkSync(name);
    const fd = fs.openSync('${DIRECTORY}/large', 'r+'); fs.writeSync(fd, 'piece ' + count, (count * 7919 * 4096) % (32 << 20)); fs.closeSync(fd);
    count += 1; Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 20);
  }
  console.log(count);`;

/** Pid of the process that scans; undefined: none does. */
async function scanning(pair: PairUnderTest): Promise<number | undefined> {
  const group = (await askGroup(pair.a, GROUP)) as GroupStatus | undefined;
  const { pid, scan } = group?.local.status ?? {};
  return typeof pid === 'number' && scan !== null && scan !== undefined ? pid : undefined;
}

test(
  'a successor brings the first copy to its end',
  async () => {
    await PairUnderTest.with(async (pair) => {
      const { a } = pair;
      await a.must([
        'sh',
        '-ec',
        `cd ${DIRECTORY}; mkdir live; for i in $(seq 20); do mkdir d$i; for j in $(seq 30); do echo $i $j > d$i/f$j; done; done
         head -c 32M /dev/urandom > large`,
      ]);
      // Some seconds of scan, however fast the machine is.
      await pair.create({ replication: { mode: 'sync', bandwidth: '16 Mbit/s' } });
      const work = a.exec([NODE, '-e', WORK], { timeoutMs: TIMEOUT_MS });
      const streamId = (await pair.group())?.local.status?.['streamId'];
      let kills = 0;
      let last: number | undefined;
      for (; kills < KILLS; kills += 1) {
        let pid: number | undefined;
        const isScanning = async (): Promise<boolean> => {
          pid = await scanning(pair);
          return pid !== undefined && pid !== last;
        };
        if (!(await waitUntil(isScanning, STEP_MS, 100))) break;
        await sleep(randomInt(500));
        expect((await a.exec(['kill', '-9', String(pid)])).code).toBe(0);
        last = pid;
      }
      expect(kills, 'it was killed amid a scan').toBe(KILLS);
      await pair.waitForCopy();
      await a.must(['touch', '/run/work-stop']);
      const { code, stdout, stderr } = await work;
      expect(`${code} ${code === 0 ? '' : stdout + stderr}`).toBe('0 ');
      expect(Number(stdout)).toBeGreaterThan(10);
      expect(await pair.differences()).toEqual([]);
      expect((await pair.group())?.local.status?.['streamId']).toBe(streamId);
      const codes = (await askEvents(a)).map((event) => event.code);
      expect(codes.filter((each) => each === 'GROUP_PROCESS_SUCCEEDED')).toHaveLength(KILLS);
      expect(codes).not.toContain('GROUP_PROCESS_DIED');
    });
  },
  TIMEOUT_MS,
);
