// The standby as a process, over a real directory: what the primary records is in the copy,
// wherever the process is killed.
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
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
import { namespaceBlock, type Recorder } from '../../test/support/recorder.ts';
import { StandbyProcess } from '../../test/support/standby-process.ts';
import { compareTrees } from '../../test/support/tree.ts';
import { attrMask, recordType } from '../journal/record.ts';
import { uncoverDirectories } from './cover.ts';

const BASE = { streamId: '0f'.repeat(16), sequence: 100 };

let identities: Identities;
let top = '';
let source = '';
let copy = '';
let standby: StandbyProcess;
let rig: SenderRig;
let recorder: Recorder;

beforeAll(async () => {
  identities = await makeIdentities();
});
beforeEach(async () => {
  top = mkdtempSync(join(tmpdir(), 'standby-'));
  source = join(top, 'source');
  copy = join(top, 'copy');
  for (const dir of [source, copy]) mkdirSync(dir, { mode: 0o755 });
  standby = new StandbyProcess({
    top,
    dir: copy,
    primary: identities.primary,
    standby: identities.standby,
    holds: BASE,
  });
  await standby.start();
});
afterEach(async () => {
  rig?.sender.destroy();
  recorder?.close();
  await standby.kill();
  uncoverDirectories(join(top, 'state'));
  rmSync(top, { recursive: true, force: true });
});

function startPrimary(base: typeof BASE | null = BASE): void {
  rig = makeSender({
    peer: { host: '127.0.0.1', port: standby.port, certificate: identities.standby.certificate },
    identity: identities.primary,
    spillDirectory: join(top, 'spill'),
    base,
    firstSequence: 101,
  });
  recorder = recordInto(rig, source, 101);
  rig.sender.start();
}

async function applied(): Promise<void> {
  const { sequence } = recorder;
  await until(
    () => rig.sender.acked?.appliedSequence === sequence,
    () => `record ${sequence} is applied, ${JSON.stringify(rig.sender.acked)}: ${standby.log}`,
    30_000,
  );
}

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
    startPrimary();
    for (let round = 0; round < 8; round += 1) {
      const killAt = random.below(120);
      for (let i = 0; i < 120; i += 1) {
        randomOperation(recorder, random);
        if (i % 5 === 0) await pause(1);
        if (i === killAt) await standby.kill();
      }
      await standby.start();
    }
    await applied();
    expect(rig.scansWanted).toEqual([]);
    expect(compareTrees(source, copy)).toEqual([]);
    const status = await standby.call('status');
    expect(status).toMatchObject({ role: 'standby', copy: 'up-to-date', blocked: null });
  });

  it('is read-only for everybody else, also after it was killed', async () => {
    startPrimary();
    recorder.create('file', 0o644);
    await applied();
    const write = (): void => writeFileSync(join(copy, 'file'), 'x');
    expect(write).toThrow(/EROFS/);
    await standby.kill();
    expect(write).toThrow(/EROFS/);
    await standby.start();
    expect(write).toThrow(/EROFS/);
    expect(mountsOn(copy)).toBe(1);
    await standby.call('shutdown');
    await standby.exited();
    expect(mountsOn(copy)).toBe(0);
    write();
    expect(readFileSync(join(copy, 'file'), 'utf8')).toBe('x');
  });

  it('finishes with everything applied, and refuses to when it is not up to date', async () => {
    await expect(standby.call('finish')).rejects.toMatchObject({ code: 'COPY_NOT_UP_TO_DATE' });
    startPrimary();
    const random = new Random(7);
    for (let i = 0; i < 300; i += 1) randomOperation(recorder, random);
    const { sequence } = recorder;
    await rig.sender.drain(sequence, 'durable', 10_000);
    const finished = await standby.call('finish');
    expect(finished).toEqual({
      streamId: '01'.repeat(16),
      sequence,
      copy: 'up-to-date',
      journaledButLost: 0,
    });
    await standby.exited();
    expect(mountsOn(copy)).toBe(0);
    expect(compareTrees(source, copy)).toEqual([]);
  });

  it('asks for a scan when the copy does not fit, and is repaired by it', async () => {
    startPrimary();
    recorder.create('one', 0o644);
    await applied();
    // Only possible underneath the cover, as a damaged disk might do it.
    execFileSync('umount', ['-l', copy]);
    rmSync(join(copy, 'one'));
    recorder.rename('one', 'two');
    await until(
      () => rig.scansWanted.length > 0,
      () => `a scan is asked for: ${standby.log}`,
    );
    expect((await standby.call('status'))['copy']).toBe('diverged');
    expect(standby.log).toContain('COPY_DIVERGED');
    recorder.emit({ type: recordType.scanBegin });
    recorder.emit({ type: recordType.scanDirBegin, path: '' });
    const block = (path: string): Buffer => namespaceBlock(recorder.stat(path));
    recorder.emit({ type: recordType.scanObject, path: 'two', payload: block('two') });
    recorder.setattr('two', attrMask.atime | attrMask.mtime);
    recorder.emit({ type: recordType.scanDirEnd, path: '', payload: block('') });
    recorder.emit({ type: recordType.scanEnd });
    await applied();
    await until(() => rig.sender.copy === 'up-to-date', 'the copy is complete');
    expect(compareTrees(source, copy)).toEqual([]);
  });
});

function mountsOn(dir: string): number {
  const lines = readFileSync('/proc/self/mountinfo', 'utf8').split('\n');
  return lines.filter((line) => line.split(' ')[4] === dir).length;
}
