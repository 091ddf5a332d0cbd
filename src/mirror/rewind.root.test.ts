// Earlier states of a copy, as the standby's process gives them: bookmarks, trees as of then, going back.
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  type Identities,
  makeIdentities,
  makeSender,
  recordInto,
  type SenderRig,
  until,
} from '../../test/support/mirror-rig.ts';
import { Random } from '../../test/support/random.ts';
import { randomOperation } from '../../test/support/recorder-ops.ts';
import type { Recorder } from '../../test/support/recorder.ts';
import { StandbyProcess } from '../../test/support/standby-process.ts';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { UNDO_HEADER_BYTES } from '../journal/undo-format.ts';
import { uncoverDirectories } from './cover.ts';

const BASE = { streamId: '0f'.repeat(16), sequence: 100 };

let identities: Identities;
let top = '';
let source = '';
let copy = '';
let standby: StandbyProcess;
let rig: SenderRig;
let recorder: Recorder;
let random = new Random(1);

beforeAll(async () => {
  identities = await makeIdentities();
});
beforeEach(async () => {
  const seed = Date.now() & 0xffff;
  process.stdout.write(`seed ${seed}\n`);
  random = new Random(seed);
  top = mkdtempSync(join(tmpdir(), 'rewind-'));
  source = join(top, 'source');
  copy = join(top, 'copy');
  for (const dir of [source, copy]) mkdirSync(dir, { mode: 0o755 });
  const { primary, standby: own } = identities;
  standby = new StandbyProcess({ top, dir: copy, primary, standby: own, holds: BASE });
  await standby.start();
  rig = makeSender({
    peer: { host: '127.0.0.1', port: standby.port, certificate: own.certificate },
    identity: primary,
    spillDirectory: join(top, 'spill'),
    base: BASE,
    firstSequence: 101,
  });
  recorder = recordInto(rig, source, 101);
  rig.sender.start();
});
afterEach(async () => {
  rig.sender.destroy();
  recorder.close();
  await standby.kill();
  uncoverDirectories(join(top, 'state'));
  rmSync(top, { recursive: true, force: true });
});

async function applied(): Promise<void> {
  const { sequence } = recorder;
  await until(
    () => rig.sender.acked?.appliedSequence === sequence,
    () => `record ${sequence} is applied, ${JSON.stringify(rig.sender.acked)}: ${standby.log}`,
    60_000,
  );
}

function work(operations: number): void {
  for (let i = 0; i < operations; i += 1) randomOperation(recorder, random);
}

/** Works, makes a bookmark as soon as it is captured, and remembers what it has to be. */
async function mark(name: string): Promise<ReturnType<typeof snapshotTree>> {
  work(80);
  const tree = snapshotTree(source);
  const { sequence } = recorder;
  expect(await standby.call('rewind-mark', { name, sequence })).toMatchObject({ name, sequence });
  return tree;
}

const at = (name: string): object => ({ kind: 'name', name });
const time = (atMs: number): object => ({ kind: 'time', atMs });
const pause = async (ms: number): Promise<void> => {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
};

describe('earlier states', () => {
  it('are made into trees of their own while the copy goes on', async () => {
    const first = await mark('first');
    await pause(20);
    const between = Date.now();
    await pause(20);
    const second = await mark('second');
    work(80);
    await applied();
    expect(await standby.call('rewind-list')).toMatchObject({
      from: { sequence: 100, at: null },
      to: { sequence: recorder.sequence },
      bookmarks: [
        { name: 'first', kept: true },
        { name: 'second', kept: true },
      ],
    });
    for (const [wish, tree] of [
      [at('second'), second],
      [at('first'), first],
      [time(between), first],
    ] as const) {
      const to = join(top, 'look');
      const browsing = standby.call('rewind-browse', { wish, to });
      work(20);
      await browsing;
      expect(compareTrees(tree, to, { holes: false })).toEqual([]);
      expect(readdirSync(to)).not.toContain('.understudy');
      rmSync(to, { recursive: true });
    }
    await applied();
    expect(compareTrees(source, copy, { holes: false })).toEqual([]);
  });

  it('can be gone back to for good, whatever happens in between', async () => {
    await mark('earlier');
    const tree = await mark('wanted');
    work(100);
    await applied();
    await standby.kill();
    await standby.start();
    await standby.call('rewind', { wish: at('wanted') });
    await standby.kill();
    await standby.start();
    expect(compareTrees(tree, copy, { holes: false })).toEqual([]);
    // The primary, which would bring it up to date, is not let in.
    const { copy: state, link } = await standby.call('status');
    expect([state, link]).toEqual(['catching-up', 'waiting']);
    const finished = await standby.call('finish', { accepts: ['up-to-date', 'catching-up'] });
    expect(finished).toMatchObject({ isOld: true, copy: 'catching-up' });
    await standby.exited();
    expect(compareTrees(tree, copy, { holes: false })).toEqual([]);
  });

  it('are left again when nobody promotes them', async () => {
    await mark('wanted');
    work(100);
    await applied();
    await standby.call('rewind', { wish: at('wanted') });
    await standby.call('rewind-release');
    work(30);
    await until(
      () => rig.scansWanted.length > 0 || rig.sender.acked?.appliedSequence === recorder.sequence,
      () => `the primary is let in again: ${standby.log}`,
      60_000,
    );
  });

  it('that are not kept, or not known, or still to come, change nothing', async () => {
    await mark('known');
    await applied();
    const refused = async (wish: object, code: string): Promise<void> => {
      for (const method of ['rewind', 'rewind-browse']) {
        const to = join(top, 'refused');
        await expect(standby.call(method, { wish, to })).rejects.toMatchObject({ code });
        expect(existsSync(to)).toBe(false);
      }
    };
    await refused(at('unknown'), 'BOOKMARK_UNKNOWN');
    await refused(time(Date.now() + 3_600_000), 'REWIND_IN_FUTURE');
    await refused({ kind: 'sequence', sequence: 50 }, 'REWIND_NOT_KEPT');
    await refused({ kind: 'sequence', sequence: 10 ** 9 }, 'REWIND_NOT_KEPT');
    const again = standby.call('rewind-mark', { name: 'known', sequence: 0 });
    await expect(again).rejects.toMatchObject({ code: 'BOOKMARK_EXISTS' });
    const wrong = standby.call('rewind-mark', { name: '1st', sequence: 0 });
    await expect(wrong).rejects.toMatchObject({ code: 'BOOKMARK_INVALID' });
    const inside = standby.call('rewind-browse', { wish: at('known'), to: join(copy, 'x') });
    await expect(inside).rejects.toMatchObject({ code: 'REWIND_TARGET_INVALID' });
    expect(compareTrees(source, copy, { holes: false })).toEqual([]);
  });

  it('that the log has damaged are refused, and the copy goes on', async () => {
    await mark('before');
    work(200);
    await applied();
    const directory = join(top, 'state', 'undo');
    const [segment = ''] = readdirSync(directory).filter((name) => name.endsWith('.undo'));
    const bytes = readFileSync(join(directory, segment));
    const first = 2 * UNDO_HEADER_BYTES + 24;
    bytes[first] = (bytes[first] ?? 0) ^ 1;
    writeFileSync(join(directory, segment), bytes);
    const damaged = standby.call('rewind', { wish: { kind: 'sequence', sequence: 100 } });
    await expect(damaged).rejects.toMatchObject({ code: 'UNDO_DAMAGED' });
    work(30);
    await applied();
    expect(compareTrees(source, copy, { holes: false })).toEqual([]);
  });
});
