// The standby's node loses its power, again and again, while the primary goes on: journal, state,
// checkpoint and copy are on a disk of which only what was written through remains each time.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import {
  type FileSystemKind,
  mountAgain,
  mountLoopImage,
  unmountLazily,
} from '../../test/support/loop-image.ts';
import {
  type Identities,
  makeIdentities,
  makeSender,
  recordInto,
  type SenderRig,
  until,
} from '../../test/support/mirror-rig.ts';
import { cutPower } from '../../test/support/power-cut.ts';
import { Random } from '../../test/support/random.ts';
import { randomOperation } from '../../test/support/recorder-ops.ts';
import type { Recorder } from '../../test/support/recorder.ts';
import { StandbyProcess } from '../../test/support/standby-process.ts';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { recordType } from '../journal/record.ts';

const BASE = { streamId: '0f'.repeat(16), sequence: 100 };
const ROUNDS = 8;
const MARKED_ROUND = 2;
const MARKED = { kind: 'name', name: 'marked' } as const;

let identities: Identities;
let top = '';
let disk = '';
let source = '';
let standby: StandbyProcess;
let rig: SenderRig;
let recorder: Recorder;

beforeAll(async () => {
  identities = await makeIdentities();
});
beforeEach(() => {
  top = mkdtempSync(join(tmpdir(), 'standby-power-'));
  disk = join(top, 'disk');
  source = join(top, 'source');
  mkdirSync(source, { mode: 0o755 });
});
afterEach(async () => {
  rig.sender.destroy();
  recorder.close();
  await standby.kill();
  unmountLazily(join(disk, 'copy'));
  unmountLazily(disk);
  rmSync(top, { recursive: true });
});

/**
 * The node is without power: its processes are gone, and so is what was not on its disk. They stop first:
 * an fdatasync that is under way when ext4 is shut down may still say yes, though the log ends before it.
 */
async function losePower(image: string): Promise<void> {
  await standby.freeze();
  cutPower(disk);
  await standby.kill();
  execFileSync('umount', ['-l', join(disk, 'copy')]);
  execFileSync('umount', [disk]);
  mountAgain(image, disk);
}

async function applied(): Promise<void> {
  const { sequence } = recorder;
  await until(
    () => rig.sender.acked?.appliedSequence === sequence,
    () => `record ${sequence} is applied, ${JSON.stringify(rig.sender.acked)}: ${standby.log}`,
    60_000,
  );
}

const pause = async (ms: number): Promise<void> => {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
};

it.each<FileSystemKind>(['ext4', 'xfs'])('loses and doubles nothing on %s', async (kind) => {
  const seed = Date.now() & 0xffff;
  process.stdout.write(`seed ${seed}\n`);
  const random = new Random(seed);
  const image = join(top, 'image');
  mountLoopImage({ image, dir: disk, bytes: 512 * 1024 * 1024, kind });
  const copy = join(disk, 'copy');
  mkdirSync(copy, { mode: 0o755 });
  execFileSync('sync', ['-f', disk]);
  const { primary, standby: own } = identities;
  standby = new StandbyProcess({
    top: disk,
    dir: copy,
    primary,
    standby: own,
    holds: BASE,
  });
  await standby.start();
  execFileSync('sync', ['-f', disk]);
  rig = makeSender({
    peer: { host: '127.0.0.1', port: standby.port, certificate: own.certificate },
    identity: primary,
    spillDirectory: join(top, 'spill'),
    base: BASE,
    firstSequence: 101,
  });
  recorder = recordInto(rig, source, 101);
  rig.sender.start();
  let marked: ReturnType<typeof snapshotTree> | undefined;
  for (let round = 0; round < ROUNDS; round += 1) {
    const cutAt = random.below(150);
    for (let i = 0; i < 150; i += 1) {
      randomOperation(recorder, random);
      if (random.chance(0.1)) recorder.emit({ type: recordType.commit });
      if (i % 4 === 0) await pause(1 + random.below(12));
      if (i === cutAt) await losePower(image);
    }
    await standby.start();
    if (round !== MARKED_ROUND) continue;
    await applied();
    marked = snapshotTree(source);
    await standby.call('rewind-mark', { name: 'marked', sequence: recorder.sequence });
  }
  await applied();
  expect(rig.scansWanted).toEqual([]);
  // Where a file has allocated but unwritten blocks, a page in the cache makes them look like data;
  // the source has seen no power cut, so its cache tells another story than the copy's.
  expect(compareTrees(source, copy, { holes: false })).toEqual([]);
  // What was destroyed since then is still known, through all power cuts.
  const to = join(disk, 'look');
  await standby.call('rewind-browse', { wish: MARKED, to });
  expect(compareTrees(marked ?? source, to, { holes: false })).toEqual([]);
  await goBackInTheDark(image, random);
  expect(compareTrees(marked ?? source, copy, { holes: false })).toEqual([]);
});

/** The copy is taken back for good, and the power goes in the middle of that, and of going on with it. */
async function goBackInTheDark(image: string, random: Random): Promise<void> {
  const note = join(disk, 'state', 'undo', 'note.json');
  const asked = standby.call('rewind', { wish: MARKED }).catch(() => undefined);
  await until(
    () => /"goingBackTo":\d/.test(readFileSync(note, 'utf8')) || isBack(),
    () => `it goes back: ${standby.log}`,
    60_000,
  );
  for (let life = 0; life < 3; life += 1) {
    await pause(random.below(40));
    await losePower(image);
    await standby.start();
  }
  await asked;
  // What was on the disk of the wish is carried out; a wish that was not is one that nobody was answered.
  await standby.call('rewind', { wish: MARKED });
  const finished = await standby.call('finish', { accepts: ['up-to-date', 'catching-up'] });
  expect(finished).toMatchObject({ isOld: true });
  await standby.exited();
}

const isBack = (): boolean => standby.log.includes('COPY_REWOUND');
