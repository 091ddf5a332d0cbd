// A managed group is deleted while its application takes its time to stop: the other node must not take the silence of the
// machine that is no more for the end of the primary.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { virtualAddress } from '../../lab/managed.ts';
import { interfaceOf } from '../../lab/network.ts';
import { askEvents, askGroup } from '../../lab/node-admin.ts';
import { understudy } from '../../lab/pair.ts';
import { waitUntil } from '../../lab/run.ts';
import { DIRECTORY, GROUP, PairUnderTest } from './pair-under-test.ts';

const PATIENCE_MS = 60_000;
const STOP_SECONDS = 6;
/** While it is there, the application does not stop. */
const REFUSES = '/run/refuses';

test('nobody takes a group over that is being deleted', async () => {
  await PairUnderTest.with(async (pair) => {
    const { a, b, lab } = pair;
    await pair.createManaged({
      addresses: [{ ip: `${virtualAddress(lab)}/24`, interface: interfaceOf('lan') }],
      agents: [
        {
          use: 'command',
          name: 'slow',
          start: `touch ${join(DIRECTORY, 'started')}`,
          stop: `test ! -e ${REFUSES} && sleep ${STOP_SECONDS} && touch ${join(DIRECTORY, 'stopped')}`,
        },
      ],
    });
    const isTogether = async (): Promise<boolean> => (await askGroup(a, GROUP))?.alone === false;
    expect(await waitUntil(isTogether, PATIENCE_MS, 100)).toBe(true);

    await a.must(['touch', REFUSES]);
    const refused = understudy(a, ['group', 'delete', GROUP], { timeoutMs: PATIENCE_MS });
    await expect(refused).rejects.toThrow('AGENT_FAILED');
    await a.must(['rm', REFUSES]);
    // Served as before, by a machine whose wishes are carried out.
    await understudy(a, ['switchover', GROUP], { timeoutMs: PATIENCE_MS });
    const isTogetherOnB = async (): Promise<boolean> => (await askGroup(b, GROUP))?.alone === false;
    expect(await waitUntil(isTogetherOnB, PATIENCE_MS, 100)).toBe(true);

    const before = (await askEvents(a)).length;
    await understudy(a, ['group', 'delete', GROUP], { timeoutMs: PATIENCE_MS });
    expect(await askGroup(a, GROUP)).toBeUndefined();
    expect(await askGroup(b, GROUP)).toBeUndefined();
    const meanwhile = (await askEvents(a)).slice(before).map(({ code }) => code);
    expect(meanwhile).not.toContain('TAKING_OVER');
    expect((await askEvents(b)).map(({ code }) => code)).not.toContain('UNDO_FAILED');
    // What was written last is on both sides: nothing was cut off.
    await a.must(['test', '-e', join(DIRECTORY, 'stopped')]);
  });
}, 200_000);
