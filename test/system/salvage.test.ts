// A primary goes on while nobody receives what it writes, dies, and comes back as the standby of the other
// one: what it had alone is kept aside and can be got out.
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { LabHost } from '../../lab/host.ts';
import { managedGroupYaml } from '../../lab/managed.ts';
import { askEvents, askStatus } from '../../lab/node-admin.ts';
import { understudy, waitForCopy, waitForDaemon } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import type { SalvageReport } from '../../src/mirror/salvage/salvage-report.ts';
import type { SalvageShown } from '../../src/service/salvage.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

interface Status {
  readonly groups: readonly { readonly role: string; readonly salvages: readonly unknown[] }[];
}

const TIMEOUT_MS = 300_000;
const STEP_MS = 120_000;
const MARKS = join('/var/lib/understudy/groups', GROUP, 'marks.json');
const EXPORTED = '/srv/lost';
const TAIL = 'committed by a alone';

const shell = async (host: LabHost, script: string): Promise<void> => {
  await host.must(['sh', '-ec', `cd ${DIRECTORY}; ${script}`], { timeoutMs: 60_000 });
};

async function protect({ a, lab }: PairUnderTest): Promise<void> {
  const agent = { start: 'true', stop: 'true', probe: 'true' };
  const group = { name: GROUP, directory: DIRECTORY, mode: 'async', profile: 'default' } as const;
  const input = managedGroupYaml(lab, { ...group, agent });
  const create = ['group', 'create', '--file', '-', '--allow-empty-match'];
  await understudy(a, create, { input, timeoutMs: 60_000 });
  await waitForCopy(a, GROUP, STEP_MS);
}

/** Both nodes know a moment when they were equal, some seconds ago: what is older by then needs not be kept. */
async function waitForMark(host: LabHost): Promise<void> {
  const file = host.pathFromOutside(MARKS);
  const hasMark = async (): Promise<boolean> =>
    existsSync(file) && readFileSync(file, 'utf8').includes('"sequence"');
  expect(await waitUntil(hasMark, STEP_MS, 200), 'the primary makes a mark').toBe(true);
}

async function waitForRejoin(pair: PairUnderTest): Promise<void> {
  const isBack = async (): Promise<boolean> => {
    const group = await pair.group(pair.b);
    return group?.copy === 'up-to-date' && group.remote?.status?.['copy'] === 'up-to-date';
  };
  expect(await waitUntil(isBack, STEP_MS, 300), 'the old primary is a standby').toBe(true);
}

test(
  'what only the old primary had can be listed, shown, exported and removed',
  async () => {
    await PairUnderTest.with(async (pair) => {
      const { a, b, lab } = pair;
      await shell(
        a,
        `mkdir docs; for i in $(seq 100); do echo "document $i" > docs/d$i; done
         head -c 8M /dev/urandom > big`,
      );
      await protect(pair);
      await waitForMark(a);
      // The mark's time is set back by a second.
      await new Promise((resolve) => setTimeout(resolve, 2500));

      await lab.cut('a', 'b', { network: 'sync' });
      await shell(
        a,
        `printf '${TAIL}' | dd of=big bs=1M seek=3 conv=notrunc status=none
         echo more >> docs/d1; mkdir new; echo alone > new/n; chown 7:8 new/n; rm docs/d2; sync`,
      );
      const before = readFileSync(join(a.pathFromOutside(DIRECTORY), 'big'));
      await a.powerOff();
      await lab.heal();
      const serves = async (): Promise<boolean> => {
        const status = await askStatus<Status>(b);
        const isPrimary = status?.groups[0]?.role === 'primary';
        const mounts = await b.must(['cat', '/proc/mounts']);
        return isPrimary && mounts.includes(` ${DIRECTORY} fuse`);
      };
      expect(await waitUntil(serves, STEP_MS, 300), 'the other node takes over').toBe(true);
      await shell(b, `echo b >> docs/d5; echo b > docs/d1; echo new > docs/from-b`);
      await a.boot();
      await waitForDaemon(a);
      await waitForRejoin(pair);
      expect(await pair.differences(b)).toEqual([]);

      // The copy is complete before what it replaced is written aside.
      const isKept = async (): Promise<boolean> =>
        (await askEvents(a)).some(({ code }) => code === 'SALVAGE_KEPT');
      expect(await waitUntil(isKept, STEP_MS, 300), 'it is kept aside').toBe(true);
      const kept = (await askEvents(a)).findLast(({ code }) => code === 'SALVAGE_KEPT');
      expect(kept?.message).toMatch(/that only this node had .*"understudy salvage show data/);
      const list = (await understudy(a, ['salvage', 'list', GROUP])) as unknown as SalvageReport[];
      expect(list).toHaveLength(1);
      const name = list[0]?.name ?? '';
      // The other node hears of it the next time it asks.
      const isTold = async (): Promise<boolean> =>
        ((await askStatus<Status>(b))?.groups[0]?.salvages.length ?? 0) > 0;
      expect(await waitUntil(isTold, STEP_MS, 300), 'the other node is told').toBe(true);
      const status = await askStatus<Status>(b);
      expect(status?.groups[0]?.salvages).toEqual([{ node: 'a', name }]);

      const shown = (await understudy(a, ['salvage', 'show', GROUP])) as unknown as SalvageShown;
      const found = new Map(shown.entries.map((entry) => [entry.path, entry]));
      // docs/d5 and docs/from-b are the other node's work, docs/d2 was only removed here.
      expect([...found.keys()].toSorted()).toEqual(['big', 'docs/d1', 'new', 'new/n']);
      const at = 3 * 1024 * 1024;
      expect(found.get('big')).toMatchObject({ kind: 'contents', kept: 'whole' });
      const [range] = found.get('big')?.ranges ?? [];
      expect(range?.[0]).toBeGreaterThanOrEqual(at);
      expect(range?.[1]).toBeLessThanOrEqual(at + TAIL.length);
      expect(found.get('new/n')).toMatchObject({ kind: 'missing', own: { uid: 7, gid: 8 } });

      await understudy(a, ['salvage', 'export', GROUP, name, '--to', EXPORTED]);
      const lost = (path: string): string => join(a.pathFromOutside(EXPORTED), 'files', path);
      expect(readFileSync(lost('big')).equals(before)).toBe(true);
      expect(readFileSync(lost('docs/d1'), 'utf8')).toBe('document 1\nmore\n');
      expect(readFileSync(lost('new/n'), 'utf8')).toBe('alone\n');
      expect([statSync(lost('new/n')).uid, statSync(lost('new/n')).gid]).toEqual([7, 8]);
      const again = await a.exec(['understudy', 'salvage', 'export', GROUP, '--to', EXPORTED]);
      expect(again.stderr).toContain('SALVAGE_TARGET_INVALID');

      await understudy(a, ['salvage', 'remove', GROUP, name]);
      expect(await understudy(a, ['salvage', 'list', GROUP])).toEqual([]);
      const left = join('/var/lib/understudy/groups', GROUP, 'salvage');
      expect(readdirSync(a.pathFromOutside(left))).toEqual([]);

      // A switchover hands over cleanly: nobody has anything alone.
      await understudy(b, ['switchover', GROUP], { timeoutMs: STEP_MS });
      await shell(a, 'echo after > docs/after');
      await pair.settle(a);
      for (const host of [a, b]) {
        expect(await understudy(host, ['salvage', 'list', GROUP])).toEqual([]);
      }
    });
  },
  TIMEOUT_MS,
);
