// An operation on attributes that fails halfway.
import { closeSync, mkdtempSync, openSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { attrMask, recordType } from '../../journal/record.ts';
import { errno, S } from '../../linux/constants.ts';
import { cstring } from '../../linux/libc.ts';
import { Stat } from '../../linux/stat.ts';
import { RecordDraft } from '../capture.ts';
import type { Request } from '../channel.ts';
import { fattr, setattrIn } from '../fuse-protocol.ts';
import type { Mount } from '../mount.ts';
import { Node } from '../node.ts';
import { setattr } from './attributes.ts';

test('the mode is changed, the owner is not: the record has what is now', () => {
  const dir = mkdtempSync(join(tmpdir(), 'attributes-'));
  const path = join(dir, 'file');
  const fd = openSync(path, 'wx', 0o600);
  const descriptors = [fd, -errno.EDQUOT];
  const stat = new Stat();
  const drafts: RecordDraft[] = [];
  const modes: number[] = [];
  const answers: number[] = [];
  const mount = {
    index: 0,
    stat,
    node: () => new Node(7, 0, S.IFREG),
    records: () => true,
    procPath: () => cstring(path),
    inodes: {
      descriptor: () => descriptors.shift(),
      refresh: () => stat.fd(fd),
      pathOf: () => 'file',
    },
    channel: { result: (_: Request, result: number) => answers.push(result) },
    capture: {
      draft: (type: number) => {
        const draft = new RecordDraft();
        draft.type = type;
        drafts.push(draft);
        return draft;
      },
      publishAttributes: ({ mode }: Stat) => modes.push(mode & 0o7777),
    },
  } as unknown as Mount;
  const fields = new Map<number, number>([
    [setattrIn.valid, fattr.MODE | fattr.UID],
    [setattrIn.mode, 0o640],
    [setattrIn.uid, 1234],
  ]);
  setattr(mount, { u32: (at: number) => fields.get(at) ?? 0 } as unknown as Request);
  const { mode, uid } = statSync(path);
  closeSync(fd);
  rmSync(dir, { recursive: true });
  expect([mode & 0o7777, uid, answers]).toEqual([0o640, 0, [-errno.EDQUOT]]);
  const [draft] = drafts;
  expect([draft?.type, modes]).toEqual([recordType.setattr, [0o640]]);
  expect((draft?.aux ?? 0) & attrMask.mode).toBe(attrMask.mode);
});
