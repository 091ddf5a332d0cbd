// After a cut of the link, hardly more travels than was changed meanwhile: random overwrites of a large file, counted at
// the primary's network card with all headers. UNDERSTUDY_LONG=1: a file of 1 GiB.
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { NODE } from '../../lab/demo/application.ts';
import { eventsSince, waitForEvent } from './load-under-test.ts';
import { DIRECTORY, PairUnderTest } from './pair-under-test.ts';

const long = process.env['UNDERSTUDY_LONG'] === '1';
const FILE_BYTES = (long ? 1024 : 64) * 1024 * 1024;
const WRITES = 1000;
const PIECE_BYTES = 4096;
const FILE = join(DIRECTORY, 'large');

const OVERWRITE = `
  const fs = require('node:fs');
  const crypto = require('node:crypto');
  const fd = fs.openSync('${FILE}', 'r+');
  const pieces = new Set();
  while (pieces.size < ${WRITES}) pieces.add(crypto.randomInt(${FILE_BYTES / PIECE_BYTES}));
  for (const piece of pieces) fs.writeSync(fd, crypto.randomBytes(${PIECE_BYTES}), 0, ${PIECE_BYTES}, piece * ${PIECE_BYTES});
  fs.fsyncSync(fd);
  fs.closeSync(fd);`;

test(
  'random overwrites while the link is cut',
  async () => {
    await PairUnderTest.with(async (pair) => {
      const count = String(FILE_BYTES / 1024 / 1024);
      await pair.a.must(['dd', 'if=/dev/urandom', `of=${FILE}`, 'bs=1M', `count=${count}`], {
        timeoutMs: 120_000,
      });
      // So small a ring that the backlog has to go to disk.
      await pair.create({ replication: { mode: 'async', ring: '4 MiB' } });
      await pair.waitForCopy();
      await pair.settle();
      await pair.a.must(['ip', 'link', 'set', 'eth1', 'gso_max_segs', '1']);
      const since = Date.now();
      await pair.lab.cut('a', 'b', { network: 'sync' });
      await waitForEvent(pair, 'LINK_DOWN', since, 15_000);
      await pair.a.must([NODE, '-e', OVERWRITE], { timeoutMs: 60_000 });
      const backlog = Number((await pair.group())?.local.status?.['backlogBytes']);
      expect(backlog).toBeGreaterThan(WRITES * PIECE_BYTES);
      const before = await pair.sentBytes(pair.a);
      await pair.lab.heal();
      await pair.settle();
      const travelled = (await pair.sentBytes(pair.a)) - before;
      const part = travelled / (WRITES * PIECE_BYTES);
      process.stdout.write(
        `${WRITES} overwrites of ${PIECE_BYTES} bytes: ${travelled} bytes travelled, ${part.toFixed(3)} times what was changed\n`,
      );
      expect(part).toBeGreaterThan(1);
      expect(part).toBeLessThan(1.1);
      const codes = (await eventsSince(pair, since)).map(({ code }) => code);
      expect(codes).not.toContain('SCAN_STARTED');
      expect(await pair.differences()).toEqual([]);
    });
  },
  long ? 400_000 : 150_000,
);
