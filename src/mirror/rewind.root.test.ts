// Earlier states of a copy, as the standby's process gives them: bookmarks, trees as of then, going back.
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import {
  GROUP_ID,
  type Identities,
  makeIdentities,
  STREAM,
  until,
} from '../../test/support/mirror-rig.ts';
import { Random } from '../../test/support/random.ts';
import { randomOperation } from '../../test/support/recorder-ops.ts';
import { namespaceBlock, type RecordFields } from '../../test/support/recorder.ts';
import { scanTree, sendNeeded } from '../../test/support/scan-tree.ts';
import { StandbyPair } from '../../test/support/standby-pair.ts';
import { compareTrees, snapshotTree } from '../../test/support/tree.ts';
import { present } from '../core/assert.ts';
import { recordFlag, recordType } from '../journal/record.ts';
import { UNDO_HEADER_BYTES } from '../journal/undo-format.ts';

let identities: Identities;
let pair: StandbyPair;
let random = new Random(1);

beforeAll(async () => {
  identities = await makeIdentities();
});
beforeEach(async () => {
  const seed = Date.now() & 0xffff;
  process.stdout.write(`seed ${seed}\n`);
  random = new Random(seed);
  pair = new StandbyPair(identities);
  await pair.startStandby();
  pair.startPrimary();
});
afterEach(async () => pair.close());

function work(operations: number): void {
  for (let i = 0; i < operations; i += 1) randomOperation(pair.recorder, random);
}

/** Works, makes a bookmark as soon as it is captured, and remembers what it has to be. */
async function mark(name: string): Promise<ReturnType<typeof snapshotTree>> {
  work(80);
  const tree = snapshotTree(pair.source);
  const { sequence } = pair.recorder;
  expect(await pair.standby.call('rewind-mark', { name, sequence })).toMatchObject({
    name,
    sequence,
  });
  return tree;
}

/** Nothing changes meanwhile. `pauseMs`: between contents and end. */
async function scan(pauseMs = 0): Promise<void> {
  const { recorder } = pair;
  recorder.emit({ type: recordType.scanBegin });
  recorder.duringScan = true;
  scanTree(recorder, 'full');
  await pair.applied();
  await pause(pauseMs);
  recorder.duringScan = false;
  recorder.emit({ type: recordType.scanEnd });
  await pair.complete();
}

/** Puts a directory in the way as soon as the note says that the copy is being taken back. */
const OBSTRUCT = `
  const { mkdirSync, readFileSync } = require('node:fs');
  const [note, obstacle] = process.argv.slice(1);
  const until = performance.now() + 20000;
  process.stdout.write('ready');
  setImmediate(() => {
    while (performance.now() < until) {
      try {
        if (JSON.parse(readFileSync(note, 'utf8')).goingBackTo === null) continue;
        mkdirSync(obstacle);
        return;
      } catch {}
    }
  });
`;

