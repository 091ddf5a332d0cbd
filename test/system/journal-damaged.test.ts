// Records in the standby's journal that are torn or have a flipped bit are never applied: what is lost is
// fetched from the primary again. The standby's processes are away meanwhile.
import { expect, test } from 'vitest';
import { askEvents } from '../../lab/node-admin.ts';
import { waitUntil } from '../../lab/run.ts';
import { kill, processesOf } from '../field/faults.ts';
import { damageJournal, removeState } from '../torture/damage-journal.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const CHANGE = `for i in $(seq 80); do head -c 30000 /dev/urandom > ${DIRECTORY}/file-$((i % 40)); mv ${DIRECTORY}/file-$((i % 40)) ${DIRECTORY}/f-$i; done; sync -f ${DIRECTORY}/f-1`;

async function damage(pair: PairUnderTest, how: string, place: number): Promise<string> {
  await pair.a.must(['sh', '-c', CHANGE], { timeoutMs: 60_000 });
  await pair.b.stopService('understudyd');
  kill(processesOf(pair.b, 'mirror'), 'the mirror');
  const done = await damageJournal(pair.b, how, place, GROUP);
  await pair.b.startService('understudyd');
  return done;
}

test('a flipped bit, a cut: nothing wrong is applied, and the copies are equal again', async () => {
  await PairUnderTest.with(async (pair) => {
    await pair.protect('sync');
    for (const [how, place] of [
      ['flip', 500_700],
      ['cut', 130_300],
    ] as const) {
      const done = await damage(pair, how, place);
      expect([done, await pair.differences()]).toEqual([done, []]);
    }
  });
}, 175_000);

test('a state with a flipped bit is refused with what to do; that done, the group is copied anew', async () => {
  await PairUnderTest.with(async (pair) => {
    await pair.protect('sync');
    await damage(pair, 'state', 400);
    const isTold = async (): Promise<boolean> => {
      const way = 'remove it to have the group copied anew';
      return (await askEvents(pair.b)).some(({ message }) => message.includes(way));
    };
    expect(await waitUntil(isTold, 60_000, 500)).toBe(true);
    removeState(pair.b, GROUP);
    expect(await pair.differences()).toEqual([]);
  });
}, 175_000);
