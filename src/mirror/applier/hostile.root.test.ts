// Records of a primary that means harm: sealed correctly, and wrong in every other way. Whatever they
// say, nothing outside the protected directory is touched, and the applier answers with a fault.
import * as fc from 'fast-check';
import { execFileSync } from 'node:child_process';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ApplierRig } from '../../../test/support/applier-rig.ts';
import { type RecordFields, makeRecord, namespaceBlock } from '../../../test/support/recorder.ts';
import { snapshotTree } from '../../../test/support/tree.ts';
import {
  ATTR_BYTES,
  attrField,
  checkRecord,
  recordFlag,
  recordType,
} from '../../journal/record.ts';
import { S } from '../../linux/constants.ts';
import { MARKER_XATTR } from './marker.ts';

let rig: ApplierRig;
let outside = '';
let sequence = 0;
beforeEach(() => {
  rig = new ApplierRig();
  outside = join(rig.top, 'outside');
  sequence = 0;
  fs.mkdirSync(outside);
  fs.writeFileSync(join(outside, 'precious'), 'data');
  fs.symlinkSync(outside, join(rig.copy, 'out'));
  fs.symlinkSync('../outside/precious', join(rig.copy, 'file-out'));
  fs.mkdirSync(join(rig.copy, 'dir'));
  fs.symlinkSync('../../outside', join(rig.copy, 'dir/up'));
  fs.writeFileSync(join(rig.copy, 'file'), 'inside');
});
afterEach(() => rig.close());

/** Applies a record, which has to be one that passes the journal's check. */
function give(fields: Omit<RecordFields, 'sequence'>): string | undefined {
  sequence += 1;
  const record = makeRecord({ ...fields, sequence });
  const view = new DataView(record.buffer, record.byteOffset);
  expect(checkRecord(record, view, 0, record.length)).toBe(record.length);
  const fault = rig.apply(record);
  rig.applier.endBatch();
  return fault?.code;
}

function block(mode: number): Buffer {
  const bytes = namespaceBlock();
  bytes.writeUInt32LE(mode, attrField.mode);
  return bytes;
}

const REFUSED = 'RECORD_NOT_APPLICABLE';

