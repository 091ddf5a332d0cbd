// Delete protection on a real standby: the copy of before stays, records are received as always, and a
// person decides.
import { mkdirSync, readdirSync, readFileSync, rmdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { recordType } from '../../journal/record.ts';
import { makeIdentities, until } from '../../../test/support/mirror-rig.ts';
import { StandbyPair } from '../../../test/support/standby-pair.ts';
import { compareTrees } from '../../../test/support/tree.ts';

/** Files that are younger than this are no loss, so the tests have to wait for it. */
const WINDOW_MS = 4000;

let pair: StandbyPair;

beforeEach(async () => {
  pair = new StandbyPair(await makeIdentities());
  await pair.startStandby({
    safety: {
      deletions: { filesMin: 100, share: 0.5, windowMs: WINDOW_MS },
      guard: 'alarm',
    },
  });
  pair.startPrimary();
});
afterEach(async () => pair.close());

/** `count` files, half of them in a directory of their own. */
async function fill(count: number): Promise<void> {
  pair.recorder.mkdir('below');
  for (let index = 0; index < count; index += 1) pair.recorder.create(nameOf(index));
  await acked('appliedSequence');
  await sleep(WINDOW_MS);
}

const nameOf = (index: number): string => `${index % 2 === 0 ? 'below/' : ''}file-${index}`;

function remove(from: number, to: number): void {
  for (let index = from; index < to; index += 1) pair.recorder.unlink(nameOf(index));
}

async function acked(what: 'appliedSequence' | 'durableSequence'): Promise<void> {
  const { sequence } = pair.recorder;
  await until(
    () => pair.rig.sender.acked?.[what] === sequence,
    () =>
      `record ${sequence}: ${what}, ${JSON.stringify(pair.rig.sender.acked)}: ${pair.standby.log}`,
    20_000,
  );
}

async function halted(): Promise<Record<string, unknown>> {
  await until(() => pair.standby.log.includes('APPLY_HALTED'), 'the applying is halted');
  return pair.standby.call('status');
}

/** Files of the copy; what the standby keeps for itself is not among them. */
const files = (): number =>
  readdirSync(pair.copy, { recursive: true, withFileTypes: true }).filter(
    (entry) => entry.isFile() && !entry.parentPath.includes('.understudy'),
  ).length;

test('nearly everything is removed: the copy stays as of before, also after a restart', async () => {
  await fill(400);
  remove(0, 380);
  const status = await halted();
  expect(status['copy']).toBe('halted');
  expect(status['halted']).toMatchObject({ code: 'DELETIONS' });
  expect(files()).toBe(400);
  // The primary's commits are confirmed as before.
  pair.recorder.create('while halted');
  await acked('durableSequence');
  expect(pair.rig.sender.acked?.copy).toBe('halted');

  await pair.standby.kill();
  await pair.standby.start();
  await until(
    () => pair.rig.sender.acked?.copy === 'halted' && pair.rig.sender.link.state === 'connected',
    'it is back',
  );
  expect(files()).toBe(400);

  await pair.standby.call('accept');
  await acked('appliedSequence');
  expect(compareTrees(pair.source, pair.copy)).toEqual([]);
  await expect(pair.standby.call('accept')).rejects.toThrow('is not halted');
  // What was accepted is not held against the next removals.
  remove(380, 390);
  await acked('appliedSequence');
});

test('nearly everything is removed, and the standby ends amid that: nothing of it is applied', async () => {
  await fill(400);
  const rounds = 19;
  for (let round = 0; round < rounds; round += 1) {
    remove(round * 20, round * 20 + 20);
    await acked('durableSequence');
    if (round !== 8) {
      await sleep(50);
      continue;
    }
    await pair.standby.kill();
    expect(files()).toBe(400);
    await pair.standby.start();
  }
  expect((await halted())['halted']).toMatchObject({ code: 'DELETIONS' });
  expect(files()).toBe(400);
  await pair.standby.call('accept');
  // What a person has accepted is not judged by the next process either.
  await pair.standby.kill();
  await pair.standby.start();
  await acked('appliedSequence');
  expect(files()).toBe(20);
});

test('a halt that the disk did not take is found again by the next process', async () => {
  await fill(400);
  const aside = join(pair.top, 'state', 'standby.json.new');
  mkdirSync(aside);
  remove(0, 380);
  await halted();
  await acked('durableSequence');
  await pair.standby.kill();
  rmdirSync(aside);
  await pair.standby.start();
  await until(() => pair.rig.sender.acked?.copy === 'halted', 'it is halted again');
  expect(files()).toBe(400);
  await pair.standby.call('accept');
  await acked('appliedSequence');
  expect(compareTrees(pair.source, pair.copy)).toEqual([]);
  expect(pair.standby.log).not.toContain('COPY_DIVERGED');
});

test('a large part, but not most of it, is removed: the copy follows within a moment', async () => {
  await fill(400);
  remove(0, 150);
  await acked('durableSequence');
  await acked('appliedSequence');
  expect(pair.standby.log).not.toContain('APPLY_HALTED');
  expect(files()).toBe(250);
});

test('a takeover uses the halted copy as of before, if a person says so', async () => {
  await fill(300);
  remove(0, 300);
  await halted();
  await expect(pair.standby.call('finish', { accepts: ['up-to-date'] })).rejects.toThrow('halted');
  const finished = await pair.standby.call('finish', { accepts: ['up-to-date', 'halted'] });
  expect(finished).toMatchObject({ copy: 'halted', journaledButLost: 300 });
  await pair.standby.exited();
  expect(files()).toBe(300);
});

test('a scan within the stream is refused until a person decides, and costs the halted copy nothing', async () => {
  await fill(300);
  const { sequence } = pair.recorder;
  remove(0, 300);
  await halted();
  const before = await pair.standby.call('rewind-list');
  pair.recorder.create('before the scan');
  pair.recorder.emit({ type: recordType.scanBegin });
  await until(
    () => pair.rig.sender.link.reason.includes('COPY_HALTED') || scanIsTaken(),
    'the scan is refused',
  );
  expect(pair.rig.sender.link.reason).toContain('COPY_HALTED');
  const status = await pair.standby.call('status');
  expect(status).toMatchObject({ copy: 'halted', receivedSequence: sequence + 301 });
  expect(await pair.standby.call('rewind-list')).toEqual(before);
  const finished = await pair.standby.call('finish', { accepts: ['up-to-date', 'halted'] });
  expect(finished).toMatchObject({ copy: 'halted', sequence });
  await pair.standby.exited();
  expect(files()).toBe(300);
});

const scanIsTaken = (): boolean => pair.standby.log.includes('"to":"syncing"');

test('a halted copy that is taken back is halted no more', async () => {
  await fill(300);
  const { sequence } = pair.recorder;
  remove(0, 300);
  await halted();
  await pair.standby.call('rewind', { wish: { kind: 'sequence', sequence } });
  const finished = await pair.standby.call('finish', { accepts: ['up-to-date', 'catching-up'] });
  expect(finished).toMatchObject({ isOld: true, journaledButLost: 0 });
  await pair.standby.exited();
  expect(files()).toBe(300);
});

test('a full disk does not undo the halt, which is remembered as soon as there is room', async () => {
  await fill(400);
  const state = join(pair.top, 'state');
  // What cannot be replaced, as on a full disk.
  mkdirSync(join(state, 'standby.json.new'));
  remove(0, 380);
  expect((await halted())['halted']).toMatchObject({ code: 'DELETIONS' });
  await sleep(2000);
  expect(files()).toBe(400);
  rmdirSync(join(state, 'standby.json.new'));
  await until(
    () => readFileSync(join(state, 'standby.json'), 'utf8').includes('DELETIONS'),
    'it is remembered',
  );
  await pair.standby.kill();
  await pair.standby.start();
  await until(() => pair.rig.sender.acked?.copy === 'halted', 'it is back');
  expect(files()).toBe(400);
});
