// Delete protection on a real standby: the copy of before stays, records are received as always, and a
// person decides.
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import {
  makeIdentities,
  makeSender,
  type SenderRig,
  until,
} from '../../../test/support/mirror-rig.ts';
import { Recorder } from '../../../test/support/recorder.ts';
import { StandbyProcess } from '../../../test/support/standby-process.ts';
import { compareTrees } from '../../../test/support/tree.ts';
import { RingProducer } from '../../core/byte-ring.ts';
import { uncoverDirectories } from '../cover.ts';

/** Files that are younger than this are no loss, so the tests have to wait for it. */
const WINDOW_MS = 4000;
const BASE = { streamId: '0f'.repeat(16), sequence: 100 };

let top = '';
let source = '';
let copy = '';
let standby: StandbyProcess;
let rig: SenderRig;
let recorder: Recorder;

beforeEach(async () => {
  const identities = await makeIdentities();
  top = mkdtempSync(join(tmpdir(), 'halt-'));
  source = join(top, 'source');
  copy = join(top, 'copy');
  for (const dir of [source, copy]) mkdirSync(dir, { mode: 0o755 });
  const { primary } = identities;
  standby = new StandbyProcess({
    top,
    dir: copy,
    primary,
    standby: identities.standby,
    holds: BASE,
    safety: {
      deletions: { filesMin: 100, share: 0.5, windowMs: WINDOW_MS },
      guard: 'alarm',
    },
  });
  await standby.start();
  rig = makeSender({
    peer: { host: '127.0.0.1', port: standby.port, certificate: identities.standby.certificate },
    identity: primary,
    spillDirectory: join(top, 'spill'),
    base: BASE,
    firstSequence: 101,
  });
  const producer = new RingProducer(rig.ring);
  recorder = new Recorder(
    source,
    (record) => {
      const at = producer.reserve(record.length);
      if (at < 0) throw new Error('the ring of the test is too small');
      producer.bytes.set(record, at);
      producer.commit(record.length);
      producer.wake();
    },
    101,
  );
  rig.sender.start();
});

afterEach(async () => {
  rig.sender.destroy();
  recorder.close();
  await standby.kill();
  uncoverDirectories(join(top, 'state'));
  rmSync(top, { recursive: true, force: true });
});

/** `count` files, half of them in a directory of their own. */
async function fill(count: number): Promise<void> {
  recorder.mkdir('below');
  for (let index = 0; index < count; index += 1) recorder.create(nameOf(index));
  await acked('appliedSequence');
  await sleep(WINDOW_MS);
}

const nameOf = (index: number): string => `${index % 2 === 0 ? 'below/' : ''}file-${index}`;

function remove(from: number, to: number): void {
  for (let index = from; index < to; index += 1) recorder.unlink(nameOf(index));
}

async function acked(what: 'appliedSequence' | 'durableSequence'): Promise<void> {
  const { sequence } = recorder;
  await until(
    () => rig.sender.acked?.[what] === sequence,
    () => `record ${sequence}: ${what}, ${JSON.stringify(rig.sender.acked)}: ${standby.log}`,
    20_000,
  );
}

async function halted(): Promise<Record<string, unknown>> {
  await until(() => standby.log.includes('APPLY_HALTED'), 'the applying is halted');
  return standby.call('status');
}

/** Files of the copy; what the standby keeps for itself is not among them. */
const files = (): number =>
  readdirSync(copy, { recursive: true, withFileTypes: true }).filter(
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
  recorder.create('while halted');
  await acked('durableSequence');
  expect(rig.sender.acked?.copy).toBe('halted');

  await standby.kill();
  await standby.start();
  await until(
    () => rig.sender.acked?.copy === 'halted' && rig.sender.link.state === 'connected',
    'it is back',
  );
  expect(files()).toBe(400);

  await standby.call('accept');
  await acked('appliedSequence');
  expect(compareTrees(source, copy)).toEqual([]);
  await expect(standby.call('accept')).rejects.toThrow('is not halted');
  // What was accepted is not held against the next removals.
  remove(380, 390);
  await acked('appliedSequence');
});

test('a large part, but not most of it, is removed: the copy follows within a moment', async () => {
  await fill(400);
  remove(0, 150);
  await acked('durableSequence');
  await acked('appliedSequence');
  expect(standby.log).not.toContain('APPLY_HALTED');
  expect(files()).toBe(250);
});

test('a takeover uses the halted copy as of before, if a person says so', async () => {
  await fill(300);
  remove(0, 300);
  await halted();
  await expect(standby.call('finish', { accepts: ['up-to-date'] })).rejects.toThrow('halted');
  const finished = await standby.call('finish', { accepts: ['up-to-date', 'halted'] });
  expect(finished).toMatchObject({ copy: 'halted', journaledButLost: 300 });
  await standby.exited();
  expect(files()).toBe(300);
});