describe('a hostile record', () => {
  const file = block(S.IFREG | 0o644);
  const attributes = Buffer.alloc(ATTR_BYTES);
  const data = Buffer.from('evil');
  const cases: [string, Omit<RecordFields, 'sequence'>][] = [
    ['writes through a link', { type: recordType.write, path: 'file-out', payload: data }],
    ['writes below a link', { type: recordType.write, path: 'out/precious', payload: data }],
    ['cuts a file below a link', { type: recordType.truncate, path: 'dir/up/precious' }],
    ['creates below a link', { type: recordType.create, path: 'out/new', payload: file }],
    ['makes a directory below a link', { type: recordType.mkdir, path: 'out/d', payload: file }],
    ['unlinks below a link', { type: recordType.unlink, path: 'out/precious', payload: file }],
    ['renames out', { type: recordType.rename, path: 'file', path2: 'out/f', payload: file }],
    ['renames in', { type: recordType.rename, path: 'out/precious', path2: 'f', payload: file }],
    ['links out', { type: recordType.link, path: 'file', path2: 'dir/up/f', payload: file }],
    ['links in', { type: recordType.link, path: 'out/precious', path2: 'f', payload: file }],
    [
      'changes attributes below a link',
      { type: recordType.setattr, path: 'out/precious', payload: attributes, aux: 1 },
    ],
    [
      'sets an attribute below a link',
      { type: recordType.setxattr, path: 'out/precious', path2: 'user.a', payload: data },
    ],
    ['scans below a link', { type: recordType.scanObject, path: 'out/new', payload: file }],
    [
      'scans contents below a link',
      { type: recordType.scanData, path: 'out/precious', payload: data },
    ],
    ['links in a scan', { type: recordType.scanLink, path: 'out/precious', path2: 'f' }],
    [
      'ends a directory that is a link',
      { type: recordType.scanDirEnd, path: 'out', payload: file },
    ],
    ['has too short a payload', { type: recordType.create, path: 'new', payload: Buffer.alloc(8) }],
    ['has an impossible time', { type: recordType.write, path: 'file', mtimeNsec: 0x3fffffff }],
    [
      'writes beyond what can be',
      { type: recordType.truncate, path: 'file', offset: Number.MAX_SAFE_INTEGER },
    ],
    ['has hashes that do not fit', { type: recordType.scanHash, path: 'file', length: 65_536 }],
    ['collapses a range', { type: recordType.fallocate, path: 'file', aux: 8, length: 4096 }],
    ['creates nothing known', { type: recordType.mknod, path: 'new', payload: block(0) }],
    [
      'means another directory',
      { type: recordType.write, path: 'file', directory: 7, payload: data },
    ],
    ['writes to a directory', { type: recordType.write, path: 'dir', payload: data }],
    ['replaces the root', { type: recordType.rename, path: 'dir', path2: '', payload: file }],
    ['removes the root', { type: recordType.rmdir, path: '', payload: file }],
  ];

  it.each(cases)('that %s is refused', (_what, fields) => {
    const before = describeOutside();
    expect(give(fields)).toBe(REFUSED);
    expect(describeOutside()).toBe(before);
  });

  it('never opens a device, a fifo or a socket', () => {
    expect(
      give({ type: recordType.mknod, path: 'null', payload: deviceBlock(1, 3) }),
    ).toBeUndefined();
    expect(
      give({ type: recordType.mknod, path: 'fifo', payload: block(S.IFIFO | 0o600) }),
    ).toBeUndefined();
    for (const path of ['null', 'fifo']) {
      expect(give({ type: recordType.write, path, payload: data })).toBe(REFUSED);
      expect(give({ type: recordType.truncate, path })).toBe(REFUSED);
      expect(give({ type: recordType.scanHole, path, length: 10 })).toBe(REFUSED);
    }
  });

  it('does not leave the file system of the directory', () => {
    fs.mkdirSync(join(rig.copy, 'mounted'));
    execFileSync('mount', ['--bind', outside, join(rig.copy, 'mounted')]);
    try {
      const before = describeOutside();
      const path = 'mounted/precious';
      expect(give({ type: recordType.write, path, payload: data })).toBe(REFUSED);
      expect(give({ type: recordType.unlink, path, payload: file })).toBe(REFUSED);
      expect(give({ type: recordType.create, path: 'mounted/new', payload: file })).toBe(REFUSED);
      expect(give({ type: recordType.setattr, path: 'mounted', payload: attributes, aux: 1 })).toBe(
        REFUSED,
      );
      expect(describeOutside()).toBe(before);
    } finally {
      execFileSync('umount', [join(rig.copy, 'mounted')]);
    }
  });

  it('cannot forge the marker', () => {
    const path2 = MARKER_XATTR;
    give({ type: recordType.mkdir, path: 'new', payload: block(S.IFDIR | 0o755) });
    const before = marker();
    expect(before).not.toBe('');
    give({ type: recordType.setxattr, path: '', path2, payload: Buffer.alloc(40, 1) });
    give({ type: recordType.removexattr, path: '', path2 });
    expect(marker()).toBe(before);
  });

  it('that has petabytes compared is done with at the end of the file', () => {
    fs.truncateSync(join(rig.copy, 'file'), 2 ** 42);
    fs.writeFileSync(join(rig.copy, 'short'), Buffer.alloc(300_000, 1));
    give({ type: recordType.verifyBegin });
    for (const type of [recordType.verifyZeros, recordType.verifyHash]) {
      for (const path of ['file', 'short']) {
        const before = performance.now();
        give({ type, path, offset: 4096, length: 2 ** 52, payload: Buffer.alloc(16 * 100) });
        expect(performance.now() - before).toBeLessThan(2000);
      }
    }
    give({ type: recordType.verifyEnd });
  });

  it('of any kind changes nothing outside', () => {
    const before = describeOutside();
    const names = fc.constantFrom(
      'file',
      'dir',
      'out',
      'file-out',
      'dir/up',
      'out/precious',
      'a',
      'dir/b',
      '.understudy/x',
      '',
    );
    const payloads = fc.oneof(
      fc.uint8Array({ maxLength: 200 }),
      fc.constantFrom(S.IFREG, S.IFDIR, S.IFLNK, S.IFIFO).map((type) => block(type | 0o755)),
    );
    // In between lie sizes that a file may have and that would fill this machine's disk.
    const huge = fc.integer({ min: 2 ** 44, max: Number.MAX_SAFE_INTEGER });
    const number = fc.oneof(fc.nat(100_000), huge);
    fc.assert(
      fc.property(
        fc.record({
          type: fc.constantFrom(...Object.values(recordType)),
          path: names,
          path2: names,
          payload: payloads,
          aux: fc.nat(63),
          flags: fc.constantFrom(0, recordFlag.duringScan),
          offset: number,
          length: number,
        }),
        (fields) => {
          const result = give({ ...fields, payload: Buffer.from(fields.payload) });
          expect([undefined, REFUSED, 'APPLY_BLOCKED']).toContain(result);
        },
      ),
      { numRuns: 4000 },
    );
    expect(describeOutside()).toBe(before);
    const [lost = []] = [fs.readdirSync(rig.top).sort()];
    expect(lost).toEqual(['copy', 'outside', 'source']);
  });
});

const describeOutside = (): string => JSON.stringify([...snapshotTree(outside).entries]);

function deviceBlock(major: number, minor: number): Buffer {
  const bytes = block(S.IFCHR | 0o666);
  bytes.writeUInt32LE((major << 8) | minor, attrField.rdev);
  return bytes;
}

function marker(): string {
  const args = ['--only-values', '--absolute-names', '-n', MARKER_XATTR, '-e', 'hex', rig.copy];
  return execFileSync('getfattr', args, { encoding: 'latin1' });
}