function findBelow(top: string, name: string): string {
  const found = readdirSync(top, { recursive: true, encoding: 'utf8' });
  return join(
    top,
    present(
      found.find((path) => path.endsWith(`/${name}`)),
      name,
    ),
  );
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
    await pair.applied();
    expect(await pair.standby.call('rewind-list')).toMatchObject({
      from: { sequence: 100, at: expect.any(String) },
      to: { sequence: pair.recorder.sequence },
      bookmarks: [
        { name: 'first', kept: true },
        { name: 'second', kept: true },
      ],
    });
    const long = { wish: time(Date.now() - 3_600_000), to: join(pair.top, 'look') };
    await expect(pair.standby.call('rewind-browse', long)).rejects.toThrow('at the earliest');
    for (const [wish, tree] of [
      [at('second'), second],
      [at('first'), first],
      [time(between), first],
    ] as const) {
      const to = join(pair.top, 'look');
      const browsing = pair.standby.call('rewind-browse', { wish, to });
      work(20);
      await browsing;
      expect(compareTrees(tree, to, { holes: false })).toEqual([]);
      expect(readdirSync(to)).not.toContain('.understudy');
      rmSync(to, { recursive: true });
    }
    await pair.applied();
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
  });

  it('can be gone back to for good, whatever happens in between', async () => {
    await mark('earlier');
    const tree = await mark('wanted');
    work(100);
    await pair.applied();
    await pair.standby.kill();
    await pair.standby.start();
    await pair.standby.call('rewind', { wish: at('wanted') });
    await pair.standby.kill();
    await pair.standby.start();
    expect(compareTrees(tree, pair.copy, { holes: false })).toEqual([]);
    // The primary, which would bring it up to date, is not let in.
    const { copy: state, link } = await pair.standby.call('status');
    expect([state, link]).toEqual(['catching-up', 'waiting']);
    const finished = await pair.standby.call('finish', { accepts: ['up-to-date', 'catching-up'] });
    expect(finished).toMatchObject({ isOld: true, copy: 'catching-up' });
    await pair.standby.exited();
    expect(compareTrees(tree, pair.copy, { holes: false })).toEqual([]);
  });

  it('are gone back to by the next process when that cannot be written down', async () => {
    const tree = await mark('wanted');
    work(100);
    await pair.applied();
    // What cannot be replaced, as on a full disk, from the moment on in which the copy is taken back.
    const obstacle = join(pair.top, 'state', 'standby.json.new');
    const note = findBelow(join(pair.top, 'state'), 'note.json');
    const put = spawn(process.execPath, ['-e', OBSTRUCT, note, obstacle], { stdio: 'pipe' });
    await once(put.stdout, 'data');
    await expect(pair.standby.call('rewind', { wish: at('wanted') })).rejects.toThrow();
    expect(existsSync(obstacle)).toBe(true);
    await pair.standby.exited();
    rmdirSync(obstacle);
    await pair.standby.start();
    await until(() => pair.standby.log.includes('COPY_REWOUND'), 'it is taken back', 30_000);
    expect(compareTrees(tree, pair.copy, { holes: false })).toEqual([]);
    expect((await pair.standby.call('status'))['link']).toBe('waiting');
  });

  it('are left again when nobody promotes them', async () => {
    await mark('wanted');
    work(100);
    await pair.applied();
    await pair.standby.call('rewind', { wish: at('wanted') });
    await pair.standby.call('rewind-release');
    work(30);
    await until(
      () =>
        pair.rig.scansWanted.length > 0 ||
        pair.rig.sender.acked?.appliedSequence === pair.recorder.sequence,
      () => `the primary is let in again: ${pair.standby.log}`,
      60_000,
    );
  });

  it('leave nothing in the copy when nobody promotes them, however little the primary says has changed since', async () => {
    const blocks = [1, 2, 3].map((fill) => Buffer.alloc(64 * 1024, fill));
    const since = { streamId: STREAM, sequence: 0 };
    pair.endPrimary();
    pair.startPrimary({ marks: () => [since] });
    const { recorder } = pair;
    recorder.create('file');
    for (const [index, block] of blocks.entries())
      recorder.write('file', index * block.length, block);
    await pair.applied();
    await pair.standby.call('rewind-mark', { name: 'wanted', sequence: recorder.sequence });
    recorder.write('file', 0, Buffer.alloc(64 * 1024, 4));
    await pair.applied();
    await pair.standby.kill();
    since.sequence = recorder.sequence;
    const marks = [{ ...since, wallMs: Date.now() }];
    const file = JSON.stringify({ version: 1, groupId: GROUP_ID, marks });
    writeFileSync(join(pair.top, 'marks.json'), file);
    await pair.standby.start();
    await pair.standby.call('rewind', { wish: at('wanted') });
    await pair.standby.call('rewind-release');
    await pair.scanWanted(0);
    expect(pair.rig.wishes.at(-1)).toMatchObject({ mode: 'changed', since });

    recorder.write('file', 128 * 1024, Buffer.alloc(64 * 1024, 5));
    recorder.emit({ type: recordType.scanBegin });
    recorder.duringScan = true;
    const object = (path: string): Omit<RecordFields, 'sequence'> => ({
      type: recordType.scanObject,
      path,
      payload: namespaceBlock(recorder.stat(path)),
    });
    recorder.emit(object(''));
    recorder.emit({ type: recordType.scanDirBegin });
    const flags = recordFlag.duringScan | recordFlag.partlyChanged;
    recorder.emit({ ...object('file'), flags, offset: 192 * 1024 });
    sendNeeded(recorder, { path: 'file', offset: 128 * 1024, length: 64 * 1024 });
    recorder.emit({ ...object(''), type: recordType.scanDirEnd });
    await pair.applied();
    expect(pair.rig.needs).toEqual([
      { directory: 0, path: 'file', offset: 0, length: 192 * 1024, compare: true },
    ]);
    sendNeeded(recorder, { path: 'file', offset: 0, length: 192 * 1024 });
    recorder.duringScan = false;
    recorder.emit({ type: recordType.scanEnd });
    await pair.complete();
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
  });

  it('that were given up are not taken for the one before them', async () => {
    await mark('wanted');
    await mark('given-up');
    await pair.applied();
    await pair.standby.call('rewind', { wish: at('wanted') });
    await pair.standby.call('rewind-release');
    await pair.scanWanted(0);
    await scan();
    const given = { wish: at('given-up'), to: join(pair.top, 'look') };
    await expect(pair.standby.call('rewind-browse', given)).rejects.toMatchObject({
      code: 'BOOKMARK_UNKNOWN',
    });
  });

  it('are those of after a scan when they are named before it', async () => {
    await pair.applied();
    work(50);
    await pair.applied();
    pair.endPrimary();
    writeFileSync(join(pair.source, 'alone'), 'what the primary wrote while the standby was away');
    pair.startPrimary({ streamId: '0a'.repeat(16), firstSequence: 50_001, base: null });
    await pair.scanWanted(0);
    // The primary has captured so much by now.
    const marked = pair.standby.call('rewind-mark', { name: 'named', sequence: 50_000 });
    marked.catch(() => undefined);
    await scan(2000);
    const { sequence } = pair.recorder;
    expect(await marked).toMatchObject({ sequence });
    const to = join(pair.top, 'look');
    await pair.standby.call('rewind-browse', { wish: at('named'), to });
    expect(compareTrees(pair.source, to, { holes: false })).toEqual([]);
  });

  it('that are not kept, or not known, or still to come, change nothing', async () => {
    await mark('known');
    await pair.applied();
    const refused = async (wish: object, code: string): Promise<void> => {
      for (const method of ['rewind', 'rewind-browse']) {
        const to = join(pair.top, 'refused');
        await expect(pair.standby.call(method, { wish, to })).rejects.toMatchObject({ code });
        expect(existsSync(to)).toBe(false);
      }
    };
    await refused(at('unknown'), 'BOOKMARK_UNKNOWN');
    await refused(time(Date.now() + 3_600_000), 'REWIND_IN_FUTURE');
    await refused({ kind: 'sequence', sequence: 50 }, 'REWIND_NOT_KEPT');
    await refused({ kind: 'sequence', sequence: 10 ** 9 }, 'REWIND_NOT_KEPT');
    const again = pair.standby.call('rewind-mark', { name: 'known', sequence: 0 });
    await expect(again).rejects.toMatchObject({ code: 'BOOKMARK_EXISTS' });
    const wrong = pair.standby.call('rewind-mark', { name: '1st', sequence: 0 });
    await expect(wrong).rejects.toMatchObject({ code: 'BOOKMARK_INVALID' });
    const inside = pair.standby.call('rewind-browse', {
      wish: at('known'),
      to: join(pair.copy, 'x'),
    });
    await expect(inside).rejects.toMatchObject({ code: 'REWIND_TARGET_INVALID' });
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
  });

  it('that the log has damaged are refused, and the copy goes on', async () => {
    await mark('before');
    work(200);
    await pair.applied();
    const directory = join(pair.top, 'state', 'undo');
    const [segment = ''] = readdirSync(directory).filter((name) => name.endsWith('.undo'));
    const bytes = readFileSync(join(directory, segment));
    const first = 2 * UNDO_HEADER_BYTES + 24;
    bytes[first] = (bytes[first] ?? 0) ^ 1;
    writeFileSync(join(directory, segment), bytes);
    const damaged = pair.standby.call('rewind', { wish: { kind: 'sequence', sequence: 100 } });
    await expect(damaged).rejects.toMatchObject({ code: 'UNDO_DAMAGED' });
    work(30);
    await pair.applied();
    expect(compareTrees(pair.source, pair.copy, { holes: false })).toEqual([]);
  });
});
