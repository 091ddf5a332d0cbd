// A node that was the primary before has what the patterns leave out: the primary of now knows nothing of it,
// and whatever it does to the directories around, the copy follows.
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { Recorder } from '../../../test/support/recorder.ts';
import { scanTree } from '../../../test/support/scan-tree.ts';
import { UndoRig } from '../../../test/support/undo-rig.ts';
import { recordType } from '../../journal/record.ts';

const patterns = { include: ['**'], exclude: ['*.tmp', '**/*.tmp', '**/cache'] };

let rig: UndoRig;
beforeEach(() => {
  rig = new UndoRig({ patterns });
});
afterEach(() => rig.close());

/** Directory `d`, and in it what is not mirrored, some of it with two names. */
function growOwn(): void {
  const { recorder, copy } = rig;
  recorder.mkdir('d');
  rig.moment();
  fs.writeFileSync(join(copy, 'd/x.tmp'), 'own');
  fs.mkdirSync(join(copy, 'd/cache/deep'), { recursive: true });
  fs.writeFileSync(join(copy, 'd/cache/deep/page'), 'cached');
  fs.linkSync(join(copy, 'd/x.tmp'), join(copy, 'd/cache/other'));
}

function expectOwn(): void {
  const at = (name: string): string => join(rig.copy, 'd', name);
  expect(fs.readFileSync(at('x.tmp'), 'utf8')).toBe('own');
  expect(fs.readFileSync(at('cache/deep/page'), 'utf8')).toBe('cached');
  expect(fs.statSync(at('cache/other')).ino).toBe(fs.statSync(at('x.tmp')).ino);
}

/** Applies a scan of the source, from the state of now. */
function scan(): void {
  const { recorder } = rig;
  rig.closeKeeper();
  rig.startKeeper(rig.applier.sequence, { begin: 'staged' });
  recorder.emit({ type: recordType.scanBegin });
  recorder.duringScan = true;
  scanTree(recorder, 'full');
  recorder.emit({ type: recordType.scanEnd });
  recorder.duringScan = false;
  rig.applyKept();
}

describe('a scan', () => {
  it('removes what only this node has, but not what the patterns leave out', () => {
    growOwn();
    const { recorder, copy } = rig;
    const { sequence } = recorder;
    for (const name of ['top', 'd/one', 'd/other.tmp.gz'])
      fs.writeFileSync(join(copy, name), 'surplus');
    fs.writeFileSync(join(copy, 'top.tmp'), 'own');
    scan();
    expect(fs.readdirSync(copy).toSorted()).toEqual(['.understudy', 'd', 'top.tmp']);
    expect(fs.readdirSync(join(copy, 'd')).toSorted()).toEqual(['cache', 'x.tmp']);
    expectOwn();
    rig.goBack(sequence);
    expect(fs.readFileSync(join(copy, 'd/one'), 'utf8')).toBe('surplus');
    expectOwn();
  });

  it('removes a mirrored directory that only this node has with all that is in it', () => {
    growOwn();
    const { recorder } = rig;
    const { sequence } = recorder;
    const silent = new Recorder(rig.source, () => undefined);
    silent.rmdir('d');
    silent.close();
    scan();
    // The next one of that name is not in the way of what is left of it.
    recorder.mkdir('d');
    rig.applyKept();
    expect(fs.readdirSync(join(rig.copy, 'd'))).toEqual([]);
    rig.goBack(sequence);
    expectOwn();
  });
});

/** Both trees are equal after it; with undo, the copy is then as it was before it again. */
function applyAndGoBack(undo: string, record: () => void): void {
  if (undo === 'without') rig.closeKeeper();
  else rig.startKeeper(rig.applier.sequence);
  const { sequence } = rig.applier;
  record();
  if (undo === 'without') rig.applyAll();
  else rig.applyKept();
  expect(rig.differences()).toEqual([]);
  if (undo === 'without') return;
  rig.goBack(sequence);
  expectOwn();
}

describe('a directory with files of this node', () => {
  it.each(['with', 'without'])('is removed like on the primary, %s undo', (undo) => {
    growOwn();
    applyAndGoBack(undo, () => {
      rig.recorder.rmdir('d');
      rig.recorder.mkdir('d');
    });
  });

  it.each(['with', 'without'])('is replaced by another one, %s undo', (undo) => {
    growOwn();
    rig.recorder.mkdir('e');
    rig.recorder.create('e/new');
    rig.applyAll();
    applyAndGoBack(undo, () => rig.recorder.rename('e', 'd'));
    expect(fs.existsSync(join(rig.copy, 'e/new'))).toBe(undo === 'with');
  });

  it('is moved and removed at once, and comes back with all of its names', () => {
    growOwn();
    const { sequence } = rig.applier;
    rig.startKeeper(sequence);
    rig.recorder.rename('d', 'moved');
    rig.recorder.rmdir('moved');
    rig.applyKept();
    expect(rig.differences()).toEqual([]);
    rig.goBack(sequence);
    expectOwn();
  });

  it('stays as long as anything in it is mirrored, which the primary knows nothing of', () => {
    growOwn();
    fs.writeFileSync(join(rig.copy, 'd/precious'), 'data');
    rig.recorder.rmdir('d');
    expect(() => rig.applyAll()).toThrow(/diverged.*ENOTEMPTY/);
    expectOwn();
  });
});
