// The standby as a process, over a real directory: what the primary records is in the copy,
// wherever the process is killed.
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type Identities, makeIdentities, until } from '../../test/support/mirror-rig.ts';
import { Random } from '../../test/support/random.ts';
import { randomOperation } from '../../test/support/recorder-ops.ts';
import { namespaceBlock } from '../../test/support/recorder.ts';
import { StandbyPair } from '../../test/support/standby-pair.ts';
import { compareTrees } from '../../test/support/tree.ts';
import { attrMask, recordType } from '../journal/record.ts';

const WAIT_MS = 30_000;

let identities: Identities;
let pair: StandbyPair;

beforeAll(async () => {
  identities = await makeIdentities();
});
beforeEach(async () => {
  pair = new StandbyPair(identities, { waitMs: WAIT_MS });
  await pair.startStandby();
});
afterEach(async () => pair.close());

const pause = async (ms: number): Promise<void> => {
  await new Promise((resolve) => {
    setTimeout(resolve, ms);
  });
};

describe('standby process', () => {
  it('makes the copy equal, however often it is killed', async () => {
    const seed = Date.now() & 0xffff;
    process.stdout.write(`seed ${seed}\n`);
    const random = new Random(seed);
    pair.startPrimary();
    for (let round = 0; round < 8; round += 1) {
      const killAt = random.below(120);
      for (let i = 0; i < 120; i += 1) {
        randomOperation(pair.recorder, random);
        if (i % 5 === 0) await pause(1);
        if (i === killAt) await pair.standby.kill();
      }
      await pair.standby.start();
    }
    await pair.applied();
    expect(pair.rig.scansWanted).toEqual([]);
    expect(compareTrees(pair.source, pair.copy)).toEqual([]);
    const status = await pair.standby.call('status');
    expect(status).toMatchObject({ role: 'standby', copy: 'up-to-date', blocked: null });
  });

  it('is read-only for everybody else, also after it was killed', async () => {
    pair.startPrimary();
    pair.recorder.create('file', 0o644);
    await pair.applied();
    const write = (): void => writeFileSync(join(pair.copy, 'file'), 'x');
    expect(write).toThrow(/EROFS/);
    await pair.standby.kill();
    expect(write).toThrow(/EROFS/);
    await pair.standby.start();
    expect(write).toThrow(/EROFS/);
    expect(mountsOn(pair.copy)).toBe(1);
    await pair.standby.call('shutdown');
    await pair.standby.exited();
    expect(mountsOn(pair.copy)).toBe(0);
    write();
    expect(readFileSync(join(pair.copy, 'file'), 'utf8')).toBe('x');
  });

  it('is read-only also while the next process cannot start, and goes on when one can', async () => {
    pair.startPrimary();
    pair.recorder.create('file', 0o644);
    await pair.applied();
    await pair.standby.call('shutdown', { keepCover: true });
    await pair.standby.exited();
    const state = join(pair.top, 'state');
    renameSync(state, `${state}-aside`);
    writeFileSync(state, 'no directory can be made here');
    await expect(pair.standby.start()).rejects.toThrow('did not start');
    expect(() => writeFileSync(join(pair.copy, 'file'), 'x')).toThrow(/EROFS/);
    rmSync(state);
    renameSync(`${state}-aside`, state);
    await pair.standby.start();
    pair.recorder.create('another', 0o644);
    await pair.applied();
    await pair.complete();
    expect(pair.rig.scansWanted).toEqual([]);
    expect(compareTrees(pair.source, pair.copy)).toEqual([]);
    expect(mountsOn(pair.copy)).toBe(1);
  });

  it('finishes with everything applied, and refuses to when it is not up to date', async () => {
    await expect(pair.standby.call('finish')).rejects.toMatchObject({
      code: 'COPY_NOT_UP_TO_DATE',
    });
    pair.startPrimary();
    const random = new Random(7);
    for (let i = 0; i < 300; i += 1) randomOperation(pair.recorder, random);
    const { sequence } = pair.recorder;
    await pair.rig.sender.drain(sequence, 'durable', { timeoutMs: 10_000 });
    const finished = await pair.standby.call('finish');
    expect(finished).toEqual({
      streamId: '01'.repeat(16),
      sequence,
      copy: 'up-to-date',
      journaledButLost: 0,
    });
    await pair.standby.exited();
    // Until whoever promotes it has mounted the filter over it.
    expect(() => writeFileSync(join(pair.copy, 'new'), 'x')).toThrow(/EROFS/);
    expect(compareTrees(pair.source, pair.copy)).toEqual([]);
  });

  it('tells what a comparison found also when its disk does not take that, and keeps it as soon as it does', async () => {
    pair.startPrimary();
    pair.recorder.create('one', 0o644);
    await pair.applied();
    const report = join(pair.top, 'verify.json');
    mkdirSync(`${report}.new`);
    pair.recorder.emit({ type: recordType.verifyBegin });
    pair.recorder.emit({ type: recordType.verifyEnd });
    await pair.applied();
    await until(
      () => pair.standby.log.includes('VERIFY_EQUAL'),
      () => `the verdict: ${pair.standby.log}`,
      10_000,
    );
    expect(await pair.standby.call('status')).toMatchObject({ verify: { state: 'equal' } });
    rmdirSync(`${report}.new`);
    await until(
      () => existsSync(report) && readFileSync(report, 'utf8').includes('"equal"'),
      'it is kept',
    );
  });

  it('asks for a scan when the copy does not fit, and is repaired by it', async () => {
    pair.startPrimary();
    pair.recorder.create('one', 0o644);
    await pair.applied();
    // Only possible underneath the cover, as a damaged disk might do it.
    execFileSync('umount', ['-l', pair.copy]);
    rmSync(join(pair.copy, 'one'));
    writeFileSync(join(pair.copy, 'intruder'), 'what somebody left here');
    pair.recorder.rename('one', 'two');
    await until(
      () => pair.rig.scansWanted.length > 0,
      () => `a scan is asked for: ${pair.standby.log}`,
    );
    expect((await pair.standby.call('status'))['copy']).toBe('diverged');
    expect(pair.standby.log).toContain('COPY_DIVERGED');
    pair.recorder.emit({ type: recordType.scanBegin });
    pair.recorder.emit({ type: recordType.scanDirBegin, path: '' });
    const block = (path: string): Buffer => namespaceBlock(pair.recorder.stat(path));
    pair.recorder.emit({ type: recordType.scanObject, path: 'two', payload: block('two') });
    pair.recorder.setattr('two', attrMask.atime | attrMask.mtime);
    pair.recorder.emit({ type: recordType.scanDirEnd, path: '', payload: block('') });
    pair.recorder.emit({ type: recordType.scanEnd });
    await pair.applied();
    await until(() => pair.rig.sender.copy === 'up-to-date', 'the copy is complete');
    expect(compareTrees(pair.source, pair.copy)).toEqual([]);
    // What was not the primary's is kept aside.
    await until(
      () => pair.standby.log.includes('SALVAGE_KEPT'),
      () => `the salvage is written: ${pair.standby.log}`,
    );
    const [name = ''] = readdirSync(join(pair.top, 'salvage'));
    const kept = join(pair.top, 'salvage', name, 'files');
    expect(readdirSync(kept)).toEqual(['intruder']);
    expect(readFileSync(join(kept, 'intruder'), 'utf8')).toBe('what somebody left here');
    // And the copy goes on.
    pair.recorder.create('three', 0o644);
    await pair.applied();
    expect(compareTrees(pair.source, pair.copy)).toEqual([]);
  });
});

function mountsOn(dir: string): number {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.filter((line) => line.split(' ')[4] === dir).length;
}
