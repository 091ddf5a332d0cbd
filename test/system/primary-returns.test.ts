// A primary dies with changes that nobody else has, the standby takes over and goes on, and the old
// primary comes back as standby: only what either of them changed since they were known to be equal is
// compared, and only what differs travels.
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { askEvents } from '../../lab/node-admin.ts';
import { understudy, waitForDaemon } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const TIMEOUT_MS = 170_000;
const MARK_TIMEOUT_MS = 30_000;
const REJOIN_TIMEOUT_MS = 60_000;
const BIG_MIB = 64;
/** Far below the files that were touched, let alone all of them. */
const SENT_BYTES_MAX = 2 * 1024 * 1024;

const shell = async (host: LabHost, script: string): Promise<void> => {
  await host.must(['sh', '-ec', `cd ${DIRECTORY}; ${script}`], { timeoutMs: 60_000 });
};

/** A mark on the primary; the standby makes its own when it takes over. */
async function waitForMark(host: LabHost): Promise<void> {
  const path = join('/var/lib/understudy/groups', GROUP, 'marks.json');
  const hasMark = async (): Promise<boolean> => {
    const file = host.pathFromOutside(path);
    return existsSync(file) && readFileSync(file, 'utf8').includes('"sequence"');
  };
  expect(await waitUntil(hasMark, MARK_TIMEOUT_MS, 200), 'the primary makes a mark').toBe(true);
}

const overwrite = (mebibyte: number, text: string): string =>
  `printf '${text}' | dd of=big bs=1M seek=${mebibyte} conv=notrunc status=none`;

test(
  'an old primary that comes back is compared only where something was changed',
  async () => {
    await PairUnderTest.with(async (pair) => {
      const { a, b, lab } = pair;
      await shell(
        a,
        `mkdir -p docs/sub other; for i in $(seq 300); do echo "document $i" > docs/d$i; done
         for i in $(seq 50); do echo "below $i" > docs/sub/s$i; done; cp -a docs/sub other/
         head -c ${BIG_MIB}M /dev/urandom > big`,
      );
      await pair.protect('async');
      await waitForMark(a);

      await lab.cut('a', 'b');
      await shell(
        a,
        `${overwrite(3, 'tail of a')}; echo more >> docs/d1; rm docs/d2; mv docs/d3 docs/d4
         mv other/sub other/bus; mv docs/sub other/sub; echo new > docs/n; setfattr -n user.x -v 1 docs/d9; sync`,
      );
      await a.powerOff();
      await understudy(b, ['takeover', GROUP, '--force'], { timeoutMs: 60_000 });
      await shell(
        b,
        `${overwrite(40, 'written by b')}; echo b >> docs/d5; mv docs/d6 docs/d7
         mv other/sub other/moved; mkdir other/sub; echo fresh > other/sub/s1; chmod 600 docs/d8`,
      );
      await lab.heal();
      await a.boot();
      await waitForDaemon(a);
      const isBack = async (): Promise<boolean> => {
        const group = await pair.group(b);
        const { sequence } = group?.local.status ?? {};
        const applied = group?.remote?.status?.['appliedSequence'];
        return group?.copy === 'up-to-date' && applied === sequence;
      };
      expect(await waitUntil(isBack, REJOIN_TIMEOUT_MS, 200), 'it is up to date').toBe(true);

      const events = await askEvents(b);
      const scan = events.findLast(({ code }) => code === 'SCAN_STARTED');
      expect(scan?.message).toContain('since both were known to be equal');
      const sent = events.findLast(({ code }) => code === 'SCAN_SENT')?.message ?? '';
      const bytes = Number(/of which (\d+) had to travel/.exec(sent)?.[1]);
      expect(bytes, sent).toBeLessThan(SENT_BYTES_MAX);
      expect(await pair.differences(b)).toEqual([]);
    });
  },
  TIMEOUT_MS,
);
